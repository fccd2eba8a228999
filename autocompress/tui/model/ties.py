"""Which figures of trials can be told apart: those whose intervals share no value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from autocompress.tui.model.trial import Interval, Trial

Mark = Literal["best", "tie"]


def marks(figures: Sequence[Interval | None], *, smaller_is_better: bool) -> list[Mark | None]:
    """For figures of one kind side by side: which is the best, or which share the first place.

    The best is marked only where its interval separates it from every other; else it ties with those that it
    overlaps. What was not measured is never marked, and one figure alone is compared with nothing.
    """
    known = [figure for figure in figures if figure is not None]
    if len(known) < 2:
        return [None] * len(figures)
    best = (min if smaller_is_better else max)(known, key=lambda figure: figure.value)
    tied = [figure is not None and figure.overlaps(best) for figure in figures]
    mark: Mark = "best" if sum(tied) == 1 else "tie"
    if all(tied):
        return ["tie" if each else None for each in tied]
    return [mark if each else None for each in tied]


def exact(value: float | None) -> Interval | None:
    """A figure that is counted, not measured."""
    return None if value is None else Interval(float(value), float(value), float(value))


def ties_in_words(trial: Trial, other: Trial) -> list[str]:
    """A sentence for each figure that two measured trials cannot be told apart by."""
    pairs: Mapping[str, tuple[Interval | None, Interval | None]] = {
        "speed": (trial.speedup, other.speedup),
        "quality": (trial.drop, other.drop),
    }
    name = "the original" if other.origin == "baseline" else f"#{other.number}"
    return [
        f"{what} of #{trial.number} and {name} cannot be told apart: their intervals overlap"
        for what, (mine, its) in pairs.items()
        if mine is not None and its is not None and mine.overlaps(its)
    ]
