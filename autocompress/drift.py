"""How much a machine's timings drift from one look to the next, by what the original took in all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from autocompress.records import Latency

PRESUMED_DRIFT = 0.03
"""Of the logarithm of a speed-up, before anything is known: on a shared machine 0.02 to 0.12."""
WEIGHT_OF_PRESUMED = 3
"""As many looks."""
LATEST_LOOKS = 24


def drift(original_ms: Sequence[float]) -> float:
    """Standard deviation of the logarithm of a speed-up from one look to the next, whatever is seen within one look.

    Two models that are timed in turns share most of what slows a machine down for a fraction of a second. What others
    on a shared machine take of its caches and memory lasts longer, and a small model feels it otherwise than a large
    one. What the original alone changes from look to look is about as much: ``benchmarks/latency_repeats.py``.

    Args:
        original_ms: median of the original's calls in each look so far, in order of time.
    """
    logs = [math.log(one) for one in original_ms[-LATEST_LOOKS:] if one > 0]
    mean = math.fsum(logs) / max(1, len(logs))
    seen = math.fsum((log - mean) ** 2 for log in logs)
    return math.sqrt((WEIGHT_OF_PRESUMED * PRESUMED_DRIFT**2 + seen) / (WEIGHT_OF_PRESUMED + max(0, len(logs) - 1)))


def original_ms(timings: Iterable[Latency | None]) -> list[float]:
    """What the original took in each of these timings; in its own it is the candidate."""
    return [(timing.baseline_ms or timing.candidate_ms).median for timing in timings if timing is not None]
