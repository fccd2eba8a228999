"""What a run suggests to whoever watches it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from autocompress.tui.attachment import Attachment
from autocompress.tui.model.advice import PLATEAU_TRIALS, advice
from autocompress.tui.model.run_state import PAUSED, STOPPING, RunState


def state_of(synthetic: ModuleType, folder: Path, n_trials: int, limits: str = "1pp") -> RunState:
    log = synthetic.write_run(folder, n_trials)
    log.write_text(log.read_text(encoding="utf-8").replace('"quality_drop":"1pp"', f'"quality_drop":"{limits}"'))
    attachment = Attachment("run", log, folder)
    attachment.poll(60)
    return attachment.state


def test_a_plateau_is_told_with_what_to_do(synthetic: ModuleType, tmp_path: Path) -> None:
    state = state_of(synthetic, tmp_path, 60)
    assert advice(state) is None
    newest = max(state.trials)
    state.last_improvement = newest - PLATEAU_TRIALS
    assert advice(state) == f"no improvement for {PLATEAU_TRIALS} trials; Q stops after this one"
    state.activity = PAUSED
    assert advice(state) is not None
    state.activity = STOPPING
    assert advice(state) is None


def test_trials_since_the_front_changed_are_counted_in_the_order_in_which_they_ended(
    synthetic: ModuleType, tmp_path: Path
) -> None:
    state = state_of(synthetic, tmp_path, 20)
    *before, one, other = state.trials
    state.trials = {number: state.trials[number] for number in (*before, other, one)}  # side by side
    state.last_improvement = one
    assert state.since_improvement == 0
    state.last_improvement = other
    assert state.since_improvement == 1


def test_limits_that_nothing_keeps_are_told_with_the_nearest_trial(synthetic: ModuleType, tmp_path: Path) -> None:
    state = state_of(synthetic, tmp_path, 40, limits="0.000001pp")
    state.best = None
    for trial in state.trials.values():
        trial.violations = {"size": 0.5 + trial.number}
    assert advice(state) == "nothing within the limits yet; #1 is nearest, 150% over; w tries other limits"


def test_many_failures_are_told_first(synthetic: ModuleType, tmp_path: Path) -> None:
    state = state_of(synthetic, tmp_path, 40)
    for number in list(state.trials)[-7:]:
        state.trials[number].status = "failed"
    assert (advice(state) or "").startswith("7 of the last 10 trials failed")


def test_an_empty_run_has_nothing_to_say() -> None:
    assert advice(RunState()) is None
