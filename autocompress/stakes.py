"""What a trial has to reach to be of any use: as soon as it surely cannot, the rest of it is not measured."""

from __future__ import annotations

import math
from collections.abc import Iterable

from autocompress.frozen import Frozen
from autocompress.limits import Figures
from autocompress.objectives import figures_of, pareto_front
from autocompress.records import Latency, Quality, TrialRecord
from autocompress.spec import Constraints

DEVIATIONS = 1.96
"""To either side, of an interval of 95 %."""


class Rival(Frozen):
    """A trial on the front: its bytes, its speed-up with the interval's lower end, and its drop."""

    number: int
    size_bytes: int
    speedup: float
    speedup_low: float
    drop: float


class Stakes(Frozen):
    """The limits, and the front so far.

    Attributes:
        constraints: by what the trial will be judged.
        original: the figures that limits are relative to.
        original_quality: the original's metric, which relative limits on the drop are a share of.
        rivals: the front.
    """

    constraints: Constraints
    original: Figures
    original_quality: float | None
    rivals: tuple[Rival, ...]

    @classmethod
    def of(cls, constraints: Constraints, records: Iterable[TrialRecord], original: TrialRecord) -> Stakes:
        """As things stand."""
        known = {record.number: record for record in records}
        front = [known[number] for number in sorted(pareto_front(known.values(), original))]
        measured = original.measurement
        assert measured is not None
        return cls(
            constraints=constraints,
            original=figures_of(measured),
            original_quality=measured.quality.value if measured.quality else None,
            rivals=tuple(rival for record in front if (rival := _rival(record)) is not None),
        )

    def surely_broken(self, size_bytes: int, latency: Latency) -> str | None:
        """The limit on size or latency that is broken even at the favourable end of the interval, or None."""
        size = self._most("size")
        if size is not None and size_bytes > size:
            return "size"
        fastest = _log_latency(latency)[0]
        return "latency" if fastest > self._most_log_latency(latency) else None

    def most_drop(self, size_bytes: int, latency: Latency) -> tuple[float, str]:
        """The drop, in the metric's unit, beyond which a trial is of no use, and why it is not."""
        allowed, why = self._most_drop_allowed, "the limit on quality is surely broken"
        for rival in self.rivals:
            is_better = rival.size_bytes <= size_bytes and rival.speedup_low >= latency.speedup.high
            if is_better and rival.drop < allowed:
                allowed, why = rival.drop, f"trial {rival.number} is smaller and faster and surely loses less"
        return allowed, why

    def is_undecided(self, size_bytes: int, latency: Latency, quality: Quality) -> bool:
        """Whether what a closer look narrows of the latency's interval touches a limit or decides about the front."""
        value, half_width = -math.log(latency.speedup.value), latency.half_width_within
        if half_width < latency.drift * DEVIATIONS:  # what would be narrowed is the smaller part of what is not known
            return False
        low, high = value - half_width, value + half_width
        if low <= self._most_log_latency(latency) < high:
            return True
        drop = quality.drop.value
        for rival in self.rivals:
            if low < -math.log(rival.speedup) < high:
                smaller, better = rival.size_bytes <= size_bytes, rival.drop <= drop
                if smaller == better:  # whichever is faster dominates the other
                    return True
        return False

    @property
    def _most_drop_allowed(self) -> float:
        """By the limit on quality, in the metric's unit."""
        drop = self.constraints.quality_drop
        if drop is None:
            return math.inf
        return drop.bound * (abs(self.original_quality or 0.0) if drop.relative else 1.0)

    def _most(self, name: str) -> float | None:
        """The most that is allowed of a figure, in its own unit; None where that is not limited."""
        limit = getattr(self.constraints, name)
        if limit is None:
            return None
        reference = {"size": self.original.size_bytes, "latency": self.original.p50_ms}[name]
        return float(limit.bound * (reference or math.inf) if limit.relative else limit.bound)

    def _most_log_latency(self, latency: Latency) -> float:
        """The limit on latency as the logarithm of a share of the original's, timed beside it."""
        limit = self.constraints.latency
        if limit is None:
            return math.inf
        if limit.relative:
            return math.log(limit.bound)
        return math.log(limit.bound / latency.p50_ms / latency.speedup.value)


def _log_latency(latency: Latency) -> tuple[float, float]:
    """Ends of the interval of the logarithm of the latency as a share of the original's."""
    return -math.log(latency.speedup.high), -math.log(latency.speedup.low)


def _rival(record: TrialRecord) -> Rival | None:
    measured = record.measurement
    if measured is None or measured.latency is None or measured.quality is None or measured.size_bytes is None:
        return None
    if measured.cut_short is not None:
        return None
    speedup = measured.latency.speedup
    return Rival(
        number=record.number,
        size_bytes=measured.size_bytes,
        speedup=speedup.value,
        speedup_low=speedup.low,
        drop=measured.quality.drop.value,
    )
