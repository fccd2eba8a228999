"""The orders that trials can be put in; what was not measured comes last in either direction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from autocompress.tui.model.trial import Trial

Figure = Callable[[Trial], float | str | None]

FIGURES: dict[str, Figure] = {
    "number": lambda trial: trial.number,
    "status": lambda trial: trial.status if trial.status != "complete" else "" if trial.is_feasible else "a",
    "recipe": lambda trial: trial.label,
    "size": lambda trial: trial.size_bytes,
    "latency": lambda trial: trial.p50_ms,
    "speed": lambda trial: trial.speedup.value if trial.speedup else None,
    "quality": lambda trial: trial.quality,
    "drop": lambda trial: trial.drop.value if trial.drop else None,
    "ram": lambda trial: trial.ram_bytes,
    "vram": lambda trial: trial.vram_bytes,
    "seconds": lambda trial: trial.wall_seconds,
}
SORTS = tuple(FIGURES)
DESCENDING_AT_FIRST = frozenset({"number", "speed", "quality"})
"""Of these more is better, or newer, and comes first when a column is chosen."""


def in_order(trials: Iterable[Trial], by: str, *, descending: bool) -> list[Trial]:
    """The trials by a figure; equal ones by their number."""
    if by == "number":  # as they ended, which is by number but where trials run side by side
        rows = sorted(trials, key=lambda trial: trial.number)
        return rows[::-1] if descending else rows
    figure = FIGURES[by]
    known: list[tuple[Any, Trial]] = []  # all figures are numbers, or all texts
    unknown: list[Trial] = []
    for trial in trials:
        value = figure(trial)
        if value is None or value != value:
            unknown.append(trial)
        else:
            known.append((value, trial))
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [*(trial for _, trial in known), *unknown]
