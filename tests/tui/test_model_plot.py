"""Where trials are on the plot, and what its scales say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompress.tui.attachment import Attachment
from autocompress.tui.model.plot import linear_ticks, log_ticks, scene
from autocompress.tui.model.run_state import RunState
from autocompress.tui.model.view import AXES

PAIRS = [kind for kind in AXES if "×" in kind]


@pytest.fixture(scope="module")
def state(synthetic_run: Path) -> RunState:
    attachment = Attachment("synthetic", synthetic_run / "events.jsonl", synthetic_run)
    attachment.poll(60)
    return attachment.state


@pytest.mark.parametrize("kind", PAIRS)
def test_front_original_and_limits_are_always_seen(state: RunState, kind: str) -> None:
    drawn = scene(state, kind, state.trials.values())
    assert {dot.trial.number for dot in drawn.front} == set(state.front.numbers)
    assert drawn.original is not None
    for dot in (*drawn.front, drawn.original):
        assert 0 <= dot.x <= 1
        assert 0 <= dot.y <= 1
    if kind.startswith("size"):
        assert drawn.x_limit is not None
    if kind.endswith("quality"):
        assert drawn.y_limit is not None


@pytest.mark.parametrize("kind", PAIRS)
def test_every_measured_trial_is_drawn_or_counted(state: RunState, kind: str) -> None:
    drawn = scene(state, kind, state.trials.values())
    measured = [trial for trial in state.trials.values() if trial.is_measured]
    assert len(drawn.dots) + len(drawn.front) + 1 + sum(drawn.outside.values()) == len(measured)


@pytest.mark.parametrize("kind", PAIRS)
def test_left_and_up_are_better(state: RunState, kind: str) -> None:
    drawn = scene(state, kind, state.trials.values())
    by_x = sorted(drawn.dots, key=lambda dot: dot.x)
    left, right = (drawn.across.value(dot.trial) for dot in (by_x[0], by_x[-1]))
    assert left is not None
    assert right is not None
    assert left < right
    edge = drawn.edge
    assert edge == sorted(edge)
    assert [y for _, y in edge] == sorted(y for _, y in edge)


def test_the_edge_dominates_the_rest_of_the_front_on_these_axes(state: RunState) -> None:
    drawn = scene(state, PAIRS[0], state.trials.values())
    for dot in drawn.front:
        assert any(x <= dot.x and y >= dot.y for x, y in drawn.edge)


def test_walking_along_the_front_goes_from_left_to_right_and_stops_at_its_ends(state: RunState) -> None:
    drawn = scene(state, PAIRS[0], state.trials.values())
    numbers = [dot.trial.number for dot in drawn.front]
    walked, here = [], drawn.along_front(None, 1)
    for _ in numbers:
        walked.append(here)
        here = drawn.along_front(here, 1)
    assert walked == numbers
    assert here == numbers[-1]


def test_shapes_tell_thirds_of_the_front(state: RunState) -> None:
    drawn = scene(state, PAIRS[0], state.trials.values())
    assert len(drawn.buckets) == 2
    by_latency = sorted(drawn.front, key=lambda dot: dot.trial.p50_ms or 0)
    buckets = [drawn.bucket(dot.trial) for dot in by_latency]
    assert buckets == sorted(bucket for bucket in buckets if bucket is not None)
    assert set(buckets) == {0, 1, 2}


def test_a_run_without_trials_has_an_empty_plot() -> None:
    assert scene(RunState(), PAIRS[0], []).is_empty


@given(
    low=st.floats(1e-6, 1e6),
    ratio=st.floats(1.001, 1e5),
    most=st.integers(1, 12),
)
def test_ticks_lie_within_the_scale(low: float, ratio: float, most: int) -> None:
    high = low * ratio
    for ticks in (log_ticks(low, high, most), linear_ticks(low, high, most)):
        for value, text in ticks:
            assert low * (1 - 1e-6) <= value <= high * (1 + 1e-6)
            assert math.isfinite(float(text.replace("−", "-")))
