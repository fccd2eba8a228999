"""The Pareto front of feasible trials, kept up to date as they come."""

from __future__ import annotations

import math

from autocompress.dominance import dominates
from autocompress.tui.model.trial import Trial

Point = tuple[float, float, float]


def point_of(trial: Trial) -> Point | None:
    """What is minimised: log size, log latency against the original, drop. None unless the trial has all three."""
    if not trial.is_measured:
        return None
    assert trial.size_bytes is not None
    assert trial.speedup is not None
    assert trial.drop is not None
    if not (math.isfinite(trial.drop.value) and trial.speedup.value > 0 and trial.size_bytes > 0):
        return None
    return math.log(trial.size_bytes), -math.log(trial.speedup.value), trial.drop.value


class Front:
    """The feasible trials that no other feasible one dominates; none that was given up is among them."""

    def __init__(self) -> None:
        self._points: dict[int, Point] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._points

    def __len__(self) -> int:
        return len(self._points)

    @property
    def numbers(self) -> frozenset[int]:
        """Of the trials on the front."""
        return frozenset(self._points)

    def add(self, trial: Trial, *, feasible: bool | None = None) -> bool:
        """Take in a trial; tells whether it is on the front now.

        Args:
            trial: a trial that ended.
            feasible: whether it is inside the limits, where those are not the ones that it was judged by.
        """
        counts = (trial.is_feasible if feasible is None else feasible) and not (trial.is_given_up or trial.is_repeated)
        point = point_of(trial) if counts else None
        if point is None or any(dominates(other, point) for other in self._points.values()):
            return False
        for number in [n for n, other in self._points.items() if dominates(point, other)]:
            del self._points[number]
        self._points[trial.number] = point
        return True
