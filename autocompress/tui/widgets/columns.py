"""The columns of the trials table, and which of them fit a width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autocompress.limits import Bound
from autocompress.report.numbers import GIVEN_UP, NOT_MEASURED, megabytes, milliseconds, signed
from autocompress.rounding import significant
from autocompress.tui.model.figure_rows import gained
from autocompress.tui.model.trial import Interval, Trial

GAP = 1
NARROWEST_LABEL, COMFORTABLE_LABEL = 18, 24


@dataclass(frozen=True)
class Column:
    """A figure of each trial.

    Attributes:
        sort: what sorting calls it.
        title: its heading, `width` characters at most.
        text: the figure; the second argument tells whether quality is a rate.
        limits: the limits that are about it; where one is broken, the figure is underlined.
        tied: which of the best's intervals it can tie with.
    """

    sort: str
    title: str
    width: int
    text: Callable[[Trial, bool], str]
    limits: tuple[str, ...] = ()
    tied: str | None = None


def _speed(trial: Trial, _: bool) -> str:
    return f"{significant(trial.speedup.value)}×" if trial.speedup else NOT_MEASURED


def _milliseconds(trial: Trial, _: bool) -> str:
    text = milliseconds(trial.p50_ms)
    return f"~{text}" if trial.contended and text != NOT_MEASURED else text


def _quality(trial: Trial, is_rate: bool) -> str:
    if trial.quality is None:
        return NOT_MEASURED
    return f"{trial.quality * 100:.2f}" if is_rate and trial.quality == trial.quality else significant(trial.quality)


def _change(trial: Trial, is_rate: bool) -> str:
    change = gained(trial.drop)
    if change is None:
        return NOT_MEASURED
    return signed(change.value, points=is_rate) + (GIVEN_UP if trial.is_given_up else "")


def _change_interval(trial: Trial, is_rate: bool) -> str:
    return _brackets(gained(trial.drop), lambda value: signed(value, points=is_rate))


def _speed_interval(trial: Trial, _: bool) -> str:
    return _brackets(trial.speedup, significant)


def _brackets(interval: Interval | None, text: Callable[[float], str]) -> str:
    if interval is None or interval.low == interval.high:
        return ""
    return f"[{text(interval.low)}, {text(interval.high)}]"


def _ratio(trial: Trial, _: bool) -> str:
    ratio = trial.size_ratio
    return NOT_MEASURED if ratio is None else f"{significant(ratio, 3 if ratio >= 0.1 else 2)}×"


def _seconds(trial: Trial, _: bool) -> str:
    return NOT_MEASURED if trial.wall_seconds is None else significant(trial.wall_seconds)


SIZE = Column("size", "MB", 6, lambda trial, _: megabytes(trial.size_bytes), ("size",))
RATIO = Column("size", "size×", 6, _ratio, ("size",))
LATENCY = Column("latency", "ms", 6, _milliseconds, ("latency",))
SPEED = Column("speed", "speed×", 7, _speed, ("latency",), "speedup")
SPEED_INTERVAL = Column("speed", "speed 95 %", 13, _speed_interval)
QUALITY = Column("quality", "qual", 6, _quality, ("quality_drop",))
CHANGE = Column("drop", "change", 6, _change, ("quality_drop",), "drop")
CHANGE_INTERVAL = Column("drop", "change 95 %", 13, _change_interval)
RAM = Column("ram", "RAM", 5, lambda trial, _: megabytes(trial.ram_bytes), ("ram",))
VRAM = Column("vram", "VRAM", 5, lambda trial, _: megabytes(trial.vram_bytes), ("vram",))
SECONDS = Column("seconds", "took s", 6, _seconds)

IN_ORDER = (SIZE, RATIO, LATENCY, SPEED, SPEED_INTERVAL, QUALITY, CHANGE, CHANGE_INTERVAL, RAM, VRAM, SECONDS)


def columns_for(
    width: int, constraints: Mapping[str, Bound], *, has_ram: bool, has_vram: bool
) -> tuple[tuple[Column, ...], int]:
    """The columns that fit, and what is left for the recipe.

    Args:
        width: what recipe and figures share.
        constraints: what they are about is shown rather than other figures.
        has_ram: memory was measured.
        has_vram: a device's memory was measured.
    """
    limited = [column for column, name in ((RAM, "ram"), (VRAM, "vram")) if name in constraints]
    by_weight = [SIZE, CHANGE, SPEED, *limited, QUALITY, LATENCY, CHANGE_INTERVAL, RATIO, RAM, VRAM, SPEED_INTERVAL]
    by_weight.append(SECONDS)
    chosen: list[Column] = []
    for column in by_weight:
        missing = (column is RAM and not has_ram) or (column is VRAM and not has_vram)
        if column in chosen or missing:
            continue
        used = sum(each.width + GAP for each in (*chosen, column))
        if width - used < (NARROWEST_LABEL if len(chosen) < 4 else COMFORTABLE_LABEL):
            continue
        chosen.append(column)
    used = sum(column.width + GAP for column in chosen)
    return tuple(column for column in IN_ORDER if column in chosen), max(0, width - used)
