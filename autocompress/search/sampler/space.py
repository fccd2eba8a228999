"""The space as the sampler sees it: a function that asks for knobs, and what is known of its answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any, Generic, Protocol, TypeVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Configuration = TypeVar("Configuration")
Choose = Callable[[str, BaseDistribution], Any]
NOT_OFFERED = object()
"""Stands for a value that a distribution does not have."""


class Suggests(Protocol):
    """What a space asks; Optuna's ``Trial`` answers it too."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float:
        """A value of low, low + step, …, high."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer of low, low + step, …, high."""


@dataclass(frozen=True)
class Stage:
    """A part of a trial that takes time.

    Attributes:
        kind: stages of the same kind take about the same time.
        content: what it makes, what went before included: once made, it comes out of a cache. None: never cached.
    """

    kind: str
    content: str | None = None


def _allow(_: object) -> str | None:
    return None


def _unpredicted(_: object) -> Mapping[str, float]:
    return {}


def _unstaged(_: object) -> Sequence[Stage]:
    return ()


@dataclass(frozen=True)
class Space(Generic[Configuration]):
    """All configurations that a function can ask for.

    Attributes:
        propose: asks for the knobs that matter, in any order and on any condition, and makes a configuration of them.
            The same name must always mean the same distribution. A name's part from ``[`` on is no part of its meaning:
            ``quantize[a|b]`` and ``quantize[a|b|c]`` are the same choice, with some options left out.
        refusal: why a configuration cannot be; None: it can. Such a one is never proposed.
        key: equal for configurations that are the same, so that knobs without effect make no difference; by default
            all answers.
        known_good: answers that usually do well, in the order in which they are tried; see `in_turn`.
        predicted: figures that are known roughly beforehand, by name, such as a size by arithmetic.
        stages: what a trial of it does, in order.
    """

    propose: Callable[[Suggests], Configuration]
    refusal: Callable[[Configuration], str | None] = _allow
    key: Callable[[Configuration], str] | None = None
    known_good: Sequence[Mapping[str, Any]] = ()
    predicted: Callable[[Configuration], Mapping[str, float]] = _unpredicted
    stages: Callable[[Configuration], Sequence[Stage]] = _unstaged

    def candidate(self, given: Mapping[str, Any], choose: Choose | None = None) -> Candidate[Configuration]:
        """The configuration of these answers; what they lack or what is not offered is chosen.

        Raises:
            KeyError: an answer is missing or not offered, and there is nothing to choose by.
        """
        answers = Answers(given, choose)
        configuration = self.propose(answers)
        key = self.key(configuration) if self.key else json.dumps(answers.params, sort_keys=True, default=str)
        return Candidate(configuration, answers.params, answers.distributions, key)

    def every(self, at_most: int) -> list[Candidate[Configuration]] | None:
        """All configurations that are not refused, or None where there are more than so many."""
        found: dict[str, Candidate[Configuration]] = {}
        for count, candidate in enumerate(self._walk()):
            if count >= at_most:
                return None
            if self.refusal(candidate.configuration) is None:
                found.setdefault(candidate.key, candidate)
        return list(found.values())

    def _walk(self) -> Iterator[Candidate[Configuration]]:
        """All answers, depth first: the last question that has another answer left is answered anew."""
        path: list[int] = []
        while True:
            counts: list[int] = []

            yield self.candidate({}, partial(_follow, path, counts))
            path += [0] * (len(counts) - len(path))
            while path and path[-1] + 1 >= counts[len(path) - 1]:
                path.pop()
            if not path:
                return
            path[-1] += 1


def _follow(path: Sequence[int], counts: list[int], _: str, distribution: BaseDistribution) -> Any:
    """The option on the path, the first one beyond its end; counts how many there were."""
    options = options_of(distribution)
    place = path[len(counts)] if len(counts) < len(path) else 0
    counts.append(len(options))
    return options[place]


@dataclass(frozen=True)
class Candidate(Generic[Configuration]):
    """A configuration with the answers that make it."""

    configuration: Configuration
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    key: str

    @cached_property
    def choices(self) -> tuple[tuple[str, Any], ...]:
        """What was chosen, by names without what follows a ``[``."""
        return tuple((name.partition("[")[0], value) for name, value in self.params.items())


@dataclass
class Answers:
    """Answers a space's questions, and keeps them."""

    given: Mapping[str, Any]
    choose: Choose | None
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The given choice."""
        return self._answer(name, _categorical(*choices))

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float:
        """The given value, moved to the grid."""
        return float(self._answer(name, _float(low, high, step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """The given value."""
        return int(self._answer(name, IntDistribution(low, high, step=step)))

    def _answer(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self.params:
            value = on_grid(self.given[name], distribution) if name in self.given else NOT_OFFERED
            if value is NOT_OFFERED:
                if self.choose is None:
                    raise KeyError(name)
                value = on_grid(self.choose(name, distribution), distribution)
            self.params[name] = value
            self.distributions[name] = distribution
        return self.params[name]


@lru_cache(maxsize=4096, typed=True)
def _categorical(*choices: Any) -> CategoricalDistribution:
    return CategoricalDistribution(choices)


@lru_cache(maxsize=4096)
def _float(low: float, high: float, step: float) -> FloatDistribution:
    return FloatDistribution(low, high, step=step)


def options_of(distribution: BaseDistribution) -> Sequence[Any]:
    """All values of a choice, of integers, or of a grid.

    Raises:
        ValueError: a distribution without a grid.
    """
    match distribution:
        case CategoricalDistribution():
            return distribution.choices
        case IntDistribution():
            return range(distribution.low, distribution.high + 1, distribution.step)
        case FloatDistribution() if distribution.step is not None:
            count = round((distribution.high - distribution.low) / distribution.step) + 1
            # The last sum of steps may lie a hair beyond the end.
            return [min(distribution.low + index * distribution.step, distribution.high) for index in range(count)]
    raise ValueError(f"{distribution} has no grid: give a step")


def on_grid(value: Any, distribution: BaseDistribution) -> Any:
    """The same value as always written: sums of steps differ in their last digits. Or `NOT_OFFERED`."""
    if isinstance(distribution, CategoricalDistribution):
        same = [option for option in distribution.choices if type(option) is type(value) and option == value]
        return same[0] if same else NOT_OFFERED
    if not isinstance(value, int | float):
        return NOT_OFFERED
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    step = distribution.step
    if step is None:
        raise ValueError(f"{distribution} has no grid: give a step")
    place = round((value - distribution.low) / step)
    nearest = min(distribution.low + place * step, distribution.high)
    inside = 0 <= place <= round((distribution.high - distribution.low) / step)
    return nearest if inside and abs(nearest - value) < 1e-6 * step else NOT_OFFERED


Item = TypeVar("Item")


def in_turn(items: Iterable[Item], group: Callable[[Item], object], cost: Callable[[Item], float]) -> list[Item]:
    """One of each group, the cheapest first, then the next of each.

    >>> in_turn(["onnx int4", "onnx", "pytorch"], group=lambda it: it.split()[0], cost=len)
    ['onnx', 'pytorch', 'onnx int4']
    """
    seen: dict[object, int] = {}
    placed = []
    for item in sorted(items, key=cost):
        row = seen.get(group(item), 0)
        seen[group(item)] = row + 1
        placed.append((row, cost(item), item))
    return [item for _, _, item in sorted(placed, key=lambda one: one[:2])]
