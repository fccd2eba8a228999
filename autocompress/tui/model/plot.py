"""What the plot shows, in unit coordinates: a zone fitted to the feasible trials, their front, limits and scales.

Left and up are better on every pair of axes, so that the front always is the upper left edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autocompress.report.numbers import BYTES_PER_MB
from autocompress.rounding import significant
from autocompress.tui.model.run_state import RunState
from autocompress.tui.model.trial import Trial

MARGIN = 0.05
ROOM_BELOW = 0.4
"""What is shown beyond the lowest limit or front point, as a share of what lies above it."""
N_BUCKETS = 3


@dataclass(frozen=True)
class Axis:
    """A figure as a direction of the plot.

    Attributes:
        name: what it is, with its unit.
        value: the figure as shown; None where it was not measured.
        is_log: whether equal factors are equally long.
        smaller_is_better: which way it is better.
        limit: the most, or least, that is allowed, as shown; None without a limit.
    """

    name: str
    value: Callable[[Trial], float | None]
    is_log: bool
    smaller_is_better: bool
    limit: float | None = None

    def along(self, value: float) -> float:
        """A value's place along the axis; more is better."""
        place = math.log(value) if self.is_log else value
        return -place if self.smaller_is_better else place

    def value_at(self, place: float) -> float:
        """The value at a place along the axis."""
        value = -place if self.smaller_is_better else place
        return math.exp(value) if self.is_log else value

    def place(self, trial: Trial) -> float | None:
        """A trial's place along the axis; None where it has none."""
        value = self.value(trial)
        if value is None or not math.isfinite(value) or (self.is_log and value <= 0):
            return None
        return self.along(value)


def size_axis(state: RunState) -> Axis:
    """Size in MB."""
    return Axis(
        "size MB",
        lambda trial: None if trial.size_bytes is None else trial.size_bytes / BYTES_PER_MB,
        is_log=True,
        smaller_is_better=True,
        limit=_upper_limit(state, "size", state.original.size_bytes if state.original else None, BYTES_PER_MB),
    )


def latency_axis(state: RunState) -> Axis:
    """Median latency in milliseconds."""
    return Axis(
        "latency ms",
        lambda trial: trial.p50_ms,
        is_log=True,
        smaller_is_better=True,
        limit=_upper_limit(state, "latency", state.original.p50_ms if state.original else None, 1.0),
    )


def quality_axis(state: RunState) -> Axis:
    """The metric; rates in percent."""
    metric = state.metric
    scale = 100.0 if metric is not None and metric.is_rate else 1.0
    higher = metric is None or metric.higher_is_better
    name = f"{metric.name if metric else 'quality'}{' %' if scale > 1 else ''}"
    bound, original = state.constraints.get("quality_drop"), state.original
    limit = None
    if bound is not None and original is not None and original.quality is not None:
        allowed = bound.bound * abs(original.quality) if bound.relative else bound.bound
        limit = scale * (original.quality - allowed if higher else original.quality + allowed)
    return Axis(
        name,
        lambda trial: None if trial.quality is None else trial.quality * scale,
        is_log=False,
        smaller_is_better=not higher,
        limit=limit,
    )


def _upper_limit(state: RunState, name: str, original: float | None, scale: float) -> float | None:
    bound = state.constraints.get(name)
    if bound is None or (bound.relative and not original):
        return None
    return bound.bound * (original or 1.0) / scale if bound.relative else bound.bound / scale


def axes_of(kind: str, state: RunState) -> tuple[Axis, Axis, Axis]:
    """Across, up, and the one that shapes tell; ``kind`` as in `View`'s axes."""
    size, latency, quality = size_axis(state), latency_axis(state), quality_axis(state)
    return {
        "size × quality": (size, quality, latency),
        "latency × quality": (latency, quality, size),
        "size × latency": (size, latency, quality),
    }[kind]


class Dot(NamedTuple):
    """A trial in the zone; 0, 0 is at the lower left."""

    x: float
    y: float
    trial: Trial


class Tick(NamedTuple):
    """A labelled place on an axis, 0 to 1."""

    at: float
    text: str


@dataclass
class Scene:
    """All that is drawn.

    Attributes:
        across, up: the axes.
        x_range, y_range: what is seen of them, as places along them; the first is at the left, or below.
        dots: trials that are not on the front and are seen.
        outside: how many are not seen, by where they would be: below, above, left, right.
        front: on the front and seen, from left to right.
        edge: the corners of the front's edge, from left to right.
        buckets: values of the third axis that separate shapes, from the best; empty with too few to tell apart.
        by: the axis of the shapes.
    """

    across: Axis
    up: Axis
    by: Axis
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)
    dots: list[Dot] = field(default_factory=list)
    outside: dict[str, int] = field(default_factory=dict)
    front: list[Dot] = field(default_factory=list)
    edge: list[tuple[float, float]] = field(default_factory=list)
    original: Dot | None = None
    buckets: tuple[float, ...] = ()
    is_empty: bool = True

    def position(self, trial: Trial) -> tuple[float, float] | None:
        """Where a trial is, beyond 0 and 1 where it is not seen; None where it has no figures."""
        x, y = self.across.place(trial), self.up.place(trial)
        if x is None or y is None:
            return None
        return _share(x, self.x_range), _share(y, self.y_range)

    def bucket(self, trial: Trial) -> int | None:
        """Which shape a trial has: 0 is the best; None where the figure was not measured."""
        place = self.by.place(trial)
        if place is None:
            return None
        return sum(place < self.by.along(bound) for bound in self.buckets)

    @property
    def x_limit(self) -> float | None:
        """Where the limit on the figure across is."""
        return _limit_share(self.across, self.x_range)

    @property
    def y_limit(self) -> float | None:
        """Where the limit on the figure upwards is."""
        return _limit_share(self.up, self.y_range)

    def x_ticks(self, most: int) -> list[Tick]:
        """Labels across, so many at most."""
        return _ticks(self.across, self.x_range, most)

    def y_ticks(self, most: int) -> list[Tick]:
        """Labels upwards, so many at most."""
        return _ticks(self.up, self.y_range, most)

    def along_front(self, number: int | None, by: int) -> int | None:
        """The number of the front's trial so many to the right of another one; from the middle if that is not on it."""
        if not self.front:
            return None
        numbers = [dot.trial.number for dot in self.front]
        if number not in numbers:
            return numbers[0 if by > 0 else -1]
        return numbers[min(max(numbers.index(number) + by, 0), len(numbers) - 1)]


def scene(state: RunState, kind: str, shown: Iterable[Trial]) -> Scene:
    """The plot of a run.

    Args:
        state: the run.
        kind: which axes.
        shown: the trials that may be drawn; the front always is.
    """
    drawn = Scene(*axes_of(kind, state))
    original, on_front = state.original, state.front.numbers
    placed = _placed(drawn, shown)
    front = _placed(drawn, (state.trials[number] for number in on_front))
    first = next(((x, y) for x, y, _ in _placed(drawn, [original] if original else [])), None)
    if not placed and not front and first is None:
        return drawn
    drawn.is_empty = False
    # Better is larger along an axis, but drawn to the left across: the range across runs from better to worse.
    inner = front or [(x, y, t) for x, y, t in placed if t.is_feasible] or _best_half(placed)
    drawn.y_range = _y_range(inner, first, drawn.up)
    drawn.x_range = _x_range(inner, first, drawn.across)
    for x, y, trial in placed:
        if trial.number in on_front or trial is original:
            continue
        dot = Dot(_share(x, drawn.x_range), _share(y, drawn.y_range), trial)
        beyond = _beyond(dot)
        if beyond is None:
            drawn.dots.append(dot)
        else:
            drawn.outside[beyond] = drawn.outside.get(beyond, 0) + 1
    drawn.front = [
        Dot(_share(x, drawn.x_range), _share(y, drawn.y_range), trial)
        for x, y, trial in sorted(front, key=lambda each: (-each[0], each[1]))
        if trial is not original
    ]
    drawn.edge = _edge(drawn.front)
    if original is not None and first is not None:
        drawn.original = Dot(_share(first[0], drawn.x_range), _share(first[1], drawn.y_range), original)
    drawn.buckets = _buckets(drawn.by, [dot.trial for dot in drawn.front])
    return drawn


_Placed = list[tuple[float, float, Trial]]


def _placed(drawn: Scene, trials: Iterable[Trial]) -> _Placed:
    """Those that have both figures, with their places along the axes."""
    across, up = drawn.across.place, drawn.up.place
    places = ((across(trial), up(trial), trial) for trial in trials)
    return [(x, y, trial) for x, y, trial in places if x is not None and y is not None]


def _best_half(placed: _Placed) -> _Placed:
    """Without anything feasible: what lies higher, so that the collapsed ones don't squeeze the rest."""
    by_height = sorted(placed, key=lambda each: -each[1])
    return by_height[: max(1, (len(by_height) + 1) // 2)]


def _y_range(inner: _Placed, first: tuple[float, float] | None, up: Axis) -> tuple[float, float]:
    heights = [y for _, y, _ in inner] + ([first[1]] if first else [])
    if up.limit is not None:
        heights.append(up.along(up.limit))
    low, high = min(heights), max(heights)
    span = (high - low) or abs(high) * 0.1 or 1.0
    return low - ROOM_BELOW * span, high + MARGIN * 2 * span


def _x_range(inner: _Placed, first: tuple[float, float] | None, across: Axis) -> tuple[float, float]:
    places = [x for x, _, _ in inner] + ([first[0]] if first else [])
    if across.limit is not None:
        places.append(across.along(across.limit))
    best, worst = max(places), min(places)
    span = (best - worst) or 1.0
    return best + 2 * MARGIN * span, worst - MARGIN * span


def _share(place: float, ends: tuple[float, float]) -> float:
    return (place - ends[0]) / (ends[1] - ends[0])


def _limit_share(axis: Axis, ends: tuple[float, float]) -> float | None:
    if axis.limit is None or (axis.is_log and axis.limit <= 0):
        return None
    share = _share(axis.along(axis.limit), ends)
    return share if 0 <= share <= 1 else None


def _beyond(dot: Dot) -> str | None:
    if dot.y < 0:
        return "below"
    if dot.y > 1:
        return "above"
    if dot.x < 0:
        return "left"
    return "right" if dot.x > 1 else None


def _edge(front: Sequence[Dot]) -> list[tuple[float, float]]:
    """From left to right those that are higher than all before: the others are on the front by the third figure."""
    edge: list[tuple[float, float]] = []
    for dot in front:
        if not edge or dot.y > edge[-1][1]:
            if edge and dot.x == edge[-1][0]:
                edge.pop()
            edge.append((dot.x, dot.y))
    return edge


def _buckets(by: Axis, front: Sequence[Trial]) -> tuple[float, ...]:
    places = sorted({place for trial in front if (place := by.place(trial)) is not None}, reverse=True)
    if len(places) < N_BUCKETS:
        return ()
    return tuple(by.value_at(places[round(len(places) * part / N_BUCKETS)]) for part in range(1, N_BUCKETS))


def _ticks(axis: Axis, ends: tuple[float, float], most: int) -> list[Tick]:
    low, high = sorted((axis.value_at(ends[0]), axis.value_at(ends[1])))
    values = log_ticks(low, high, most) if axis.is_log else linear_ticks(low, high, most)
    return [Tick(_share(axis.along(value), ends), text) for value, text in values]


def log_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Round values on a logarithmic scale."""
    best: list[float] = []
    for digits in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        values = [
            digit * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for digit in digits
            if low <= digit * 10.0**power <= high
        ]
        if len(values) > most:
            break
        best = values
    if len(best) < 2:
        return linear_ticks(low, high, most)
    return [(value, f"{value:g}") for value in best]


def linear_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Round values at equal distances."""
    if not high > low or most < 1:
        return [(low, significant(low))]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= raw * (1 - 1e-9))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [(n * step, f"{n * step:.{digits}f}") for n in range(first, math.floor(high / step + 1e-9) + 1)]
