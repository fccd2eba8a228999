from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompress.records import Estimate
from autocompress.report.numbers import interval, megabytes, metric, ratio, signed
from autocompress.rounding import percent, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2541, "0.254"),
        (5.523, "5.52"),
        (90.867, "90.9"),
        (17669.0, "17700"),
        (9.996, "10.0"),
        (0.09996, "0.100"),
        (0.000123456, "0.000123"),
        (-1.5, "−1.50"),
        (0.0, "0"),
        (999.6, "1000"),
        (math.inf, "∞"),
    ],
)
def test_three_figures_are_kept_and_no_exponent_is_used(value: float, text: str) -> None:
    assert significant(value) == text


@given(st.floats(1e-6, 1e12))
def test_rounding_changes_a_number_by_half_a_percent_at_most(value: float) -> None:
    assert float(significant(value)) == pytest.approx(value, rel=0.00501)


def test_what_was_not_measured_is_a_dash_and_never_zero() -> None:
    assert megabytes(None) == ratio(None) == metric(None, is_rate=True) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0034, "+0.3"), (-0.0034, "−0.3"), (0.0, "0.0"), (-0.0, "0.0"), (0.0002, "+0.02"), (1e-6, "0.00")],
)
def test_points_have_a_sign_unless_they_are_nothing(value: float, text: str) -> None:
    assert signed(value, points=True) == text


def test_an_interval_stands_behind_its_value() -> None:
    assert interval(Estimate(value=-0.003, low=-0.009, high=0.003), points=True) == "−0.3 pp [−0.9, +0.3]"
    assert interval(Estimate(value=1.25, low=1.0, high=1.5), points=False) == "+1.25 [+1.00, +1.50]"


@pytest.mark.parametrize(
    ("share", "text"), [(0.24, "24 %"), (0.004, "0.4 %"), (2.4, "240 %"), (1.0, "100 %"), (12.345, "1230 %")]
)
def test_shares_are_percentages(share: float, text: str) -> None:
    assert percent(share) == text
