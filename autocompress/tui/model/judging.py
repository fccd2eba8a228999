"""Limits and preference over the flat rows: which trials are feasible, and which of them is the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autocompress.dominance import nondominated
from autocompress.limits import Bound, Figures, excess
from autocompress.tui.model.front import Point, point_of
from autocompress.tui.model.trial import Trial


def figures_of(trial: Trial) -> Figures:
    """What limits are held against."""
    return Figures(
        size_bytes=trial.size_bytes,
        p50_ms=trial.p50_ms,
        speedup=trial.speedup.value if trial.speedup else None,
        drop=trial.drop.value if trial.drop else None,
        relative_drop=trial.relative_drop.value if trial.relative_drop else None,
        ram_bytes=trial.ram_bytes,
        vram_bytes=trial.vram_bytes,
    )


def measured_violations(constraints: Mapping[str, Bound], trial: Trial, original: Trial) -> dict[str, float]:
    """By how much each limit is exceeded, as a share of it."""
    mine, its = figures_of(trial), figures_of(original)
    return {name: excess(name, bound, mine, its) for name, bound in constraints.items()}


def preference_key(prefer: str, trial: Trial) -> tuple[float, float, int]:
    """The smallest is the best; of trials that have the three figures of a front."""
    point = point_of(trial)
    assert point is not None
    return _key(prefer, trial, point)


def _key(prefer: str, trial: Trial, point: Point) -> tuple[float, float, int]:
    size, latency, drop = point
    balanced = round(size + latency, 9)
    return {"size": size, "latency": latency, "quality": drop, "balanced": balanced}[prefer], balanced, trial.number


@dataclass(frozen=True)
class Verdicts:
    """What would be feasible and on the front under some limits, and in which order of preference.

    What was given up can be feasible, by what is known of it; on the front and in the order it is not.
    """

    feasible: frozenset[int]
    front: frozenset[int]
    ranking: tuple[Trial, ...]

    @property
    def best(self) -> int | None:
        """The first of the ranking, which the original has no part in."""
        return self.ranking[0].number if self.ranking else None


class Candidates:
    """The measured trials of a run, with what judging them again and again needs worked out once.

    Args:
        trials: all that ended.
        original: what they are compared with.
    """

    def __init__(self, trials: Iterable[Trial], original: Trial) -> None:
        self._original, self._its = original, figures_of(original)
        self._measured = [
            (trial, figures_of(trial), point) for trial in trials if (point := point_of(trial)) is not None
        ]

    def verdicts(self, constraints: Mapping[str, Bound], prefer: str) -> Verdicts:
        """Judge all trials under other limits, without changing them."""
        limits = list(constraints.items())
        feasible: list[int] = []
        points: dict[int, Point] = {}
        order: list[tuple[tuple[float, float, int], Trial]] = []
        for trial, figures, point in self._measured:
            if any(excess(name, bound, figures, self._its) > 0 for name, bound in limits):
                continue
            feasible.append(trial.number)
            if trial.is_given_up or trial.is_repeated:
                continue
            points[trial.number] = point
            if trial is not self._original:
                order.append((_key(prefer, trial, point), trial))
        order.sort()
        return Verdicts(frozenset(feasible), nondominated(points), tuple(trial for _, trial in order))
