"""The recorded run: what it holds, how its clock runs, and that playing it back loads nothing of a search."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autocompress.demo.recording import RECORDING, recorded_lines
from autocompress.tui.model.run_state import FINISHED, PAUSED, RUNNING, STARTING, RunState
from autocompress.tui.replay import SECONDS_OF_A_PLAYBACK, ReplayAttachment

LARGEST_BYTES = 100_000


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def event(kind: str, time: float, **fields: Any) -> bytes:
    return json.dumps({"seq": 0, "time": time, "kind": kind, **fields}).encode() + b"\n"


STAGE = {"number": 0, "stage": "load model"}
LINES = [
    event(
        "run_started", 1000.0, name="demo", model="m", trials=2, timeout_seconds=None, constraints={}, prefer="balanced"
    ),
    event("trial_started", 1010.0, number=0, labels=[], format="onnx", origin="baseline", stages=["load model"]),
    event("stage_started", 1020.0, **STAGE),
    event("stage_finished", 1040.0, **STAGE, seconds=20.0),
    event("run_finished", 1060.0, reason="done"),
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def played(clock: Clock, speed: float | None = None) -> ReplayAttachment:
    attachment = ReplayAttachment(speed, LINES, clock)
    attachment.poll()
    return attachment


def test_events_are_revealed_when_their_time_comes(clock: Clock) -> None:
    replay = played(clock, speed=10)
    assert (replay.state.name, replay.state.activity, replay.state.running) == ("demo", STARTING, None)
    clock.seconds += 0.9
    assert not replay.poll()
    clock.seconds += 0.1
    assert replay.poll()
    assert replay.state.activity == RUNNING
    clock.seconds += 3.5
    replay.poll()
    assert replay.state.running is not None
    assert replay.state.running.stages[0].seconds == 20.0
    assert replay.is_alive
    clock.seconds += 60
    replay.poll()
    assert replay.state.activity == FINISHED
    assert not replay.is_alive
    replay.close()


def test_the_run_s_clock_shows_the_recorded_time(clock: Clock) -> None:
    replay = played(clock, speed=10)
    started = replay.state.started
    assert started is not None
    for passed, elapsed in ((2.0, 20.0), (1.5, 35.0), (10.0, 60.0), (10.0, 60.0)):
        clock.seconds += passed
        assert replay.now() - started == pytest.approx(elapsed, abs=0.01)
    replay.close()


def test_all_of_it_takes_half_a_minute_unless_a_speed_is_given(clock: Clock) -> None:
    replay = played(clock)
    assert replay.speed == 60.0 / SECONDS_OF_A_PLAYBACK
    clock.seconds += SECONDS_OF_A_PLAYBACK - 0.1
    replay.poll()
    assert replay.state.ending is None
    clock.seconds += 0.1
    replay.poll()
    assert replay.state.ending is not None
    replay.close()


def test_it_stands_still_while_it_is_paused(clock: Clock) -> None:
    replay = played(clock, speed=10)
    clock.seconds += 1.5
    replay.poll()
    assert replay.toggle_playback()
    replay.poll()
    assert replay.is_paused
    assert replay.state.activity == PAUSED
    before = replay.now()
    clock.seconds += 100
    assert not replay.poll()
    assert replay.now() == before
    assert replay.is_alive
    assert replay.toggle_playback()
    replay.poll()
    assert replay.state.activity == RUNNING
    clock.seconds += 4.5
    replay.poll()
    assert replay.state.activity == FINISHED
    replay.close()


def test_nothing_can_be_asked_of_it(clock: Clock) -> None:
    replay = played(clock)
    assert replay.is_recording
    assert not replay.can_be_steered
    replay.close()


def test_the_recording_is_a_whole_run_that_a_reader_understands() -> None:
    assert RECORDING.stat().st_size < LARGEST_BYTES
    lines = recorded_lines()
    state = RunState()
    state.take([(line, None) for line in lines])
    assert state.name == "demo"
    assert state.n_ended == state.total >= 14
    assert state.best_trial is not None
    assert state.ending is not None
    assert state.ending.certified is not None
    assert len(state.front) > 2
    assert state.counts["complete"] > 10
    assert all(trial.error or trial.is_measured for trial in state.trials.values())


def test_the_recording_tells_nothing_of_the_machine_it_was_made_on() -> None:
    text = b"".join(recorded_lines()).decode()
    assert "/root" not in text
    assert "/home" not in text
    assert "/tmp" not in text
