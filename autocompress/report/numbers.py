"""Figures as text: three significant figures, units that people use, and a dash for what was not measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from autocompress.rounding import MINUS, significant

if TYPE_CHECKING:  # pydantic's models are more than formatting needs
    from autocompress.records import Estimate

NOT_MEASURED = "–"
GIVEN_UP = "?"
"""Behind a drop that was judged on some of the samples only."""
BYTES_PER_MB = 10**6
SECONDS_A_MINUTE, SECONDS_AN_HOUR = 60, 3600


def megabytes(size_bytes: float | None) -> str:
    """Bytes in MB (10^6), without the unit."""
    return NOT_MEASURED if size_bytes is None else significant(size_bytes / BYTES_PER_MB)


def ratio(value: float | None, digits: int = 3) -> str:
    """A multiple of the original's figure: ``0.254×``."""
    return NOT_MEASURED if value is None else f"{significant(value, digits)}×"


def milliseconds(value_ms: float | None) -> str:
    """Milliseconds, without the unit."""
    return NOT_MEASURED if value_ms is None else significant(value_ms)


def seconds_between(low: float, high: float) -> str:
    """Between which durations one lies: ``6.5 to 26 min``, ``1.5 to 6.0 h``."""
    unit, length = "s", 1
    if high >= 2 * SECONDS_AN_HOUR:
        unit, length = "h", SECONDS_AN_HOUR
    elif high >= 2 * SECONDS_A_MINUTE:
        unit, length = "min", SECONDS_A_MINUTE
    return f"{significant(low / length, 2)} to {significant(high / length, 2)} {unit}"


def joules(value: float | None) -> str:
    """Joules, without the unit."""
    return NOT_MEASURED if value is None else significant(value)


def signed(value: float, *, points: bool) -> str:
    """A difference of the metric with its sign: percentage points to a tenth, or three significant figures."""
    if not points:
        text = significant(value, 3)
        return f"+{text}" if value > 0 else text
    text = f"{abs(value) * 100:.2f}" if 0 < abs(value) < 0.0005 else f"{abs(value) * 100:.1f}"
    sign = "" if float(text) == 0 else "+" if value > 0 else MINUS
    return f"{sign}{text}"


def interval(estimate: Estimate, *, points: bool) -> str:
    """``−0.3 pp [−0.9, +0.3]``."""
    unit = " pp" if points else ""
    low, high = signed(estimate.low, points=points), signed(estimate.high, points=points)
    return f"{signed(estimate.value, points=points)}{unit} [{low}, {high}]"


def metric(value: float | None, *, is_rate: bool) -> str:
    """A metric's value: rates to four decimals at most, others to three significant figures."""
    if value is None:
        return NOT_MEASURED
    return f"{value:.4f}" if is_rate and math.isfinite(value) else significant(value)
