"""What a trial must reach to be of any use, given the limits and the front so far."""

from __future__ import annotations

import math
from typing import Any

import pytest

from autocompress.recipe import Recipe, steps_from_plain
from autocompress.records import Estimate, Latency, Measurement, Quality, Samples, Status, TrialRecord
from autocompress.spec import Constraints
from autocompress.stakes import Stakes

MB = 10**6


def latency(speedup: float, half_width: float = 0.04) -> Latency:
    interval = Estimate(value=speedup, low=speedup * (1 - half_width), high=speedup * (1 + half_width))
    readings = Samples(values=(10.0 / speedup,), unit="ms")
    return Latency(candidate_ms=readings, baseline_ms=None, speedup=interval, clock="wall", threads=1)


def looked(speedup: float, within: float = 0.04, drift: float = 0.01) -> Latency:
    """As far as what is seen within one look goes, known to so much."""
    seen = latency(speedup, math.hypot(within, 1.96 * drift))
    return seen.model_copy(update={"drift": drift})


def quality(drop: float) -> Quality:
    exact = Estimate(value=drop, low=drop, high=drop)
    return Quality(
        metric="accuracy",
        value=0.9 - drop,
        higher_is_better=True,
        n_samples=100,
        part="search",
        drop=exact,
        relative_drop=exact,
    )


def trial(number: int, size_mb: float, speedup: float, drop: float, **fields: Any) -> TrialRecord:
    steps = steps_from_plain([{"magnitude": {"sparsity": number / 100}}] if number else [])
    return TrialRecord(
        number=number,
        recipe=Recipe(steps=steps, format="pytorch"),
        status=Status.COMPLETE,
        origin="sampler" if number else "baseline",
        measurement=Measurement(
            size_bytes=int(size_mb * MB), latency=latency(speedup), quality=quality(drop), **fields
        ),
    )


ORIGINAL = trial(0, 40, 1.0, 0.0)


def stakes(*records: TrialRecord, **limits: Any) -> Stakes:
    return Stakes.of(Constraints.model_validate(limits), [ORIGINAL, *records], ORIGINAL)


def test_a_size_beyond_the_limit_is_surely_broken_and_a_latency_only_where_all_of_its_interval_is() -> None:
    asked = stakes(size="10MB", latency="0.5x")
    assert asked.surely_broken(11 * MB, latency(3.0)) == "size"
    assert asked.surely_broken(10 * MB, latency(1.9)) == "latency"
    assert asked.surely_broken(10 * MB, latency(1.95)) is None
    assert stakes(latency="4ms").surely_broken(10 * MB, latency(2.0)) == "latency"
    assert stakes(latency="4ms").surely_broken(10 * MB, latency(2.45)) is None


def test_the_most_drop_is_the_limit_or_that_of_a_trial_that_is_surely_better_otherwise() -> None:
    def most_drop(asked: Stakes, size_mb: int, speedup: float) -> float:
        return asked.most_drop(size_mb * MB, latency(speedup))[0]

    assert most_drop(stakes(), 50, 0.5) == 0.0  # the original itself is smaller, faster and loses nothing
    assert most_drop(stakes(quality_drop="1pp"), 10, 2.0) == 0.01
    assert most_drop(stakes(quality_drop="1%"), 10, 2.0) == pytest.approx(0.009)
    assert most_drop(stakes(), 10, 2.0) == math.inf
    beside = stakes(trial(1, 9, 3.0, 0.002), quality_drop="1pp")
    assert beside.most_drop(10 * MB, latency(2.0)) == (0.002, "trial 1 is smaller and faster and surely loses less")
    assert most_drop(beside, 8, 2.0) == 0.01
    assert most_drop(beside, 10, 2.9) == 0.01


def test_a_trial_that_was_given_up_itself_is_no_rival() -> None:
    assert len(stakes(trial(1, 9, 3.0, 0.002, cut_short="…")).rivals) == 1
    assert len(stakes(trial(1, 9, 3.0, 0.002)).rivals) == 2


def test_more_precision_is_worth_it_where_the_interval_holds_a_limit_or_decides_about_the_front() -> None:
    limited = stakes(latency="0.5x")
    assert limited.is_undecided(10 * MB, looked(2.03), quality(0.0))
    assert not limited.is_undecided(10 * MB, looked(2.1), quality(0.0))  # a closer look would not know better
    assert not limited.is_undecided(10 * MB, looked(2.03, drift=0.03), quality(0.0))  # nor where the machine drifts
    rival = stakes(trial(1, 10, 2.0, 0.002))
    assert rival.is_undecided(12 * MB, looked(2.02), quality(0.003))  # slower, it is dominated
    assert rival.is_undecided(9 * MB, looked(1.98), quality(0.001))  # faster, it dominates
    assert not rival.is_undecided(9 * MB, looked(2.02), quality(0.003))  # on the front either way
    assert not rival.is_undecided(12 * MB, looked(3.0), quality(0.003))
