"""How much of each limit a trial uses, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from autocompress.limits import SMALLEST_DROP_SCALE, Bound
from autocompress.tui.model.trial import Interval, Trial

Verdict = Literal["kept", "broken", "unsure", "not measured"]
LIMIT_WORDS = {"quality_drop": "quality drop", "size": "size", "latency": "latency", "ram": "RAM", "vram": "VRAM"}


@dataclass(frozen=True)
class Headroom:
    """A limit and what a trial uses of it.

    Attributes:
        name: of the limit.
        bound: the limit.
        figure: the trial's own, in the limit's terms: bytes, milliseconds, the metric's unit, or relative to the
            original; None where it was not measured.
    """

    name: str
    bound: Bound
    figure: Interval | None

    @property
    def used(self) -> float | None:
        """The figure as a share of the limit: 1 is just inside."""
        return None if self.figure is None else self._share(self.figure.value)

    @property
    def used_interval(self) -> tuple[float, float] | None:
        """The ends of the figure's interval as shares of the limit; None for figures without one."""
        if self.figure is None or self.figure.low == self.figure.high:
            return None
        return self._share(self.figure.low), self._share(self.figure.high)

    @property
    def verdict(self) -> Verdict:
        """Whether the limit is kept; ``unsure`` where the figure's interval holds values on both sides of it."""
        if self.figure is None or not math.isfinite(self.figure.value):
            return "not measured"
        if self.figure.low <= self.bound.bound < self.figure.high:
            return "unsure"
        return "kept" if self.figure.value <= self.bound.bound else "broken"

    def _share(self, value: float) -> float:
        scale = max(self.bound.bound, SMALLEST_DROP_SCALE) if self.name == "quality_drop" else self.bound.bound
        return 1 + (value - self.bound.bound) / scale

    @property
    def in_words(self) -> str:
        """``46 % left``, ``over by 12 %``, and whether the interval leaves it open."""
        used = self.used
        if used is None or self.verdict == "not measured":
            return "not measured, so it counts as broken"
        left = 1 - used
        if abs(left) < 0.0005:
            words = "just inside" if left >= 0 else "just over"
        elif abs(left) < 0.1:
            words = f"{left * 100:.1f} % left" if left > 0 else f"over by {-left * 100:.1f} %"
        else:
            words = f"{left * 100:.0f} % left" if left > 0 else f"over by {-left * 100:.0f} %"
        return f"{words}, unsure" if self.verdict == "unsure" else words


def headrooms(constraints: Mapping[str, Bound], trial: Trial, original: Trial | None) -> list[Headroom]:
    """One for each limit, in the order of the limits."""
    return [Headroom(name, bound, figure_for(name, bound, trial, original)) for name, bound in constraints.items()]


def figure_for(name: str, bound: Bound, trial: Trial, original: Trial | None) -> Interval | None:
    """A trial's figure in the terms that a limit is written in."""
    if name == "quality_drop":
        return trial.relative_drop if bound.relative else trial.drop
    if name == "latency" and bound.relative and trial.speedup is not None:
        speedup = trial.speedup
        if speedup.value <= 0 or speedup.low <= 0:
            return None
        return Interval(1 / speedup.value, 1 / speedup.high, 1 / speedup.low)
    value, its = _counted(name, trial), _counted(name, original) if original else None
    if value is None or (bound.relative and not its):
        return None
    figure = value / its if bound.relative and its else value
    return Interval(figure, figure, figure)


def _counted(name: str, trial: Trial) -> float | None:
    return {"size": trial.size_bytes, "latency": trial.p50_ms, "ram": trial.ram_bytes, "vram": trial.vram_bytes}[name]
