"""Timings of several fresh processes as one: what changes from one to the next is part of the interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autocompress.records import STORED_READINGS, Estimate, Latency, Samples

FRESH_PROCESSES = 5
"""In which a search's best finalist is timed, and what ``verify`` is given."""


def in_fresh_processes(time: Callable[[], Latency | None]) -> Latency | None:
    """What ``time`` finds, pooled over as many calls, each of which starts a process of its own; None if one fails."""
    timings: list[Latency] = []
    for _ in range(FRESH_PROCESSES):
        timing = time()
        if timing is None:
            return None
        timings.append(timing)
    return pooled(timings)


def pooled(timings: Sequence[Latency]) -> Latency:
    """One timing out of those of several processes; at least two, all of the same pair of models.

    The speed-up is the geometric mean of theirs. Its interval is Student's t for so many processes: their
    drift was seen, and need not be presumed. It is no narrower than what each saw within itself makes it.
    """
    return timings[0].model_copy(
        update={
            "candidate_ms": _joined([timing.candidate_ms for timing in timings]),
            "baseline_ms": _joined([timing.baseline_ms for timing in timings]),
            "speedup": _mean([timing.speedup for timing in timings], timings[0].drift),
            "processes": len(timings),
            "drift": 0.0,
            "contended": any(timing.contended for timing in timings),
            "control": _mean([timing.control for timing in timings], timings[0].drift),
            "cpu_time_speedup": _median([timing.cpu_time_speedup for timing in timings]),
            "involuntary_switches": sum(timing.involuntary_switches or 0 for timing in timings),
            "load_average": max(timing.load_average or 0.0 for timing in timings),
        }
    )


def _joined(samples: Sequence[Samples | None]) -> Samples | None:
    known = [some for some in samples if some is not None]
    if not known:
        return None
    values = tuple(value for some in known for value in some.values)
    n_readings = sum(some.n_readings or len(some.values) for some in known)
    joined = Samples(values=values, unit=known[0].unit, warmups=known[0].warmups, n_readings=n_readings)
    return joined.thinned(STORED_READINGS)


def _mean(estimates: Sequence[Estimate | None], drift: float) -> Estimate | None:
    from scipy.special import stdtrit

    known = [one for one in estimates if one is not None]
    if len(known) < len(estimates):
        return None
    level = known[0].level
    logs = np.log([one.value for one in known])
    own = [one.half_width_without(drift) for one in known]
    between = float(logs.std(ddof=1)) * float(stdtrit(len(known) - 1, 0.5 + level / 2))
    half_width = max(between / len(known) ** 0.5, float(np.linalg.norm(own)) / len(known))
    low, value, high = (float(np.exp(logs.mean() + shift)) for shift in (-half_width, 0.0, half_width))
    return Estimate(value=value, low=low, high=high, level=level)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
