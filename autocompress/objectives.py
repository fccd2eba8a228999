"""Limits, dominance, the front and the best: pure functions over trial records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from autocompress.dominance import nondominated
from autocompress.limits import LIMIT_NAMES, Bounded, Figures
from autocompress.limits import violations as limits_exceeded
from autocompress.records import Measurement, Status, TrialRecord
from autocompress.spec import Constraints, Preference

LARGEST_FINALISTS = 5


def violations(constraints: Constraints, measured: Measurement, original: Measurement) -> dict[str, float]:
    """How far each limit is exceeded, as a share of the limit; 0 or less where it is kept."""
    limits: dict[str, Bounded] = {
        name: limit for name in LIMIT_NAMES if (limit := getattr(constraints, name)) is not None
    }
    return limits_exceeded(limits, figures_of(measured), figures_of(original))


def original_among(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The original, once it was measured: what the other trials are compared with."""
    return next((record for record in records if record.origin == "baseline" and record.measurement), None)


def judged(record: TrialRecord, constraints: Constraints, original: TrialRecord) -> TrialRecord:
    """The record under these limits; one without figures stays as it is."""
    if record.measurement is None or original.measurement is None:
        return record
    return record.model_copy(update={"violations": violations(constraints, record.measurement, original.measurement)})


def figures_of(measured: Measurement) -> Figures:
    """What limits are about."""
    quality, latency, ram = measured.quality, measured.latency, measured.ram
    return Figures(
        size_bytes=measured.size_bytes,
        p50_ms=latency.p50_ms if latency else None,
        ram_bytes=ram.peak_bytes if ram else None,
        vram_bytes=vram_bytes(measured),
        drop=quality.drop.value if quality else None,
        relative_drop=quality.relative_drop.value if quality else None,
        speedup=latency.speedup.value if latency else None,
    )


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


def pareto_front(records: Iterable[TrialRecord], original: TrialRecord) -> frozenset[int]:
    """Numbers of the feasible trials that no other feasible trial dominates; one that was given up is not among them.

    Of that one only some samples were judged: it counts once it was measured whole, see `worth_completing`.
    """
    return nondominated(_points(_standing(records), original))


def worth_completing(
    records: Iterable[TrialRecord], original: TrialRecord, constraints: Constraints
) -> list[TrialRecord]:
    """The trials that were not measured whole and, by what is known of them, would be on the front.

    There are none of them until limits are changed: a trial is given up only where it surely breaks a limit or is
    dominated, and memory is not measured where it is not limited.
    """
    records = list(records)
    latest = {record.recipe.digest: record for record in records}
    lacking = [
        record
        for record in latest.values()
        if record.status is Status.COMPLETE
        and (_was_given_up(record) or (constraints.limits_memory and _measured(record).ram is None))
        and all(excess <= 0 for name, excess in record.violations.items() if _is_known(record, name))
    ]
    if not lacking:
        return []
    front = nondominated(_points([*_standing(records), *lacking], original))
    return [record for record in lacking if record.number in front]


def _standing(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The feasible trials that were not given up; of a recipe that was measured once more, that one alone."""
    records = list(records)
    again = {
        record.recipe.digest: record.number
        for record in records
        if record.origin == "retry" and record.measurement is not None
    }
    return [
        record
        for record in records
        if record.feasible
        and not _was_given_up(record)
        and again.get(record.recipe.digest, record.number) <= record.number
    ]


def _was_given_up(record: TrialRecord) -> bool:
    return _measured(record).cut_short is not None


def _is_known(record: TrialRecord, limit: str) -> bool:
    return limit not in ("ram", "vram") or _measured(record).ram is not None


def _points(records: Iterable[TrialRecord], original: TrialRecord) -> dict[int, tuple[float, float, float]]:
    found = ((record.number, objective_values(record, original)) for record in records)
    return {number: values for number, values in found if values is not None}


def ranking(records: Iterable[TrialRecord], original: TrialRecord, prefer: Preference) -> list[TrialRecord]:
    """The feasible trials, best first by the preference; the original and what was given up are no candidates.

    ``balanced``: the largest product of size reduction and speed-up. The other preferences break ties by it.
    """
    candidates = []
    for record in _standing(records):
        values = objective_values(record, original) if record.number != original.number else None
        if values is not None:
            log_size, log_latency, drop = values
            balanced = round(log_size + log_latency, 9)  # else a tie is decided by the last bit
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
