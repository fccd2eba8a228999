"""Limits, dominance, the front and the ranking, against their definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_example import ORIGINAL_ACCURACY, ORIGINAL_BYTES, ORIGINAL_MS, measurement, trial

from autocompress.dominance import dominates
from autocompress.limits import SMALLEST_DROP_SCALE, UNMEASURED_VIOLATION
from autocompress.objectives import (
    binding_constraint,
    nearest_misses,
    objective_values,
    pareto_front,
    ranking,
    size_ratio,
    speedup,
    violations,
    vram_bytes,
    worth_completing,
)
from autocompress.recipe import Recipe
from autocompress.records import Measurement, Status, TrialRecord, Vram
from autocompress.spec import Constraints

ORIGINAL = trial(0, [], "pytorch", measurement(size=1, ram=1.0, vram=1000), origin="baseline")
assert ORIGINAL.measurement is not None

coordinates = st.sampled_from([0.25, 0.5, 1.0, 2.0])
points = st.tuples(coordinates, coordinates, st.sampled_from([-0.01, 0.0, 0.02]))
vectors = st.lists(st.integers(0, 3), min_size=3, max_size=3)


def limits(**written: Any) -> Constraints:
    return Constraints.model_validate(written)


def broken(measured: Measurement, **written: Any) -> dict[str, float]:
    assert ORIGINAL.measurement is not None
    return violations(limits(**written), measured, ORIGINAL.measurement)


def records(figures: list[tuple[float, float, float]], **others: Any) -> list[TrialRecord]:
    return [
        trial(number, [], "onnx", measurement(size=size, speedup=faster, drop=drop), **others)
        for number, (size, faster, drop) in enumerate(figures, 1)
    ]


# Limits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "figures", "expected"),
    [
        ({"size": "0.5x"}, {"size": 0.75}, 0.5),
        ({"size": "0.5x"}, {"size": 0.25}, -0.5),
        ({"size": f"{ORIGINAL_BYTES}B"}, {"size": 2.0}, 1.0),
        ({"latency": "0.5x"}, {"size": 1, "speedup": 4.0}, -0.5),
        ({"latency": "0.5x"}, {"size": 1, "speedup": 1.0}, 1.0),
        ({"latency": f"{ORIGINAL_MS}ms"}, {"size": 1, "speedup": 0.5}, 1.0),
        ({"ram": "0.5x"}, {"size": 1, "ram": 1.0}, 1.0),
        ({"vram": "2x"}, {"size": 1, "vram": 3000}, 0.5),
        ({"vram": "1500B"}, {"size": 1, "vram": 3000}, 1.0),
        ({"quality_drop": "1pp"}, {"size": 1, "drop": 0.03}, 2.0),
        ({"quality_drop": "0.01"}, {"size": 1, "drop": 0.0}, -1.0),
        ({"quality_drop": "1%"}, {"size": 1, "drop": 0.02 * ORIGINAL_ACCURACY}, 1.0),
        ({"quality_drop": "0%"}, {"size": 1, "drop": SMALLEST_DROP_SCALE}, 1 / ORIGINAL_ACCURACY),
        ({"quality_drop": "0pp"}, {"size": 1, "drop": 0.0}, 0.0),
        ({"quality_drop": "0pp"}, {"size": 1, "drop": -0.01}, -10.0),
    ],
)
def test_a_violation_is_the_excess_as_a_share_of_the_limit(
    written: dict[str, str], figures: dict[str, float], expected: float
) -> None:
    found = broken(measurement(**figures), **written)  # type: ignore[arg-type]
    assert found == {next(iter(written)): pytest.approx(expected)}


def test_a_figure_that_was_not_measured_breaks_its_limit_by_as_much_as_the_limit() -> None:
    found = broken(Measurement(), quality_drop="1pp", size="0.5x", latency="20ms", ram="1GB", vram="0.5x")
    assert found == dict.fromkeys(["quality_drop", "size", "latency", "ram", "vram"], UNMEASURED_VIOLATION)


def test_without_limits_nothing_is_broken() -> None:
    assert broken(Measurement()) == {}


@pytest.mark.parametrize("drop", [math.nan, math.inf])
def test_a_drop_that_is_no_number_counts_as_not_measured(drop: float) -> None:
    assert broken(measurement(size=1, drop=drop), quality_drop="1pp") == {"quality_drop": UNMEASURED_VIOLATION}


def test_a_limit_relative_to_nothing_counts_as_broken() -> None:
    idle = Measurement(vram=Vram(allocator_peak_bytes=0, device_delta_bytes=None))
    assert violations(limits(vram="0.5x"), idle, idle) == {"vram": UNMEASURED_VIOLATION}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [((None, None), None), ((5, None), 5), ((None, 7), 7), ((5, 7), 7), ((9, 7), 9)],
)
def test_device_memory_is_the_larger_of_both_views(seen: tuple[int | None, int | None], expected: int | None) -> None:
    vram = Vram(allocator_peak_bytes=seen[0], device_delta_bytes=seen[1])
    assert vram_bytes(Measurement(vram=vram)) == expected


def test_ratios_of_an_unmeasured_trial_are_none() -> None:
    failed = trial(1, [], "onnx", status=Status.CRASHED)
    assert size_ratio(failed, ORIGINAL) is None
    assert speedup(failed) is None
    assert objective_values(failed, ORIGINAL) is None


def test_the_original_stands_at_the_origin_of_the_objectives() -> None:
    assert objective_values(ORIGINAL, ORIGINAL) == (0.0, 0.0, 0.0)


# Dominance and the front --------------------------------------------------------------------------------------------


@given(vectors)
def test_nothing_dominates_itself(left: list[float]) -> None:
    assert not dominates(left, left)


@given(vectors, vectors)
def test_of_two_at_most_one_dominates_the_other(left: list[float], right: list[float]) -> None:
    assert not (dominates(left, right) and dominates(right, left))


@given(vectors, vectors, vectors)
def test_dominance_is_handed_on(a: list[float], b: list[float], c: list[float]) -> None:
    if dominates(a, b) and dominates(b, c):
        assert dominates(a, c)


@given(st.lists(points, max_size=12), st.sets(st.integers(1, 12)))
def test_the_front_is_what_no_feasible_trial_beats(figures: list[Any], too_large: set[int]) -> None:
    trials = [
        record.model_copy(update={"violations": {"size": 0.5 if record.number in too_large else -0.5}})
        for record in records(figures)
    ]
    feasible = {number: figure for number, figure in enumerate(figures, 1) if number not in too_large}
    expected = {
        number
        for number, (size, faster, drop) in feasible.items()
        if not any(
            s <= size and f >= faster and d <= drop and (s, f, d) != (size, faster, drop)
            for s, f, d in feasible.values()
        )
    }
    assert pareto_front(trials, ORIGINAL) == expected


def test_trials_that_failed_are_not_on_the_front() -> None:
    failed = records([(0.1, 9.0, 0.0)], status=Status.FAILED)
    assert pareto_front([*failed, ORIGINAL], ORIGINAL) == {0}


# Ranking ------------------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_on_no_front_and_in_no_ranking_until_it_was_measured_whole() -> None:
    whole, promising = records([(0.5, 2.0, 0.0), (0.25, 2.0, 0.0)])
    given_up = promising.model_copy(update={"measurement": _cut_short(promising)})
    assert pareto_front([ORIGINAL, whole, given_up], ORIGINAL) == {1}
    assert [record.number for record in ranking([ORIGINAL, whole, given_up], ORIGINAL, "size")] == [1]


def test_worth_completing_is_what_was_given_up_and_would_be_on_the_front_as_far_as_is_known() -> None:
    whole, better, worse = records([(0.5, 2.0, 0.0), (0.25, 2.0, 0.01), (0.5, 1.0, 0.01)])
    better = better.model_copy(update={"measurement": _cut_short(better), "recipe": Recipe(format="openvino")})
    worse = worse.model_copy(update={"measurement": _cut_short(worse), "recipe": Recipe(format="pytorch", seed=1)})
    known = [ORIGINAL, whole, better, worse]

    def numbers(records: list[TrialRecord], **written: Any) -> list[int]:
        return [record.number for record in worth_completing(records, ORIGINAL, limits(**written))]

    assert numbers(known) == [2]
    assert numbers([ORIGINAL, whole, better.model_copy(update={"violations": {"quality_drop": 0.1}}), worse]) == []
    assert numbers([*known, better.model_copy(update={"number": 4, "status": Status.RUNNING})]) == []


def test_of_a_recipe_that_was_measured_once_more_that_alone_is_on_the_front() -> None:
    first, again = records([(0.5, 2.0, 0.0), (0.5, 1.8, 0.0)])
    again = again.model_copy(update={"origin": "retry"})
    original = ORIGINAL.model_copy(update={"recipe": Recipe(format="pytorch", seed=1)})
    assert pareto_front([original, first, again], original) == {2}
    assert [record.number for record in ranking([original, first, again], original, "size")] == [2]
    failed = again.model_copy(update={"status": Status.FAILED, "measurement": None})
    assert pareto_front([original, first, failed], original) == {1}


def test_worth_completing_is_what_a_limit_on_memory_may_bring_to_the_front() -> None:
    (whole,) = records([(0.5, 2.0, 0.0)])
    unknown = whole.model_copy(update={"violations": {"size": -0.1, "ram": UNMEASURED_VIOLATION}})
    assert worth_completing([ORIGINAL, unknown], ORIGINAL, limits(ram="1GB", size="0.6x")) == [unknown]
    assert worth_completing([ORIGINAL, unknown], ORIGINAL, limits(size="0.6x")) == []
    too_large = unknown.model_copy(update={"violations": {"size": 0.1, "ram": UNMEASURED_VIOLATION}})
    assert worth_completing([ORIGINAL, too_large], ORIGINAL, limits(ram="1GB", size="0.4x")) == []


def _cut_short(record: TrialRecord) -> Measurement:
    assert record.measurement is not None
    return record.measurement.model_copy(update={"cut_short": "the limit on quality is surely broken"})


def test_each_preference_puts_its_own_figure_first() -> None:
    trials = records([(0.2, 1.0, 0.01), (0.8, 8.0, 0.02), (0.9, 1.2, -0.01), (0.25, 3.0, 0.02)])
    first = {
        prefer: ranking([ORIGINAL, *trials], ORIGINAL, prefer)[0].number
        for prefer in ("size", "latency", "quality", "balanced")
    }
    assert first == {"size": 1, "latency": 2, "quality": 3, "balanced": 4}


def test_equals_by_the_preference_are_ordered_by_size_times_speed_then_by_age() -> None:
    trials = records([(0.5, 1.0, 0.0), (0.5, 2.0, 0.0), (0.5, 2.0, 0.0)])
    assert [record.number for record in ranking(trials, ORIGINAL, "size")] == [2, 3, 1]


def test_neither_the_original_nor_what_breaks_a_limit_is_ranked() -> None:
    (broken_one,) = records([(0.1, 9.0, 0.5)], violations={"quality_drop": 4.0})
    assert ranking([ORIGINAL, broken_one], ORIGINAL, "balanced") == []


@given(st.lists(points, max_size=8), st.sampled_from(["size", "latency", "quality", "balanced"]))
def test_the_best_is_always_on_the_front_or_equal_to_it(figures: list[Any], prefer: Any) -> None:
    trials = records(figures)
    ranked = ranking(trials, ORIGINAL, prefer)
    assert {record.number for record in ranked} == {record.number for record in trials}
    if ranked and prefer == "balanced":
        best = objective_values(ranked[0], ORIGINAL)
        assert best is not None
        assert not any(
            other[0] + other[1] < best[0] + best[1]
            for record in trials
            if (other := objective_values(record, ORIGINAL))
        )


def test_the_nearest_misses_come_first() -> None:
    misses = [
        trial(1, [], "onnx", measurement(size=1), violations={"size": 0.9, "quality_drop": -5.0}),
        trial(2, [], "onnx", measurement(size=1), violations={"size": 0.1, "quality_drop": 0.2}),
        trial(3, [], "onnx", measurement(size=1), violations={"size": -0.1, "quality_drop": -0.2}),
        trial(4, [], "onnx", status=Status.CRASHED),
        ORIGINAL.model_copy(update={"violations": {"size": 0.01}}),
    ]
    assert [record.number for record in nearest_misses(misses, ORIGINAL)] == [2, 1]


def test_the_binding_limit_is_the_one_that_most_trials_break() -> None:
    one, two = {"size": 0.1, "latency": -1.0}, {"size": 0.1, "latency": 5.0}
    assert binding_constraint(records([(1, 1, 0)], violations=one) + records([(1, 1, 0)], violations=two)) == "size"
    assert binding_constraint(records([(1, 1, 0)], violations=two)) == "latency"
    assert binding_constraint(records([(1, 1, 0)], violations={"size": 0.0})) is None
