"""Limits, dominance, the front and the best: pure functions over trial records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from autocompress.records import Latency, Measurement, Quality, TrialRecord
from autocompress.spec import Constraints, Limit, Preference

LARGEST_FINALISTS = 5
UNMEASURED_VIOLATION = 1.0
"""A limit on a figure that could not be measured counts as broken by as much as the limit itself."""

SMALLEST_DROP_SCALE = 1e-3
"""A limit of "no drop at all" is broken in units of a tenth of a percentage point."""


def violations(constraints: Constraints, measured: Measurement, original: Measurement) -> dict[str, float]:
    """How far each limit is exceeded, as a share of the limit; 0 or less where it is kept."""
    found: dict[str, float] = {}
    limit = constraints.quality_drop
    if limit is not None:
        drop = _drop(measured.quality, relative=limit.relative)
        scale = max(limit.bound, SMALLEST_DROP_SCALE)
        found["quality_drop"] = UNMEASURED_VIOLATION if drop is None else (drop - limit.bound) / scale
    figures = {
        "size": (constraints.size, measured.size_bytes, original.size_bytes),
        "latency": (constraints.latency, _p50(measured.latency), _p50(original.latency)),
        "ram": (constraints.ram, _peak(measured), _peak(original)),
        "vram": (constraints.vram, vram_bytes(measured), vram_bytes(original)),
    }
    for name, (bound, value, reference) in figures.items():
        if bound is not None:
            found[name] = _excess(bound, value, reference)
    if constraints.latency is not None and constraints.latency.relative and measured.latency is not None:
        # The interleaved ratio is far steadier than two medians taken at different times.
        found["latency"] = 1 / measured.latency.speedup.value / constraints.latency.bound - 1
    return found


def _excess(limit: Limit, value: float | None, reference: float | None) -> float:
    if value is None or (limit.relative and not reference):
        return UNMEASURED_VIOLATION
    bound = limit.bound * (reference or 0) if limit.relative else limit.bound
    return value / bound - 1


def _drop(quality: Quality | None, *, relative: bool) -> float | None:
    if quality is None:
        return None
    drop = quality.relative_drop.value if relative else quality.drop.value
    return drop if math.isfinite(drop) else None


def _p50(latency: Latency | None) -> float | None:
    return latency.p50_ms if latency else None


def _peak(measured: Measurement) -> float | None:
    return measured.ram.peak_bytes if measured.ram else None


def vram_bytes(measured: Measurement) -> int | None:
    """The larger of the two ways to see device memory; None when neither was measured."""
    if measured.vram is None:
        return None
    seen = [v for v in (measured.vram.allocator_peak_bytes, measured.vram.device_delta_bytes) if v is not None]
    return max(seen, default=None)


def size_ratio(record: TrialRecord, original: TrialRecord) -> float | None:
    """Bytes on disk over the original's; below 1 is smaller."""
    mine, its = _measured(record).size_bytes, _measured(original).size_bytes
    return mine / its if mine is not None and its else None


def speedup(record: TrialRecord) -> float | None:
    """The original's latency over its own, measured in turns."""
    latency = _measured(record).latency
    return latency.speedup.value if latency else None


def objective_values(record: TrialRecord, original: TrialRecord) -> tuple[float, float, float] | None:
    """What is minimised: log size ratio, log latency ratio, quality drop. None unless all three were measured."""
    ratio, faster, quality = size_ratio(record, original), speedup(record), _measured(record).quality
    if ratio is None or faster is None or quality is None or not math.isfinite(quality.drop.value):
        return None
    return math.log(ratio), -math.log(faster), quality.drop.value


def _measured(record: TrialRecord) -> Measurement:
    return record.measurement or Measurement()


def dominates(left: Sequence[float], right: Sequence[float]) -> bool:
    """Whether ``left`` is nowhere worse (all values minimised) and somewhere better."""
    pairs = list(zip(left, right, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def pareto_front(records: Iterable[TrialRecord], original: TrialRecord) -> frozenset[int]:
    """Numbers of the feasible trials that no other feasible trial dominates."""
    points = {
        record.number: values
        for record in records
        if record.feasible and (values := objective_values(record, original)) is not None
    }
    return frozenset(
        number
        for number, values in points.items()
        if not any(dominates(other, values) for rival, other in points.items() if rival != number)
    )


def ranking(records: Iterable[TrialRecord], original: TrialRecord, prefer: Preference) -> list[TrialRecord]:
    """The feasible trials, best first by the preference; the original itself is no candidate.

    ``balanced``: the largest product of size reduction and speed-up. The other preferences break ties by it.
    """
    candidates = []
    for record in records:
        values = objective_values(record, original) if record.feasible and record.number != original.number else None
        if values is not None:
            log_size, log_latency, drop = values
            balanced = log_size + log_latency
            first = {"size": log_size, "latency": log_latency, "quality": drop, "balanced": balanced}[prefer]
            candidates.append(((first, balanced, record.number), record))
    return [record for _, record in sorted(candidates, key=lambda candidate: candidate[0])]


def nearest_misses(records: Iterable[TrialRecord], original: TrialRecord) -> list[TrialRecord]:
    """The measured trials that break a limit, least total violation first; the original is left out."""
    misses = [r for r in records if r.measurement and r.violations and not r.feasible and r.number != original.number]
    return sorted(misses, key=lambda record: sum(max(0.0, v) for v in record.violations.values()))


def binding_constraint(records: Sequence[TrialRecord]) -> str | None:
    """The limit that the most of these trials break; the one broken by most on a tie."""
    counts: dict[str, tuple[int, float]] = {}
    for record in records:
        for name, value in record.violations.items():
            if value > 0:
                count, total = counts.get(name, (0, 0.0))
                counts[name] = (count + 1, total + value)
    return max(counts, key=lambda name: counts[name], default=None)
