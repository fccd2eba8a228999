"""What a run suggests to whoever watches it, in one sentence."""

from __future__ import annotations

from itertools import islice

from autocompress.tui.model.front import point_of
from autocompress.tui.model.run_state import FINISHED, STOPPING, RunState

PLATEAU_TRIALS = 40
FEASIBLE_BY = 12
"""After so many trials without a feasible one, the limits are worth a second look."""
N_LATEST, MOST_FAILURES = 10, 6


def advice(state: RunState) -> str | None:
    """A sentence, or None where there is nothing to say."""
    if state.activity in (FINISHED, STOPPING) or not state.trials:
        return None
    latest = list(islice(reversed(state.trials.values()), N_LATEST))
    n_failed = sum(trial.status != "complete" for trial in latest)
    if n_failed >= MOST_FAILURES:
        return f"{n_failed} of the last {len(latest)} trials failed; their cause is in the detail"
    if state.best is None and state.n_ended >= FEASIBLE_BY:
        return _nearest(state)
    since = state.since_improvement
    if since is not None and since >= PLATEAU_TRIALS:
        return f"no improvement for {since} trials; Q stops after this one"
    return None


def _nearest(state: RunState) -> str | None:
    """Which trial missed the limits by least."""
    missed = {
        trial.number: max(trial.violations.values(), default=0.0)
        for trial in state.trials.values()
        if point_of(trial) is not None and trial is not state.original
    }
    if not missed:
        return None
    number = min(missed, key=lambda each: missed[each])
    return f"nothing within the limits yet; #{number} is nearest, {missed[number]:.0%} over; w tries other limits"
