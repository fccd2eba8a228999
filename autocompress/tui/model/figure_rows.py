"""A trial's figures as rows for people: each with its interval where it has one, a dash where it wasn't measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from autocompress.report.numbers import NOT_MEASURED, joules, megabytes, metric, milliseconds, ratio, signed
from autocompress.rounding import MINUS, significant
from autocompress.tui.model.run_state import Metric
from autocompress.tui.model.ties import exact
from autocompress.tui.model.trial import EnergyFigure, Interval, Trial


@dataclass(frozen=True)
class FigureRow:
    """One figure of one trial.

    Attributes:
        name: what it is, with its unit.
        text: the figure; a dash where it was not measured.
        interval: what covers it, in the figure's own unit; empty without one.
        limit: the limit that is about it, if one can be; ``is_relative`` where it must be a relative one.
        ranked_by: what decides whether it is better than another trial's; None where nothing tells its error.
        smaller_is_better: which way it is better.
    """

    name: str
    text: str
    interval: str = ""
    limit: str | None = None
    is_relative: bool = False
    ranked_by: Interval | None = None
    smaller_is_better: bool = True

    @property
    def is_measured(self) -> bool:
        """Whether there is a figure."""
        return self.text != NOT_MEASURED


def figure_rows(trial: Trial, quality: Metric | None, *, with_energy: bool) -> list[FigureRow]:
    """All figures, the same rows for every trial; those of energy where it is known of any that is shown."""
    points = quality.is_rate if quality else False
    name = quality.name if quality else "quality"
    unit = " pp" if points else ""
    change, relative = gained(trial.drop), gained(trial.relative_drop)
    return [
        FigureRow("size MB", megabytes(trial.size_bytes), "", "size", False, exact(trial.size_bytes)),
        FigureRow("size vs original", ratio(trial.size_ratio), "", "size", True, exact(trial.size_bytes)),
        FigureRow("latency p50 ms", _contended(milliseconds(trial.p50_ms), trial), "", "latency"),
        FigureRow("latency p95 ms", _contended(milliseconds(trial.p95_ms), trial)),
        FigureRow(
            "speed vs original",
            _contended(ratio(trial.speedup.value if trial.speedup else None), trial),
            _brackets(trial.speedup, significant),
            "latency",
            True,
            trial.speedup,
            smaller_is_better=False,
        ),
        FigureRow(name, metric(trial.quality, is_rate=points)),
        FigureRow(
            f"{name} change",
            NOT_MEASURED if change is None else f"{signed(change.value, points=points)}{unit}",
            _brackets(change, lambda value: signed(value, points=points)),
            "quality_drop",
            False,
            trial.drop,
        ),
        FigureRow(
            "relative change",
            NOT_MEASURED if relative is None else share_text(relative.value),
            _brackets(relative, lambda value: share_text(value, unit="")),
            "quality_drop",
            True,
            trial.relative_drop,
        ),
        FigureRow("RAM MB", megabytes(trial.ram_bytes), "", "ram"),
        FigureRow("VRAM MB", megabytes(trial.vram_bytes), "", "vram"),
        *(_energy_rows(trial.energy) if with_energy else ()),
    ]


def _energy_rows(energy: EnergyFigure | None) -> list[FigureRow]:
    against = energy.ratio if energy else None
    return [
        FigureRow("energy J", joules(energy.joules_per_sample if energy else None)),
        FigureRow(
            "energy vs original",
            ratio(against.value if against else None),
            _brackets(against, significant),
            ranked_by=against,
        ),
    ]


def gained(drop: Interval | None) -> Interval | None:
    """A drop as a change: negative when something was lost."""
    return None if drop is None else Interval(-drop.value + 0.0, -drop.high + 0.0, -drop.low + 0.0)


def share_text(value: float, unit: str = " %") -> str:
    """A signed share as percent: ``−1.5 %``."""
    if not math.isfinite(value):
        return significant(value)
    digits = 2 if 0 < abs(value) < 0.0005 else 1
    text = f"{abs(value) * 100:.{digits}f}"
    sign = "" if float(text) == 0 else "+" if value > 0 else MINUS
    return f"{sign}{text}{unit}"


def _contended(text: str, trial: Trial) -> str:
    return f"~{text}" if trial.contended and text != NOT_MEASURED else text


def _brackets(interval: Interval | None, text: Callable[[float], str]) -> str:
    if interval is None or interval.low == interval.high:
        return ""
    return f"[{text(interval.low)}, {text(interval.high)}]"
