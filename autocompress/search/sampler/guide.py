"""Optuna's TPE on a study in memory: what it would try next, given all that is known, at no cost to the real study."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from autocompress.search.sampler.space import Candidate, Configuration, Space

SHARP_CANDIDATES = 24
VIOLATION_OF_FAILURE = 1.0


class Guide(Generic[Configuration]):
    """Candidates that TPE suggests.

    With the best of many draws it soon comes back to what was tried; with a single draw it stays among the good but
    wanders.
    """

    def __init__(self, space: Space[Configuration], n_objectives: int, seed: int | None) -> None:
        self._space = space
        self._directions = [StudyDirection.MINIMIZE] * n_objectives
        self._sharp, self._wide = (_tpe(seed, count) for count in (SHARP_CANDIDATES, 1))
        self.forget()

    def forget(self) -> None:
        """Learn anew."""
        self._study = optuna.create_study(directions=self._directions, sampler=self._sharp)
        self._learnt: set[int] = set()

    def learn(
        self,
        trials: Iterable[tuple[int, Mapping[str, Any], Mapping[str, BaseDistribution], Sequence[float], float]],
    ) -> None:
        """Take in new trials: number, answers, distributions, values, and how far limits are broken."""
        for number, params, distributions, values, violation in trials:
            if number not in self._learnt:
                self._learnt.add(number)
                self._study.add_trial(
                    create_trial(
                        params=dict(params),
                        distributions=dict(distributions),
                        values=list(values),
                        constraints={"limits": violation},
                    )
                )

    def suggest(self, sharp: bool) -> Candidate[Configuration]:
        """What TPE would try next, new and valid or not."""
        self._study.sampler = self._sharp if sharp else self._wide
        trial = self._study.ask()
        candidate = self._space.candidate({}, lambda name, distribution: _asked(trial, name, distribution))
        self._study.tell(trial, state=TrialState.FAIL)
        return candidate


def _tpe(seed: int | None, n_candidates: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():  # that groups are experimental is for this package to know, not for its users
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_ei_candidates=n_candidates)


def _asked(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case IntDistribution():
            return trial.suggest_int(name, distribution.low, distribution.high, step=distribution.step)
        case FloatDistribution():
            return trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step)
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
    raise ValueError(f"{distribution} cannot be asked for")
