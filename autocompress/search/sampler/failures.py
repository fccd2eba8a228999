"""What fails: errors that came more than once are laid to the pair of choices that explains them best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Choice = tuple[str, Any]
Pair = frozenset[Choice]
"""Two choices, or a single one."""

REPEATS = 2
PRIOR_FAILURES, PRIOR_SUCCESSES = 0.1, 0.4
UNEXPLAINED = 0.05
"""Probability that a configuration fails in a way that was not seen before."""


@dataclass(frozen=True)
class Blame:
    """A pair of choices that an error is laid to, and how likely it is to fail again."""

    pair: Pair
    failure: str
    probability: float


class Failures:
    """Learns from which choices trials failed with which error, and which went well.

    Args:
        trials: choices and the error's words, None where there was none.
    """

    def __init__(self, trials: Sequence[tuple[Sequence[Choice], str | None]]) -> None:
        succeeded: dict[Pair, int] = defaultdict(int)
        failed: dict[str, list[frozenset[Pair]]] = defaultdict(list)
        for choices, failure in trials:
            pairs = _pairs(choices)
            if failure is not None:
                failed[failure].append(pairs)
            else:
                for pair in pairs:
                    succeeded[pair] += 1
        self.blames = [blame for failure, trials_ in failed.items() for blame in _blames(failure, trials_, succeeded)]

    def success(self, choices: Sequence[Sequence[Choice]]) -> NDArray[np.float64]:
        """Probability that each configuration does not fail."""
        return np.array([self._success(frozenset(one)) for one in choices])

    def _success(self, choices: frozenset[Choice]) -> float:
        worst = max((blame.probability for blame in self.blames if blame.pair <= choices), default=0.0)
        return (1 - UNEXPLAINED) * (1 - worst)


def _pairs(choices: Sequence[Choice]) -> frozenset[Pair]:
    singles = [frozenset([choice]) for choice in choices]
    return frozenset([*singles, *(frozenset(pair) for pair in combinations(choices, 2))])


def _blames(failure: str, trials: list[frozenset[Pair]], succeeded: dict[Pair, int]) -> list[Blame]:
    """The pairs that explain an error's trials: the likeliest first, then what it leaves unexplained."""
    blames = []
    while len(trials) >= REPEATS:
        counts: dict[Pair, int] = defaultdict(int)
        for pairs in trials:
            for pair in pairs:
                counts[pair] += 1

        def probability(pair: Pair, counts: dict[Pair, int] = counts) -> float:
            failures = counts[pair] + PRIOR_FAILURES
            return failures / (failures + succeeded[pair] + PRIOR_SUCCESSES)

        repeated = [pair for pair, count in counts.items() if count >= REPEATS]
        if not repeated:
            break
        best = max(probability(pair) * counts[pair] for pair in repeated)
        guilty = [pair for pair in repeated if probability(pair) * counts[pair] >= best - 1e-9]
        blames += [Blame(pair, failure, probability(pair)) for pair in guilty]
        trials = [pairs for pairs in trials if not pairs.intersection(guilty)]
    return blames
