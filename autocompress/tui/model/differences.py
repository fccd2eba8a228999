"""What sets one recipe apart from another, in words; and the recipe on the front that is nearest to one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from autocompress.rounding import percent
from autocompress.tui.model.front import point_of
from autocompress.tui.model.trial import Trial

Plain = Mapping[str, Any]
"""A recipe as plain data: ``steps`` (each a mapping of its tag to its knobs), ``format``, ``seed``."""

DROP_WEIGHT = 10.0
"""A tenth of the original's quality counts as much as a factor of e in size or speed."""


@dataclass(frozen=True)
class _Step:
    """A step to compare: its method, its label, and its knobs where they are known."""

    method: str
    label: str
    knobs: Plain | None = None


def difference_in_words(trial: Trial, other: Trial, mine: Plain | None = None, theirs: Plain | None = None) -> str:
    """``as #31, but int8-static instead of gptq 4``.

    Args:
        trial: the one that is described.
        other: the one that it is described by.
        mine: its recipe as plain data, where that was read; knobs that labels leave out can be told then.
        theirs: the other's.
    """
    changes = step_changes(trial, other, mine, theirs)
    if trial.format != other.format:
        changes.append(f"in {trial.format} instead of {other.format}")
    name = "the original" if other.origin == "baseline" else f"#{other.number}"
    if not changes and mine is not None and theirs is not None and mine.get("seed") != theirs.get("seed"):
        changes.append(f"with seed {mine.get('seed')} instead of {theirs.get('seed')}")
    return f"as {name}, but {', '.join(changes)}" if changes else f"the same recipe as {name}"


def step_changes(trial: Trial, other: Trial, mine: Plain | None = None, theirs: Plain | None = None) -> list[str]:
    """A phrase for each step that was exchanged, added, left out or set differently."""
    own, its = _steps(trial, mine), _steps(other, theirs)
    if own != its and sorted(own, key=_order) == sorted(its, key=_order):
        return ["with the steps in another order"]
    phrases: list[str] = []
    matcher = SequenceMatcher(a=[s.method for s in its], b=[s.method for s in own], autojunk=False)
    for kind, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        old, new = its[a_from:a_to], own[b_from:b_to]
        if kind == "equal":
            phrases += [p for before, after in zip(old, new, strict=True) if (p := _knob_change(before, after))]
            continue
        shared = min(len(old), len(new))
        phrases += [f"{after.label} instead of {before.label}" for before, after in zip(old, new, strict=False)]
        phrases += [f"with {step.label}" for step in new[shared:]]
        phrases += [f"without {step.label}" for step in old[shared:]]
    return phrases


def _order(step: _Step) -> tuple[str, str]:
    return step.label, repr(step.knobs)


def _steps(trial: Trial, plain: Plain | None) -> list[_Step]:
    steps = (plain or {}).get("steps") or ()
    if len(steps) == len(trial.labels):
        knobs = [next(iter(step.items())) for step in steps]
        return [_Step(tag, label, each or {}) for (tag, each), label in zip(knobs, trial.labels, strict=True)]
    return [_Step(label.split(" ")[0], label) for label in trial.labels]


def _knob_change(before: _Step, after: _Step) -> str | None:
    """How two steps of one method differ; None where they don't, as far as is known."""
    if before.label != after.label:
        own, its = after.label.split(" "), before.label.split(" ")
        short = " ".join(its[1:]) if len(own) == len(its) and own[0] == its[0] else before.label
        return f"{after.label} instead of {short}"
    if before.knobs is None or after.knobs is None or before.knobs == after.knobs:
        return None
    names = [n for n in {**after.knobs, **before.knobs} if before.knobs.get(n) != after.knobs.get(n)]
    told = [
        f"{n.replace('_', ' ')} {_value(after.knobs.get(n))} instead of {_value(before.knobs.get(n))}" for n in names
    ]
    return f"{after.label} with {' and '.join(told)}"


def _value(value: object) -> str:
    if value is None:
        return "its default"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float) and 0.001 <= value < 1:
        return percent(value)
    return str(value)


def n_differences(trial: Trial, other: Trial) -> int:
    """How many steps differ, the format counted as one."""
    return len(step_changes(trial, other)) + (trial.format != other.format)


def nearest_on_front(trial: Trial, trials: Mapping[int, Trial], front: Iterable[int]) -> Trial | None:
    """The front's recipe with the fewest other steps, then the nearest figures; None where the front has no other."""
    others = [trials[n] for n in front if n != trial.number and n in trials and trials[n].origin != "baseline"]
    return min(others, key=lambda o: (n_differences(trial, o), figures_apart(trial, o), o.number), default=None)


def figures_apart(trial: Trial, other: Trial) -> float:
    """How far two trials' figures are from one another; infinite where one was not measured."""
    mine, its = point_of(trial), point_of(other)
    if mine is None or its is None:
        return float("inf")
    lost = [t.relative_drop.value if t.relative_drop else t.drop.value if t.drop else 0.0 for t in (trial, other)]
    return abs(mine[0] - its[0]) + abs(mine[1] - its[1]) + DROP_WEIGHT * abs(lost[0] - lost[1])
