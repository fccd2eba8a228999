"""What a trial takes: seconds of each kind of stage, none for what is in the cache."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from autocompress.search.sampler.space import Stage

TYPICAL_SECONDS = 10.0
SHORTEST_SECONDS = 1e-3


class Costs:
    """Learns how long stages take.

    Args:
        seconds: of every trial, by kind of stage.
        made: contents that are in the cache.
    """

    def __init__(self, seconds: Iterable[Mapping[str, float]], made: Iterable[str]) -> None:
        logs: dict[str, list[float]] = defaultdict(list)
        for one in seconds:
            for kind, taken in one.items():
                logs[kind].append(math.log(max(taken, SHORTEST_SECONDS)))
        everything = [log for some in logs.values() for log in some]
        typical = sum(everything) / len(everything) if everything else math.log(TYPICAL_SECONDS)
        self._typical_seconds = math.exp(typical)
        # A kind that was seen once lies half-way between what it took and what stages take in general.
        self._seconds = {kind: math.exp((sum(some) + typical) / (len(some) + 1)) for kind, some in logs.items()}
        self._made = set(made)

    def seconds(self, stages: Sequence[Stage]) -> float:
        """Expected seconds; everything up to the last stage that is in the cache is there for nothing."""
        done = max((index + 1 for index, stage in enumerate(stages) if stage.content in self._made), default=0)
        return sum(self._seconds.get(stage.kind, self._typical_seconds) for stage in stages[done:])
