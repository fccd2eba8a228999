"""Limits as text and their violations on plain numbers, against an independent reference."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompress.limits import LIMIT_NAMES, Bound, Figures, parse_bound, violations
from autocompress.spec import Constraints

positive = st.floats(1e-3, 1e12)


@pytest.mark.parametrize(
    ("name", "text", "bound", "relative"),
    [
        ("quality_drop", "1%", 0.01, True),
        ("quality_drop", "1pp", 0.01, False),
        ("quality_drop", " 0.5 ", 0.5, False),
        ("quality_drop", "0", 0.0, False),
        ("size", "25MB", 25e6, False),
        ("size", "0.3x", 0.3, True),
        ("ram", "2 GiB", 2.0**31, False),
        ("vram", ".5X", 0.5, True),
        ("latency", "20ms", 20.0, False),
        ("latency", "1.5s", 1500.0, False),
        ("latency", "1e3us", 1.0, False),
    ],
)
def test_limits_are_read_as_people_write_them(name: str, text: str, bound: float, relative: bool) -> None:
    assert parse_bound(name, text) == Bound(pytest.approx(bound), relative, text.strip())


@pytest.mark.parametrize("name", LIMIT_NAMES)
@pytest.mark.parametrize("text", ["", "x", "1 elephant", "-1", "1x2", "1e999x", "1e999"])
def test_what_is_no_limit_is_refused_in_a_sentence(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="is not a "):
        parse_bound(name, text)


@given(st.sampled_from(LIMIT_NAMES), st.sampled_from(["1%", "2pp", "0.3x", "25MB", "20ms", "7", "3KiB"]))
def test_a_spec_reads_a_limit_as_plain_programs_do(name: str, text: str) -> None:
    try:
        bound = parse_bound(name, text)
    except ValueError as refused:
        with pytest.raises(ValueError, match=str(refused).split(";")[0].replace("'", ".")):
            Constraints.model_validate({name: text})
        return
    read = getattr(Constraints.model_validate({name: text}), name)
    assert (read.bound, read.relative, read.written) == (bound.bound, bound.relative, bound.written)


@given(st.sampled_from(["size", "ram", "vram", "latency"]), positive, positive, positive)
def test_an_absolute_limit_is_exceeded_by_a_share_of_itself(
    name: str, bound: float, value: float, original: float
) -> None:
    field = "p50_ms" if name == "latency" else f"{name}_bytes"
    if not 1e-3 < value / bound < 1e3:
        return  # a difference of two figures so far apart has lost the smaller one
    found = violations({name: Bound(bound, False, "")}, Figures(**{field: value}), Figures(**{field: original}))
    assert found[name] * bound + bound == pytest.approx(value, rel=1e-6)
    share = bound / original
    assert violations({name: Bound(share, True, "")}, Figures(**{field: value}), Figures(**{field: original})) == {
        name: pytest.approx(found[name], abs=1e-9)
    }


@given(st.floats(0.01, 100), st.floats(0.01, 10), positive, positive)
def test_a_relative_limit_on_latency_is_judged_by_the_speed_up(
    speedup: float, bound: float, mine: float, its: float
) -> None:
    figures = Figures(p50_ms=mine, speedup=speedup)
    found = violations({"latency": Bound(bound, True, "")}, figures, Figures(p50_ms=its))
    assert (found["latency"] <= 0) == (1 / speedup / bound - 1 <= 0)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.001, 1))
def test_a_drop_is_judged_in_the_terms_of_its_limit(drop: float, relative_drop: float, bound: float) -> None:
    figures = Figures(drop=drop, relative_drop=relative_drop)
    assert violations({"quality_drop": Bound(bound, False, "")}, figures, Figures())["quality_drop"] == pytest.approx(
        (drop - bound) / bound
    )
    assert violations({"quality_drop": Bound(bound, True, "")}, figures, Figures())["quality_drop"] == pytest.approx(
        (relative_drop - bound) / bound
    )


@pytest.mark.parametrize("drop", [None, math.nan, math.inf])
def test_what_was_not_measured_breaks_its_limit_by_as_much_as_the_limit(drop: float | None) -> None:
    limits = {name: Bound(0.5, True, "0.5x") for name in LIMIT_NAMES}
    assert violations(limits, Figures(relative_drop=drop), Figures()) == dict.fromkeys(LIMIT_NAMES, 1.0)
