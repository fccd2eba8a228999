"""What matters: how much of the figures' spread each choice in the recipes explains.

For every method (absent, or present with its main knob) and the format, the share of the variance that lies between
its values, less what so many values would explain by chance (epsilon squared). Choices that go together share what
they explain, so the shares need not add up to one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from autocompress.tui.model.front import Point, point_of
from autocompress.tui.model.trial import Trial

FEWEST_TRIALS = 12
MOST_TRIALS = 1_000
FEWEST_OF_A_VALUE = 2


@dataclass(frozen=True)
class Importance:
    """How much a choice explains of size, latency and drop, 0 to 1."""

    choice: str
    size: float
    latency: float
    drop: float

    @property
    def overall(self) -> float:
        """The mean of the three."""
        return (self.size + self.latency + self.drop) / 3


def importances(trials: Iterable[Trial]) -> list[Importance]:
    """All choices, what matters most first; none of fewer than twelve measured trials."""
    measured = [(trial, point) for trial in trials if (point := point_of(trial)) is not None]
    if len(measured) < FEWEST_TRIALS:
        return []
    stride = -(-len(measured) // MOST_TRIALS)
    measured = measured[::stride]
    points = [point for _, point in measured]
    found = [_importance(choice, values, points) for choice, values in _choices([t for t, _ in measured]).items()]
    return sorted(found, key=lambda each: -each.overall)


def _choices(trials: Sequence[Trial]) -> dict[str, list[Hashable]]:
    """Each choice's value in every trial."""
    chosen: dict[str, list[Hashable]] = defaultdict(lambda: [None] * len(trials))
    for at, trial in enumerate(trials):
        chosen["format"][at] = trial.format
        for label in trial.labels:
            method, _, knob = label.partition(" ")
            chosen[method][at] = (chosen[method][at], knob)  # a method may come twice
    return {choice: values for choice, values in chosen.items() if len(set(values)) > 1}


def _importance(choice: str, values: Sequence[Hashable], points: Sequence[Point]) -> Importance:
    size, latency, drop = (explained(values, [point[axis] for point in points]) for axis in range(3))
    return Importance(choice, size, latency, drop)


def explained(values: Sequence[Hashable], figures: Sequence[float]) -> float:
    """The share of the figures' variance that lies between the values, 0 to 1 (epsilon squared)."""
    groups: dict[Hashable, list[float]] = {}  # how many, their sum, the sum of their squares; from the first figure on
    origin = figures[0] if figures else 0.0
    for value, figure in zip(values, figures, strict=True):
        away = figure - origin
        group = groups.get(value)
        if group is None:
            groups[value] = [1, away, away * away]
        else:
            group[0] += 1
            group[1] += away
            group[2] += away * away
    kept = [group for group in groups.values() if group[0] >= FEWEST_OF_A_VALUE]
    n, summed, squares = (sum(group[at] for group in kept) for at in range(3))
    if len(kept) < 2 or n <= len(kept):
        return 0.0
    total = squares - summed**2 / n
    if total <= 0:
        return 0.0
    within = max(0.0, squares - sum(group[1] ** 2 / group[0] for group in kept))
    by_chance = (len(kept) - 1) * within / (n - len(kept))
    return min(1.0, max(0.0, (total - within - by_chance) / total))
