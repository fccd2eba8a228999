"""How much the front holds: the exact volume that it dominates, and how that grew with the trials.

The volume lies between the front and a reference: the original's size, twice its latency, and the drop that is
allowed. What a trial is worse than the reference in counts for nothing.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from autocompress.tui.model.front import Front, Point, point_of
from autocompress.tui.model.run_state import RunState

SLOWEST = 2.0
DROP_WITHOUT_LIMIT = 0.1
"""Of the original's value."""


def volume(points: Sequence[Point], reference: Point) -> float:
    """The volume between a reference and the points that are smaller than it in all three figures.

    Planes are swept along the third figure; between two of them the area is that of the points passed so far.
    """
    inside = sorted(
        (point for point in points if all(p < r for p, r in zip(point, reference, strict=True))),
        key=lambda point: point[2],
    )
    total, stairs, covered = 0.0, _Stairs(reference[0], reference[1]), 0.0
    for at, (x, y, z) in enumerate(inside):
        covered += stairs.add(x, y)
        until = inside[at + 1][2] if at + 1 < len(inside) else reference[2]
        total += covered * (until - z)
    return total


class _Stairs:
    """The lower left edge of points in a plane, from left to right and so from high to low."""

    def __init__(self, right: float, top: float) -> None:
        self._right, self._top = right, top
        self._xs: list[float] = []
        self._ys: list[float] = []

    def add(self, x: float, y: float) -> float:
        """Take in a point; gives the area that it adds."""
        xs, ys = self._xs, self._ys
        at = bisect_left(xs, x)
        above = ys[at - 1] if at else self._top
        if above <= y:
            return 0.0
        added, left, end = 0.0, x, at
        while end < len(xs) and ys[end] >= y:
            added += (xs[end] - left) * (above - y)
            left, above = xs[end], ys[end]
            end += 1
        right = xs[end] if end < len(xs) else self._right
        added += (right - left) * (above - y)
        xs[at:end], ys[at:end] = [x], [y]
        return added


@dataclass(frozen=True)
class Gain:
    """A trial that made the front larger, and the volume from then on."""

    number: int
    volume: float


class HypervolumeHistory:
    """The volume after each trial that changed it; takes in trials as they come."""

    def __init__(self) -> None:
        self._begin(None)

    def _begin(self, of: object) -> None:
        self.gains: list[Gain] = []
        self._of = of
        self._n_taken = 0
        self._front = Front()

    def take(self, state: RunState, seconds: float = 0.03) -> bool:
        """Take in what is new, for so long at most; tells whether that was all."""
        reference = reference_of(state)
        of = (state, reference, tuple(sorted((name, bound.written) for name, bound in state.constraints.items())))
        if of != self._of or self._n_taken > len(state.trials):
            self._begin(of)
        if reference is None:
            return True
        until = time.monotonic() + seconds
        for trial in list(islice(state.trials.values(), self._n_taken, None)):
            self._n_taken += 1
            if self._front.add(trial):
                points = {n: p for n in self._front.numbers if (p := point_of(state.trials[n])) is not None}
                grown = volume(list(points.values()), reference)
                if not self.gains or grown > self.gains[-1].volume * (1 + 1e-12):
                    self.gains.append(Gain(trial.number, grown))
            if time.monotonic() > until:
                return False
        return True


def reference_of(state: RunState) -> Point | None:
    """Size and latency as in `point_of`, and the drop; None before the original was measured."""
    original = state.original
    point = point_of(original) if original is not None else None
    if original is None or point is None:
        return None
    bound, quality = state.constraints.get("quality_drop"), abs(original.quality or 1.0)
    drop = DROP_WITHOUT_LIMIT * quality
    if bound is not None:
        drop = bound.bound * quality if bound.relative else bound.bound
    return point[0], point[1] + math.log(SLOWEST), drop
