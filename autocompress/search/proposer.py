"""Decides which recipe to try next: known-good ones first, then Optuna's TPE, never one twice."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from autocompress.recipe import Recipe
from autocompress.search.study import DIRECTIONS
from autocompress.space import SearchSpace

SHARP_TRIES = 2
WIDE_TRIES = 30
RANDOM_TRIES = 500


class Proposer:
    """Proposes recipes that are valid and new.

    The sampler works on a study of its own in memory, so that a proposal that was tried before, or that the interplay
    of its knobs makes invalid, costs nothing and leaves no trace in the record.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space = space
        self._asked_for: list[Recipe] = []
        self._queue = [(recipe, "known_good") for recipe in space.known_good()]
        self._random = random.Random(seed)  # noqa: S311 - no secret
        # TPE draws candidates where good trials are dense and takes the most promising one. With the best of many it
        # soon comes back to what was tried; with a single candidate it stays among the good but wanders.
        self._sharp, self._wide = (
            optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_ei_candidates=count)
            for count in (24, 1)
        )
        self.forget()

    def next(self, tried: Iterable[str], finished: Sequence[FrozenTrial]) -> tuple[Recipe, str] | None:
        """The next recipe and where it comes from; None when the space holds nothing new.

        Args:
            tried: digests of all recipes tried so far.
            finished: the record's trials, to learn from.
        """
        seen = set(tried)
        if self._asked_for:
            return self._asked_for.pop(0), "user"
        while self._queue:
            recipe, origin = self._queue.pop(0)
            if recipe.digest not in seen:
                return recipe, origin
        self._learn(finished)
        for attempt in range(SHARP_TRIES + WIDE_TRIES):
            self._study.sampler = self._sharp if attempt < SHARP_TRIES else self._wide
            trial = self._study.ask()
            recipe = self.space.propose(trial)
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            if self._is_new(recipe, seen):
                return recipe, "sampler"
        for _ in range(RANDOM_TRIES):
            recipe = self.space.propose(_RandomTrial(self._random))
            if self._is_new(recipe, seen):
                return recipe, "sampler"
        return None

    def retry(self, recipe: Recipe) -> None:
        """Put a recipe whose trial was interrupted in front of the queue."""
        self._queue.insert(0, (recipe, "retry"))

    def ask_for(self, recipe: Recipe) -> None:
        """Propose this recipe before all others, but after those that were asked for earlier."""
        self._asked_for.append(recipe)

    @property
    def n_asked_for(self) -> int:
        """How many recipes were asked for and not proposed yet."""
        return len(self._asked_for)

    def is_asked_for(self, recipe: Recipe) -> bool:
        """Whether a recipe was asked for and not proposed yet."""
        return any(other.digest == recipe.digest for other in self._asked_for)

    def forget(self) -> None:
        """Learn from all trials anew: they are judged otherwise now."""
        self._study = optuna.create_study(directions=DIRECTIONS, sampler=self._sharp)
        self._learned: set[int] = set()

    def _is_new(self, recipe: Recipe, seen: set[str]) -> bool:
        return recipe.digest not in seen and self.space.refusal(recipe) is None

    def _learn(self, finished: Sequence[FrozenTrial]) -> None:
        for trial in finished:
            if trial.number not in self._learned:
                self._learned.add(trial.number)
                self._study.add_trial(trial)


class _RandomTrial:
    """Answers a space's questions at random."""

    def __init__(self, generator: random.Random) -> None:
        self._random = generator

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        del name
        return self._random.choice(choices)

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float:
        del name
        return low + step * self._random.randint(0, round((high - low) / step))
