"""The incremental front against brute force."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from autocompress.tui.model.front import Front, point_of
from autocompress.tui.model.trial import Interval, Trial

coordinates = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(-3, 3), st.booleans())


def trial(number: int, size: int, speed: int, drop: int, *, feasible: bool = True) -> Trial:
    return Trial(
        number,
        "complete",
        "sampler",
        "onnx",
        (),
        (),
        size_bytes=size,
        speedup=Interval(speed, speed, speed),
        drop=Interval(drop / 100, drop / 100, drop / 100),
        violations={} if feasible else {"size": 0.1},
    )


@given(st.lists(coordinates, max_size=40))
def test_the_front_is_what_brute_force_finds_whatever_comes_first(drawn: list[tuple[int, int, int, bool]]) -> None:
    front = Front()
    trials = [trial(number, *figures[:3], feasible=figures[3]) for number, figures in enumerate(drawn)]
    for each in trials:
        is_on_it = front.add(each)
        assert is_on_it == (each.number in front)
    points = {each.number: point_of(each) for each in trials if each.is_feasible}
    expected = {
        number
        for number, mine in points.items()
        if not any(
            its is not None and mine is not None and its != mine and all(a <= b for a, b in zip(its, mine, strict=True))
            for its in points.values()
        )
    }
    assert front.numbers == expected
    assert len(front) == len(expected)


def test_what_lacks_a_figure_or_has_none_that_counts_is_not_on_the_front() -> None:
    front = Front()
    missing = trial(1, 1, 1, 0)
    missing.drop = None
    undefined = trial(2, 1, 1, 0)
    undefined.drop = Interval(math.nan, math.nan, math.nan)
    failed = trial(3, 1, 1, 0)
    failed.status = "failed"
    assert not any(front.add(each) for each in (missing, undefined, failed))
    assert front.numbers == frozenset()


def test_a_trial_can_be_judged_by_other_limits_than_its_own() -> None:
    front = Front()
    assert not front.add(trial(1, 1, 1, 0, feasible=False))
    assert front.add(trial(1, 1, 1, 0, feasible=False), feasible=True)
