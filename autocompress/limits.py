"""Limits as people write them, and how far figures exceed them: plain numbers, the standard library alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

LIMIT_NAMES = ("quality_drop", "size", "latency", "ram", "vram")

UNMEASURED_VIOLATION = 1.0
"""A limit on a figure that could not be measured counts as broken by as much as the limit itself."""

SMALLEST_DROP_SCALE = 1e-3
"""A limit of "no drop at all" is broken in units of a tenth of a percentage point."""

NUMBER = r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
BYTE_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MILLISECOND_UNITS = {"ms": 1.0, "s": 1000.0, "us": 0.001}
_SECOND_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper limit: in the figure's unit (bytes, milliseconds, the metric's own), or relative to the original's."""

    bound: float
    relative: bool
    written: str


class Bounded(Protocol):
    """What `violations` reads of a limit."""

    @property
    def bound(self) -> float:
        """The most that is allowed."""

    @property
    def relative(self) -> bool:
        """Whether that is a multiple of the original's figure (of its metric: a share of it)."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What limits are about, of one trial; None: not measured.

    ``speedup`` is the original's latency over the trial's own, timed in turns: a relative limit on latency is judged
    by it, because it is far steadier than two medians taken at different times.
    """

    size_bytes: float | None = None
    p50_ms: float | None = None
    ram_bytes: float | None = None
    vram_bytes: float | None = None
    drop: float | None = None
    relative_drop: float | None = None
    speedup: float | None = None


def parse_bound(name: str, text: str) -> Bound:
    """A limit as people write it: ``1%``, ``1pp``, ``0.01``; ``25MB``, ``0.3x``; ``20ms``, ``0.5x``.

    Raises:
        ValueError: it is none; says how one is written.
    """
    if name not in LIMIT_NAMES:
        raise ValueError(f"there is no limit named {name!r}; there are {', '.join(LIMIT_NAMES)}")
    if name == "quality_drop":
        return _parse_drop(text)
    if name == "latency":
        return _parse_limit(text, _MILLISECOND_UNITS, "20ms or 0.5x")
    return _parse_limit(text, BYTE_UNITS, "25MB or 0.3x")


def _parse_drop(text: str) -> Bound:
    match = re.fullmatch(rf"{NUMBER}\s*(%|pp)?", text.strip())
    if not match or not math.isfinite(float(match[1])):
        raise ValueError(f"{text!r} is not a drop; write 1% (relative), 1pp or 0.01 (absolute)")
    number = float(match[1])
    return Bound(number / 100 if match[2] else number, match[2] == "%", text.strip())


def _parse_limit(text: str, units: Mapping[str, float], example: str) -> Bound:
    match = re.fullmatch(rf"{NUMBER}\s*([a-zA-Zµ]*)", text.strip())
    relative = match is not None and match[2] in ("x", "X")
    if not match or not (relative or match[2].lower() in units):
        raise ValueError(f"{text!r} is not a limit; write for example {example}")
    bound = float(match[1]) * (1 if relative else units[match[2].lower()])
    if not 0 < bound < math.inf:
        raise ValueError(f"{text!r} is not a limit: it must be greater than zero")
    return Bound(bound, relative, text.strip())


def parse_duration(text: str) -> float:
    """``90``, ``90s``, ``15m`` or ``2h`` in seconds.

    Raises:
        ValueError: it is none; says how one is written.
    """
    match = re.fullmatch(rf"{NUMBER}\s*([a-zA-Z]*)", text.strip())
    if not match or match[2].lower() not in {"", *_SECOND_UNITS}:
        raise ValueError(f"{text!r} is not a duration; write for example 90s, 15m or 2h")
    return float(match[1]) * _SECOND_UNITS.get(match[2].lower() or "s", 1.0)


def violations(limits: Mapping[str, Bounded], measured: Figures, original: Figures) -> dict[str, float]:
    """How far each limit is exceeded, see `excess`."""
    return {name: excess(name, limit, measured, original) for name, limit in limits.items()}


def excess(name: str, limit: Bounded, measured: Figures, original: Figures) -> float:
    """How far a limit is exceeded, as a share of the limit; 0 or less where it is kept."""
    if name == "quality_drop":
        drop = measured.relative_drop if limit.relative else measured.drop
        if drop is None or not math.isfinite(drop):
            return UNMEASURED_VIOLATION
        return (drop - limit.bound) / max(limit.bound, SMALLEST_DROP_SCALE)
    if name == "latency" and limit.relative and measured.speedup is not None:
        return 1 / measured.speedup / limit.bound - 1
    value, reference = _figure(name, measured), _figure(name, original)
    if value is None or (limit.relative and not reference):
        return UNMEASURED_VIOLATION
    bound = limit.bound * (reference or 0) if limit.relative else limit.bound
    return value / bound - 1


def _figure(name: str, figures: Figures) -> float | None:
    match name:
        case "size":
            return figures.size_bytes
        case "latency":
            return figures.p50_ms
        case "ram":
            return figures.ram_bytes
        case _:
            return figures.vram_bytes
