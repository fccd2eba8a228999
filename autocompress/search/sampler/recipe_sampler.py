"""The sampler: known-good configurations first, then those that are expected to add most for their cost."""

from __future__ import annotations

import json
import logging
import math
import random
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from autocompress.search.sampler.figures import Figure, ReadTrial, TrialOutcome, reader_of
from autocompress.search.sampler.foreknowledge import Foreknowledge
from autocompress.search.sampler.guide import Guide
from autocompress.search.sampler.hypervolume import Belief
from autocompress.search.sampler.pool import Pool
from autocompress.search.sampler.promises import Promises
from autocompress.search.sampler.space import Candidate, Configuration, Space
from autocompress.search.sampler.surrogate import Strengths
from autocompress.search.sampler.view import FEWEST_TO_MODEL, Learnt, View

Array = NDArray[np.float64]
Origin = Literal["known_good", "model", "guard", "tpe", "random"]

GUARD_EVERY = 5
"""One proposal of so many does without anything that was believed beforehand, …"""
GUARD_OFTEN = 2
"""… or of so many, where those bring more."""
MODEL_EVERY = 3
"""As long as nothing inside the limits is known, TPE proposes, except for one of so many."""
SUGGESTIONS = 1
NEIGHBOURHOODS = 12
SHARP_TRIES = 2
WIDE_TRIES = 30
CHOSEN = "recipe_sampler:chosen"
ORIGIN = "recipe_sampler:origin"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Proposal(Generic[Configuration]):
    """What to try next, and where it comes from.

    Attributes:
        origin: ``known_good``; ``model``; ``guard``: by a model without prior beliefs; ``tpe`` where the models cannot
            say, or nothing inside the limits is known; ``random`` where that has nothing new either.
        gain: by how much it is expected to enlarge the hypervolume, where a model said so.
    """

    candidate: Candidate[Configuration]
    origin: Origin
    gain: float | None = None


class RecipeSampler(BaseSampler, Generic[Configuration]):
    """Proposes configurations for conditional spaces of choices whose trials are dear and whose figures are noisy.

    Known-good configurations are tried first. Then a Bayesian linear model of each figure over choices says what is
    expected of every candidate, and the one with the largest expected hypervolume improvement inside the limits is
    tried, weighed by its probability not to fail and by the square root of its expected seconds. As long as nothing
    inside the limits is known, Optuna's TPE proposes, in turns with what most probably is inside. Nothing that is
    refused is proposed, and nothing twice. Where the models fail, TPE proposes, and ``fallbacks`` says why.

    Trials that run are expected to turn out as predicted, so several workers on one study do not try the same.
    Limits may be changed at any time: all trials are judged by those that hold now.

    Args:
        space: what can be tried.
        figures: the objectives, all minimised, in the study's order, then others that limits are about. Without any,
            the study's objectives are modelled as they are.
        limits: a figure's name to the most that is allowed.
        reference: the worst values of the objectives that are still of any use; the hypervolume is measured from there.
            By default the limits, and where there is none the worst value so far.
        read: what a finished trial told; by default see `reader_of`.
        seed: of all chance.
        breadth: how many candidates are looked at, as a share of the usual: less where asking the space takes long.

    Example:
        >>> import optuna
        >>> from autocompress.search.sampler import Figure, RecipeSampler, Space
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> def recipe(trial):
        ...     method = trial.suggest_categorical("method", ["none", "int8", "groups"])
        ...     bits = trial.suggest_categorical("groups.bits", [2, 3, 4, 8]) if method == "groups" else None
        ...     return method, bits, trial.suggest_float("sparsity", 0.0, 0.9, step=0.1)
        >>> def objective(trial):
        ...     method, bits, sparsity = recipe(trial)
        ...     size = {"none": 32, "int8": 8, "groups": bits}[method] / 32 * (1 - 0.9 * sparsity)
        ...     lost = 2.0 ** -(bits or 8) / 10 + sparsity**4 / 20
        ...     return size, lost
        >>> space = Space(recipe, known_good=[{"method": "int8", "sparsity": 0.0}])
        >>> sampler = RecipeSampler(space, (Figure("size"), Figure("lost", shift=0.01)), limits={"lost": 0.02}, seed=0)
        >>> study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        >>> study.optimize(objective, n_trials=20)
        >>> study.trials[0].params
        {'method': 'int8', 'sparsity': 0.0}
        >>> len({tuple(trial.params.items()) for trial in study.trials})
        20
        >>> sampler.gain_left() < 0.2
        True
    """

    def __init__(
        self,
        space: Space[Configuration],
        figures: Sequence[Figure] = (),
        limits: Mapping[str, float] | None = None,
        reference: Sequence[float] | None = None,
        read: ReadTrial | None = None,
        seed: int | None = None,
        breadth: float = 1.0,
    ) -> None:
        self.space = space
        self.fallbacks: list[str] = []
        """Why TPE proposed instead of the models, each time that it did."""
        self._figures = tuple(figures)
        self._limits = dict(limits or {})
        self._reference = tuple(reference) if reference is not None else None
        self._read = read
        self._seed = seed
        self._breadth = breadth
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._known_good = [space.candidate(params) for params in space.known_good]
        self._known_good = [one for one in self._known_good if space.refusal(one.configuration) is None]
        self._pool: Pool[Configuration] | None = None
        self._guide: Guide[Configuration] | None = None
        self._foreknowledge = Foreknowledge(space)
        self._strengths: dict[tuple[str, bool], Strengths] = {}
        self._outcomes: dict[int, tuple[Candidate[Configuration], TrialOutcome] | None] = {}
        self._n_modelled = 0
        self._n_outside = 0
        self._promises = Promises(self._reference) if self._reference is not None else None
        self._gain: float | None = None
        self._chosen: dict[int, Candidate[Configuration]] = {}
        self._lock = threading.RLock()

    @property
    def limits(self) -> Mapping[str, float]:
        """A figure's name to the most that is allowed; assign others at any time."""
        return dict(self._limits)

    @limits.setter
    def limits(self, limits: Mapping[str, float]) -> None:
        with self._lock:
            self._limits = dict(limits)
            self._gain = None
            if self._reference is not None:
                self._promises = Promises(self._reference)
            if self._guide is not None:
                self._guide.forget()

    def gain_left(self) -> float | None:
        """The most that one more trial is expected to add to the hypervolume, as a share of what there is.

        The largest of many expectations is too large; with a reference point given, it counts for as much as the latest
        ones have been worth. None as long as no model has said; infinite while nothing inside the limits was found.
        """
        if self._gain is None or self._promises is None:
            return self._gain
        return self._gain * self._promises.kept_share

    def foretell(
        self,
        trials: Sequence[FrozenTrial],
        candidates: Sequence[Candidate[Configuration]],
        *,
        n_objectives: int | None = None,
        guarding: bool = False,
    ) -> Mapping[str, Belief]:
        """What is believed of candidates once these trials are known, by the objective's name; nothing is proposed.

        Args:
            trials: what is known, of one study.
            candidates: of this sampler's space.
            n_objectives: by default as many as the finished trials have values.
            guarding: do without what was believed beforehand.

        Raises:
            ValueError: the trials are too few to learn from.
        """
        with self._lock:
            learnt, n_objectives = self._learn(trials), n_objectives or self._n_objectives(trials)
            view = self._view(learnt, n_objectives, guarding=guarding)
            return {figure.name: view.belief(figure, candidates) for figure in self._figures[:n_objectives]}

    # Optuna's side --------------------------------------------------------------------------------------------------

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What was chosen for the trial, as distributions; nothing where its parameters were enqueued."""
        if trial.system_attrs.get("fixed_params"):
            return {}
        with self._lock:
            others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
            proposal = self.propose(others, n_objectives=len(study.directions))
            if proposal is None:
                _log.warning("every configuration was tried: one is repeated")
                assert self._pool is not None
                proposal = Proposal(self._pool.at_random(), "random")
            # Written at once, so that other workers see it before the trial asks for its first parameter.
            chosen, storage = proposal.candidate, study._storage
            storage.set_trial_system_attr(trial._trial_id, CHOSEN, json.dumps(chosen.params))
            storage.set_trial_system_attr(trial._trial_id, ORIGIN, proposal.origin)
            self._chosen[trial.number] = chosen
        return chosen.distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The answers that were chosen for the trial."""
        del study, search_space
        chosen = self._chosen.pop(trial.number, None)
        return dict(chosen.params) if chosen is not None else {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """By chance, what the objective asks and the space does not."""
        sampler = optuna.samplers.RandomSampler(self._random.randrange(2**32))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Nothing: threads share this sampler and its chance, one at a time."""

    # Proposals ------------------------------------------------------------------------------------------------------

    def propose(
        self, trials: Sequence[FrozenTrial], seen: Collection[str] = (), n_objectives: int | None = None
    ) -> Proposal[Configuration] | None:
        """What to try next; None where nothing new is left.

        Args:
            trials: what is known: finished, running and waiting ones.
            seen: keys of configurations that must not be proposed, beside those of the trials.
            n_objectives: by default as many as the finished trials have values.
        """
        with self._lock:
            learnt = self._learn(trials)
            learnt.seen.update(seen)
            while self._known_good:
                candidate = self._known_good.pop(0)
                if candidate.key not in learnt.seen:
                    return Proposal(candidate, "known_good")
            n_objectives = n_objectives or self._n_objectives(trials)
            if self._pool is None:
                self._pool = Pool(self.space, self._random, breadth=self._breadth)
                self._guide = Guide(self.space, n_objectives, self._seed)
            self._teach(trials)
            if sum(outcome.failure is None for _, outcome in learnt.finished) < FEWEST_TO_MODEL:
                return self._without_model(learnt)
            if self._pool.is_whole and not self._pool.without(learnt.seen):
                return None
            try:
                proposal = self._by_model(learnt, n_objectives)
                if proposal.gain is None:
                    self._n_outside += 1
                    if self._n_outside % MODEL_EVERY:
                        return self._without_model(learnt)
                return proposal
            except (np.linalg.LinAlgError, ValueError, FloatingPointError) as problem:
                self.fallbacks.append(str(problem))
                _log.warning("TPE proposes, because the models cannot: %s", problem)
                return self._without_model(learnt)

    def _without_model(self, learnt: Learnt[Configuration]) -> Proposal[Configuration] | None:
        assert self._pool is not None
        assert self._guide is not None
        for attempt in range(SHARP_TRIES + WIDE_TRIES):
            candidate = self._guide.suggest(sharp=attempt < SHARP_TRIES)
            if candidate.key not in learnt.seen and self.space.refusal(candidate.configuration) is None:
                return Proposal(candidate, "tpe")
        new = self._pool.new_at_random(learnt.seen)
        return Proposal(new, "random") if new is not None else None

    def _n_objectives(self, trials: Sequence[FrozenTrial]) -> int:
        values = next((trial.values for trial in trials if trial.state is TrialState.COMPLETE), None)
        return len(values) if values else len(self._figures)

    # What is known --------------------------------------------------------------------------------------------------

    def _learn(self, trials: Sequence[FrozenTrial]) -> Learnt[Configuration]:
        learnt: Learnt[Configuration] = Learnt()
        for trial in trials:
            if trial.state.is_finished():
                known = self._outcome(trial)
                if known is not None:
                    learnt.finished.append(known)
                    learnt.seen.add(known[0].key)
                continue
            chosen = trial.system_attrs.get(CHOSEN)
            params = json.loads(chosen) if chosen else trial.system_attrs.get("fixed_params") or trial.params
            pending = self._candidate(params)
            if pending is not None:
                learnt.pending.append(pending)
                learnt.seen.add(pending.key)
        return learnt

    def _outcome(self, trial: FrozenTrial) -> tuple[Candidate[Configuration], TrialOutcome] | None:
        if trial.number not in self._outcomes:
            if self._read is None:
                n_objectives = len(trial.values or ()) or len(self._figures)
                self._figures = self._figures or tuple(Figure(f"objective {n}") for n in range(n_objectives))
                self._read = reader_of(self._figures)
            outcome = self._read(trial)
            candidate = self._candidate(trial.params) if outcome is not None else None
            known = (candidate, outcome) if candidate is not None and outcome is not None else None
            self._outcomes[trial.number] = known
        return self._outcomes[trial.number]

    def _candidate(self, params: Mapping[str, Any]) -> Candidate[Configuration] | None:
        try:
            return self.space.candidate(params)
        except KeyError:
            return None

    def _violation(self, outcome: TrialOutcome) -> float:
        """How far limits are exceeded, all together; above zero: they are."""
        if outcome.failure is not None:
            return math.inf
        over = [
            (reading.value - limit) / max(abs(limit), 1e-3)
            for name, limit in self._limits.items()
            if (reading := outcome.readings.get(name)) is not None
        ]
        return sum(max(0.0, one) for one in over) or max(over, default=-1.0)

    def _teach(self, trials: Sequence[FrozenTrial]) -> None:
        """Tell TPE of the trials; one that failed, as worse than all others."""
        assert self._guide is not None
        known = [(trial, known) for trial in trials if (known := self._outcomes.get(trial.number)) is not None]
        measured = [trial.values for trial, (_, outcome) in known if outcome.failure is None and trial.values]
        if not measured:
            return
        worst = np.max(np.array(measured), axis=0) + np.ptp(np.array(measured), axis=0)
        self._guide.learn(
            (
                trial.number,
                trial.params,
                trial.distributions,
                trial.values if outcome.failure is None and trial.values else worst.tolist(),
                min(self._violation(outcome), 100.0),
            )
            for trial, (_, outcome) in known
        )

    # The models -----------------------------------------------------------------------------------------------------

    def _follow(self, learnt: Learnt[Configuration], n_objectives: int) -> None:
        """See what became of the proposals so far."""
        if self._promises is None:
            return
        self._promises.follow(
            (candidate.key, self._objectives(outcome, n_objectives) if self._violation(outcome) <= 0 else None)
            for candidate, outcome in learnt.finished
        )

    def _objectives(self, outcome: TrialOutcome, n_objectives: int) -> list[float]:
        """As measured, as far down as it matters."""
        return [max(outcome.readings[one.name].value, one.floor) for one in self._figures[:n_objectives]]

    def _by_model(self, learnt: Learnt[Configuration], n_objectives: int) -> Proposal[Configuration]:
        assert self._pool is not None
        assert self._guide is not None
        self._follow(learnt, n_objectives)
        guard_every = GUARD_OFTEN if self._promises is not None and self._promises.guards_do_better else GUARD_EVERY
        guarding = self._n_modelled % guard_every == guard_every - 1
        self._pool.grow(self._parents(learnt.measured, n_objectives))
        if not self._pool.is_whole:
            self._pool.add(self._guide.suggest(sharp=True) for _ in range(SUGGESTIONS))
        view = self._view(learnt, n_objectives, guarding=guarding)
        candidates = self._pool.without(learnt.seen)
        if not candidates:
            raise ValueError("no candidate is left")
        merit, gain = view.judge(candidates)
        if not self._pool.is_whole:
            known = {candidate.key for candidate in candidates}
            leaders = [candidates[index] for index in np.argsort(-merit)[:NEIGHBOURHOODS]]
            self._pool.add_neighbours(leaders)
            fresh = [one for one in self._pool.without(learnt.seen) if one.key not in known]
            if fresh:
                more_merit, more_gain = view.judge(fresh)
                candidates, merit = candidates + fresh, np.concatenate([merit, more_merit])
                gain = np.concatenate([gain, more_gain])
            promise = {candidate.key: value for candidate, value in zip(candidates, merit.tolist(), strict=True)}
            self._pool.shrink(lambda key: promise.get(key, -math.inf))
        if not np.isfinite(merit).all():
            raise FloatingPointError("the expected gain is not finite")
        best = int(np.argmax(merit))
        if merit[best] <= 0:
            raise ValueError("nothing is expected to be gained")
        self._n_modelled += 1
        self._gain = float(gain.max() / view.volume) if view.volume > 0 else math.inf
        promised = float(gain[best]) if view.is_inside else None
        if promised is not None and self._promises is not None and view.volume > 0:
            self._promises.make(candidates[best].key, promised / view.volume, guarding=guarding)
        return Proposal(candidates[best], "guard" if guarding else "model", promised)

    def _view(self, learnt: Learnt[Configuration], n_objectives: int, *, guarding: bool) -> View[Configuration]:
        return View(
            self._figures,
            n_objectives,
            self._limits,
            self._reference,
            learnt,
            self._foreknowledge,
            self._strengths,
            guarding=guarding,
        )

    def _parents(
        self, measured: list[tuple[Candidate[Configuration], TrialOutcome]], n_objectives: int
    ) -> list[Candidate[Configuration]]:
        """The front inside the limits, and those that break them least."""
        order = sorted(measured, key=lambda one: max(0.0, self._violation(one[1])))
        feasible = [one for one in measured if self._violation(one[1]) <= 0]
        values = np.array([self._objectives(outcome, n_objectives) for _, outcome in feasible])
        front = [
            candidate
            for (candidate, _), point in zip(feasible, values, strict=True)
            if not ((values <= point).all(axis=1) & (values < point).any(axis=1)).any()
        ]
        return front + [candidate for candidate, _ in order[:5]]
