"""The trials as points of a plane, for whatever draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autocompress import objectives
from autocompress.records import TrialRecord
from autocompress.report.results import Results
from autocompress.report.table import Standing, standing

Axis = Literal["quality_drop", "speedup"]


@dataclass(frozen=True)
class Point:
    """A measured trial: its size as a share of the original's, and the other figure."""

    trial: int
    size_ratio: float
    other: float
    standing: Standing
    best: bool


def points(results: Results, axis: Axis) -> tuple[Point, ...]:
    """All trials that have both figures; quality drops in percentage points where the metric is a rate."""
    found = []
    for record in results.records:
        size, other = objectives.size_ratio(record, results.baseline), _other(record, results, axis)
        if size is not None and other is not None:
            best = record.number == results.best
            found.append(Point(record.number, size, other, standing(record, results), best))
    return tuple(found)


def _other(record: TrialRecord, results: Results, axis: Axis) -> float | None:
    if axis == "speedup":
        return objectives.speedup(record)
    quality = record.measurement.quality if record.measurement else None
    return quality.drop.value * _scale(results) if quality else None


def _scale(results: Results) -> float:
    return 100.0 if results.metric_is_rate else 1.0


def axis_title(results: Results, axis: Axis) -> str:
    """What the other axis shows, and which way is good."""
    if axis == "speedup":
        return "speed-up (higher is better)"
    names = (record.measurement.quality.metric for record in results.records if _has_quality(record))  # type: ignore[union-attr]
    unit = ", pp" if results.metric_is_rate else ""
    return f"{next(names, 'quality')} lost{unit} (lower is better)"


def _has_quality(record: TrialRecord) -> bool:
    return record.measurement is not None and record.measurement.quality is not None


def size_limit(results: Results) -> float | None:
    """The limit on the size as a share of the original's."""
    limit, original = results.constraints.size, results.baseline.measurement
    if limit is None:
        return None
    if limit.relative:
        return limit.bound
    return limit.bound / original.size_bytes if original and original.size_bytes else None


def other_limit(results: Results, axis: Axis) -> float | None:
    """The limit on the other axis, in its unit."""
    original = results.baseline.measurement
    if axis == "quality_drop":
        drop = results.constraints.quality_drop
        if drop is None or not drop.relative:
            return None if drop is None else drop.bound * _scale(results)
        return drop.bound * original.quality.value * _scale(results) if original and original.quality else None
    latency = results.constraints.latency
    if latency is None:
        return None
    if latency.relative:
        return 1 / latency.bound
    return original.latency.p50_ms / latency.bound if original and original.latency else None
