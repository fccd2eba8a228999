"""Limits and preference over the flat rows: which trials are feasible, and which of them is the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autocompress.limits import Bound, Figures, excess
from autocompress.tui.model.front import Front, point_of
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
    size, latency, drop = point
    balanced = size + latency
    return {"size": size, "latency": latency, "quality": drop, "balanced": balanced}[prefer], balanced, trial.number


@dataclass(frozen=True)
class Verdicts:
    """What would be feasible, on the front and best under some limits."""

    feasible: frozenset[int]
    front: frozenset[int]
    best: int | None


def verdicts(trials: Iterable[Trial], original: Trial, constraints: Mapping[str, Bound], prefer: str) -> Verdicts:
    """Judge all trials under other limits, without changing them."""
    front, feasible = Front(), {}
    for trial in trials:
        broken = measured_violations(constraints, trial, original)
        if point_of(trial) is not None and all(by <= 0 for by in broken.values()):
            feasible[trial.number] = trial
            front.add(trial, feasible=True)
    candidates = [trial for number, trial in feasible.items() if number != original.number]
    best = min(candidates, key=lambda trial: preference_key(prefer, trial), default=None)
    return Verdicts(frozenset(feasible), front.numbers, best.number if best else None)
