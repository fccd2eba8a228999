"""One trial as the screens need it: a flat row of figures, read off the line of JSON that told its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Interval(NamedTuple):
    """A value with the interval that covers it."""

    value: float
    low: float
    high: float

    @classmethod
    def read(cls, plain: Mapping[str, Any] | None) -> Interval | None:
        """From ``{"value": …, "low": …, "high": …}``; figures that are no numbers are written as text."""
        return None if plain is None else cls(float(plain["value"]), float(plain["low"]), float(plain["high"]))

    def overlaps(self, other: Interval) -> bool:
        """Whether the two intervals share a value."""
        return self.low <= other.high and other.low <= self.high


class EnergyFigure(NamedTuple):
    """Joules that a call takes, and over the original's; ``source`` tells them."""

    joules_per_sample: float
    ratio: Interval | None
    source: str


class Place(NamedTuple):
    """Where a line lies in the log, so that what is rarely looked at need not be kept in memory."""

    offset: int
    length: int


@dataclass(slots=True)
class Trial:
    """A trial that ended. None means not measured.

    Attributes:
        labels: a short name of each step, such as ``gptq 4``; the format comes apart.
        words: each step in words.
        size_ratio: of the original's size; filled in once the original is known.
        speedup: how many times as fast as the original, timed in turns.
        is_given_up: whether its quality was judged on some of the samples only, as it surely was of no use.
        timed_by: how many processes, one after the other, told the latency.
        is_repeated: whether a later trial of the same recipe took its place.
        drop, relative_drop: what the metric lost, positive when worse; in its own unit, and over the original's value.
        energy: known of the finalists and the original at most, once the search has ended.
        violations: by how much each limit is exceeded, as a share of it; 0 or less where it is kept.
        place: of the whole record in the log.
    """

    number: int
    status: str
    origin: str
    format: str
    labels: tuple[str, ...]
    words: tuple[str, ...]
    size_bytes: float | None = None
    size_ratio: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    speedup: Interval | None = None
    contended: bool = False
    timed_by: int = 1
    quality: float | None = None
    is_given_up: bool = False
    is_repeated: bool = False
    drop: Interval | None = None
    relative_drop: Interval | None = None
    ram_bytes: float | None = None
    vram_bytes: float | None = None
    energy: EnergyFigure | None = None
    wall_seconds: float | None = None
    ended: float = 0.0
    error: str | None = None
    notes: tuple[str, ...] = ()
    place: Place | None = None
    violations: dict[str, float] = field(default_factory=dict)

    @property
    def is_measured(self) -> bool:
        """Whether it gave the three figures that a front is made of."""
        return self.status == "complete" and None not in (self.size_bytes, self.speedup, self.drop)

    @property
    def is_feasible(self) -> bool:
        """Measured, and inside every limit."""
        return self.status == "complete" and all(excess <= 0 for excess in self.violations.values())

    @property
    def was_cut_off(self) -> bool:
        """Whether it was the end of the search that ended it; its recipe is then tried again."""
        return self.status in ("cancelled", "crashed") and self.wall_seconds is None

    @property
    def label(self) -> str:
        """The recipe in one short line: ``magnitude 30% → gptq 4 → onnx``."""
        return " → ".join((*self.labels, self.format))

    @classmethod
    def read(cls, event: Mapping[str, Any], place: Place | None) -> Trial:
        """From a ``trial_finished`` event.

        Raises:
            KeyError, TypeError, ValueError: the event is not of this version.
        """
        record = event["record"]
        measured = record.get("measurement") or {}
        quality, error = measured.get("quality") or {}, record.get("error") or {}
        trial = cls(
            number=int(record["number"]),
            status=str(record["status"]),
            origin=str(record["origin"]),
            format=str(record["recipe"]["format"]),
            labels=tuple(event["labels"]),
            words=tuple(event["words"]),
            size_bytes=measured.get("size_bytes"),
            quality=None if quality.get("value") is None else float(quality["value"]),
            is_given_up=measured.get("cut_short") is not None,
            drop=Interval.read(quality.get("drop")),
            relative_drop=Interval.read(quality.get("relative_drop")),
            wall_seconds=record.get("wall_seconds"),
            ended=float(event["time"]),
            error=error.get("message"),
            notes=tuple(record.get("notes") or ()),
            place=place,
        )
        trial.take_latency(measured.get("latency") or {})
        trial.take_memory(measured)
        return trial

    def take_memory(self, figures: Mapping[str, Any]) -> None:
        """Have these figures of memory; without a limit on it, the front's is measured at the end."""
        self.ram_bytes = (figures.get("ram") or {}).get("peak_bytes")
        self.vram_bytes = largest(figures.get("vram") or {})

    def take_latency(self, latency: Mapping[str, Any]) -> None:
        """Have these figures of latency; the best finalist is timed again at the end."""
        readings = (latency.get("candidate_ms") or {}).get("values") or ()
        self.p50_ms, self.p95_ms = percentile(readings, 0.5), percentile(readings, 0.95)
        self.speedup = Interval.read(latency.get("speedup"))
        self.contended = bool(latency.get("contended"))
        self.timed_by = int(latency.get("processes") or 1)


def percentile(readings: tuple[float, ...], share: float) -> float | None:
    """The reading below which ``share`` of them lie, by linear interpolation; None of no readings."""
    if not readings:
        return None
    ordered = sorted(readings)
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def largest(vram: Mapping[str, float | None]) -> float | None:
    """Device memory: the larger of what the allocator and the device told."""
    told = (vram.get("allocator_peak_bytes"), vram.get("device_delta_bytes"))
    return max((value for value in told if value is not None), default=None)
