"""Where to look: all configurations of a small space, otherwise random ones, mutants of good ones, and crossings."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Generic

from optuna.distributions import BaseDistribution

from autocompress.search.sampler.space import Candidate, Configuration, Space, options_of

SMALL_SPACE = 1_500
LARGEST_POOL = 1_500
RANDOM_A_TIME = 60
MUTANTS_A_TIME = 120
NEIGHBOURS_EACH = 8
RANDOM_TRIES = 500


class Pool(Generic[Configuration]):
    """Candidates that are valid and not yet tried; it keeps the more promising ones from one time to the next.

    Args:
        space: what they are of.
        generator: chance.
        small: a space of at most so many answers is listed whole.
        breadth: how many candidates are added at a time, as a share of the usual.
    """

    def __init__(
        self, space: Space[Configuration], generator: random.Random, small: int = SMALL_SPACE, breadth: float = 1.0
    ) -> None:
        self._space = space
        self._random = generator
        self._breadth = breadth
        everything = space.every(small)
        self.is_whole = everything is not None
        """Whether it holds all configurations there are."""
        self._kept = {candidate.key: candidate for candidate in everything or ()}

    def without(self, seen: Collection[str]) -> list[Candidate[Configuration]]:
        """All candidates but those of these keys."""
        return [candidate for key, candidate in self._kept.items() if key not in seen]

    def add(self, candidates: Iterable[Candidate[Configuration]]) -> None:
        """Take in these where they are valid."""
        for candidate in candidates:
            if candidate.key not in self._kept and self._space.refusal(candidate.configuration) is None:
                self._kept[candidate.key] = candidate

    def grow(self, parents: Sequence[Candidate[Configuration]]) -> None:
        """Add random candidates, and children of the parents."""
        if self.is_whole:
            return
        self.add(self.at_random() for _ in range(math.ceil(RANDOM_A_TIME * self._breadth)))
        if parents:
            self.add(self._child(parents) for _ in range(math.ceil(MUTANTS_A_TIME * self._breadth)))

    def add_neighbours(self, parents: Sequence[Candidate[Configuration]]) -> None:
        """Add mutants of each of these."""
        each = math.ceil(NEIGHBOURS_EACH * self._breadth)
        if not self.is_whole:
            self.add(self._mutant(parent) for parent in parents for _ in range(each))

    def shrink(self, promise: Callable[[str], float]) -> None:
        """Keep the more promising ones."""
        if not self.is_whole and len(self._kept) > LARGEST_POOL:
            best = sorted(self._kept, key=promise, reverse=True)[: LARGEST_POOL // 2]
            self._kept = {key: self._kept[key] for key in best}

    def at_random(self) -> Candidate[Configuration]:
        """One by chance, valid or not."""
        return self._space.candidate({}, self._choose)

    def new_at_random(self, seen: Collection[str]) -> Candidate[Configuration] | None:
        """A valid one by chance that is not of these keys; None where none was found."""
        if self.is_whole:
            left = self.without(seen)
            return self._random.choice(left) if left else None
        for _ in range(RANDOM_TRIES):
            candidate = self.at_random()
            if candidate.key not in seen and self._space.refusal(candidate.configuration) is None:
                return candidate
        return None

    def _choose(self, _: str, distribution: BaseDistribution) -> Any:
        return self._random.choice(options_of(distribution))

    def _child(self, parents: Sequence[Candidate[Configuration]]) -> Candidate[Configuration]:
        mother = self._random.choice(parents)
        if self._random.random() < 0.7:
            return self._mutant(mother)
        father = self._random.choice(parents)
        mixed = {**father.params, **{name: v for name, v in mother.params.items() if self._random.random() < 0.5}}
        return self._space.candidate(mixed, self._choose)

    def _mutant(self, parent: Candidate[Configuration]) -> Candidate[Configuration]:
        """With one or two answers given anew, what hangs on them included."""
        changed = self._random.sample(list(parent.params), k=min(len(parent.params), self._random.choice((1, 1, 2))))
        kept = {name: value for name, value in parent.params.items() if name not in changed}
        return self._space.candidate(kept, self._choose)
