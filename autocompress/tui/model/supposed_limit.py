"""A limit that is moved to see what would change: its value, its unit, and how many trials it lets through."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autocompress.limits import BYTE_UNITS, LIMIT_NAMES, NUMBER, Bound, parse_bound
from autocompress.tui.model.headroom import figure_for
from autocompress.tui.model.judging import measured_violations
from autocompress.tui.model.run_state import Metric, RunState
from autocompress.tui.model.trial import Trial

SMALLEST_STEP = 0.05
"""Of a drop, which can go down to nothing."""
COARSE = 5
DIGITS = 6
_WRITTEN = re.compile(rf"\s*{NUMBER}\s*([a-zA-Zµ%]*)\s*")
_DEFAULTS = {"quality_drop": 1.0, "size": 0.5, "latency": 0.5, "ram": 1.0, "vram": 1.0}


@dataclass(frozen=True)
class SupposedLimit:
    """A limit as a number and its unit, as people write it.

    Attributes:
        name: of the limit.
        number: what is written before the unit.
        unit: ``x``, ``%``, ``pp``, ``MB``, ``ms`` and the like; empty for a metric's own.
        is_on: whether it holds.
    """

    name: str
    number: float
    unit: str
    is_on: bool

    @classmethod
    def of(cls, name: str, written: str | None, metric: Metric | None) -> SupposedLimit:
        """The limit as it stands, or, where there is none, one to begin with, turned off."""
        match = _WRITTEN.fullmatch(written) if written else None
        if match is not None:
            return cls(name, float(match[1]), match[2], True)
        points = "pp" if metric and metric.is_rate else "%"
        return cls(name, _DEFAULTS[name], points if name == "quality_drop" else "x", False)

    @property
    def written(self) -> str:
        """As `parse_bound` reads it."""
        return f"{float(f'{self.number:.{DIGITS}g}'):.{DIGITS}g}{self.unit}"

    @property
    def bound(self) -> Bound:
        """The limit, whether it is on or not."""
        return parse_bound(self.name, self.written)

    def moved(self, by: int, *, coarse: bool = False) -> SupposedLimit:
        """A step down or up, of the second significant digit; a coarse one is five of them."""
        smallest = SMALLEST_STEP if self.name == "quality_drop" else 0.0
        near = self.number * (1 - 1e-9) if by < 0 else self.number
        step = max(smallest, 10.0 ** (math.floor(math.log10(near)) - 1) if near > 0 else SMALLEST_STEP)
        if coarse:
            step *= COARSE
        places = self.number / step
        number = step * (
            round(places) + by
            if math.isclose(places, round(places), abs_tol=1e-6)
            else math.floor(places) + (1 if by > 0 else 0)
        )
        if number <= 0:
            number = 0.0 if self.name == "quality_drop" else self.number
        return replace(self, number=float(f"{number:.{DIGITS}g}"), is_on=True)

    def with_written(self, text: str) -> SupposedLimit:
        """Another value, as it was typed; a bare number keeps the unit.

        Raises:
            ValueError: it is none; says how one is written.
        """
        match = _WRITTEN.fullmatch(text)
        number_alone = match is not None and not match[2]
        parse_bound(self.name, f"{text.strip()}{self.unit}" if number_alone else text)
        assert match is not None
        return replace(self, number=float(match[1]), unit=match[2] or self.unit, is_on=True)

    def to_figure(self, figure: float) -> SupposedLimit:
        """The smallest value of six digits that lets this figure through."""
        scale = (
            self.number / self.bound.bound if self.bound.bound else 1 / parse_bound(self.name, f"1{self.unit}").bound
        )
        number = figure * scale
        if number > 0:
            grain = 10.0 ** (math.floor(math.log10(number)) - DIGITS + 1)
            number = math.ceil(number / grain - 1e-9) * grain
        return replace(self, number=max(0.0, float(f"{number:.{DIGITS}g}")), is_on=True)

    def in_other_unit(self, original: Trial | None) -> SupposedLimit:
        """Relative to the original where it was absolute, and the other way round; the same where that isn't known."""
        its = _figure_of_original(self.name, original)
        if not its:
            return self
        if self.name == "quality_drop":
            # Points are of the metric's unit; a relative drop is over the original's value.
            if self.unit == "%":
                unit, number = "pp", self.number * its
            else:
                unit, number = "%", self.bound.bound / its * 100
        elif self.unit.lower() == "x":
            unit = "ms" if self.name == "latency" else "MB"
            number = self.number * its / (1 if self.name == "latency" else BYTE_UNITS["mb"])
        else:
            unit, number = "x", self.bound.bound / its
        return replace(self, number=float(f"{number:.3g}"), unit=unit)


def _figure_of_original(name: str, original: Trial | None) -> float | None:
    if original is None:
        return None
    figures = {
        "quality_drop": abs(original.quality) if original.quality else None,
        "size": original.size_bytes,
        "latency": original.p50_ms,
        "ram": original.ram_bytes,
        "vram": original.vram_bytes,
    }
    return figures[name]


def limits_of(state: RunState) -> list[SupposedLimit]:
    """All limits of a run, those that it does not have turned off; only limits on what can be measured."""
    limits = []
    for name in LIMIT_NAMES:
        bound = state.constraints.get(name)
        if bound is None and name == "vram" and state.device == "cpu":
            continue
        limits.append(SupposedLimit.of(name, bound.written if bound else None, state.metric))
    return limits


def bounds_of(limits: Iterable[SupposedLimit]) -> dict[str, Bound]:
    """Those that are on."""
    return {limit.name: limit.bound for limit in limits if limit.is_on}


class Figures:
    """What the measured trials have in a limit's terms, in order."""

    def __init__(self, limit: SupposedLimit, trials: Iterable[Trial], original: Trial | None) -> None:
        found = (figure_for(limit.name, limit.bound, trial, original) for trial in trials if trial.is_measured)
        self.values = sorted(figure.value for figure in found if figure is not None and math.isfinite(figure.value))

    def n_kept(self, bound: float) -> int:
        """How many are inside."""
        return bisect_right(self.values, bound)

    def next_value(self, bound: float, by: int) -> float | None:
        """The figure that a limit must be moved to, to let one trial more or one less through."""
        at = self.n_kept(bound)
        if by > 0:
            return self.values[at] if at < len(self.values) else None
        if at == 0:
            return None
        smaller = bisect_right(self.values, self.values[at - 1] * (1 - 1e-6) if self.values[at - 1] > 0 else -math.inf)
        smaller = min(smaller, at - 1)
        return self.values[smaller - 1] if smaller > 0 else None


def nearest_miss(
    trials: Iterable[Trial], original: Trial, constraints: Mapping[str, Bound]
) -> tuple[Trial, dict[str, float]] | None:
    """The measured trial that is over the limits by the least in all, and by how much over each."""
    best: tuple[float, Trial, dict[str, float]] | None = None
    for trial in trials:
        if not trial.is_measured or trial.number == original.number:
            continue
        over = {name: by for name, by in measured_violations(constraints, trial, original).items() if by > 0}
        total = sum(over.values())
        if best is None or total < best[0]:
            best = total, trial, over
    return (best[1], best[2]) if best else None
