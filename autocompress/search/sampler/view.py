"""What is believed of candidates at the time of a proposal, and what trying them is expected to bring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from autocompress.search.sampler.costs import Costs
from autocompress.search.sampler.failures import Failures
from autocompress.search.sampler.figures import Figure, TrialOutcome
from autocompress.search.sampler.foreknowledge import Foreknowledge
from autocompress.search.sampler.hypervolume import Belief, expected_improvement, hypervolume, undominated
from autocompress.search.sampler.space import Candidate, Configuration
from autocompress.search.sampler.surrogate import AdditiveModel, Observations, Strengths

Array = NDArray[np.float64]

FEWEST_TO_MODEL = 4
LARGEST_FRONT = 40
SMALLEST_DEVIATION = 1e-4


@dataclass
class Learnt(Generic[Configuration]):
    """All that is known at the time of a proposal."""

    finished: list[tuple[Candidate[Configuration], TrialOutcome]] = field(default_factory=list)
    pending: list[Candidate[Configuration]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    @property
    def measured(self) -> list[tuple[Candidate[Configuration], TrialOutcome]]:
        """Those that gave figures."""
        return [(candidate, outcome) for candidate, outcome in self.finished if outcome.failure is None]


class View(Generic[Configuration]):
    """What is believed of candidates, by models of all figures that were measured.

    Args:
        figures: all, the objectives first.
        n_objectives: how many those are.
        limits: a figure's name to the most that is allowed.
        reference: the objectives' worst values; by default from what was measured.
        learnt: what is known.
        foreknowledge: what the space says.
        strengths: of each figure's model, with predictions and without; where to look first, and updated.
        guarding: do without what was predicted.

    Raises:
        ValueError: too little was measured.
        numpy.linalg.LinAlgError: the figures are so extreme that arithmetic fails.
    """

    def __init__(
        self,
        figures: Sequence[Figure],
        n_objectives: int,
        limits: Mapping[str, float],
        reference: Sequence[float] | None,
        learnt: Learnt[Configuration],
        foreknowledge: Foreknowledge[Configuration],
        strengths: dict[tuple[str, bool], Strengths],
        *,
        guarding: bool,
    ) -> None:
        measured = learnt.measured
        self._foreknowledge = foreknowledge
        self._strengths = strengths
        self._limits_by_name = limits
        self._guarding = guarding
        self._objectives = figures[:n_objectives]
        self._others = [figure for figure in figures[n_objectives:] if figure.name in limits]
        self._models = {
            figure.name: self._model(figure, measured, learnt.pending) for figure in (*self._objectives, *self._others)
        }
        self._failures = Failures([(candidate.choices, outcome.failure) for candidate, outcome in learnt.finished])
        self._costs = Costs(
            [outcome.seconds for _, outcome in learnt.finished],
            [
                stage.content
                for candidate, _ in learnt.finished
                for stage in foreknowledge.stages(candidate)
                if stage.content is not None
            ],
        )
        self._limits = [limits.get(figure.name, math.inf) for figure in self._objectives]
        points = self._believed_points(len(measured) + len(learnt.pending))
        self._reference = reference or self._worst(points)
        inside = np.asarray((points <= np.array(self._limits)).all(axis=1))
        for index, (_, outcome) in enumerate(measured):
            inside[index] &= self._keeps_other_limits(outcome)
        self.is_inside = bool(inside.any())
        """Whether anything inside the limits was found."""
        front = points[inside]
        self.volume = hypervolume(front, self._reference)
        if len(front) > LARGEST_FRONT:
            front = _spread_out(front, LARGEST_FRONT, self._reference)
        self._boxes = undominated(front, self._reference)

    def judge(self, candidates: list[Candidate[Configuration]]) -> tuple[Array, Array]:
        """Expected gain for the cost, and expected gain alone; shape (n_candidates,) each.

        As long as nothing inside the limits was found, the gain is the probability of being there.
        """
        beliefs = [self.belief(figure, candidates) for figure in self._objectives]
        if self.is_inside:
            gain = expected_improvement(self._boxes, beliefs, self._limits)
        else:
            limits = [np.array([limit]) for limit in self._limits]
            gain = np.prod([one.below(limit)[:, 0] for one, limit in zip(beliefs, limits, strict=True)], axis=0)
        for figure in self._others:
            limit = np.array([self._limits_by_name[figure.name]])
            gain = gain * self.belief(figure, candidates).below(limit)[:, 0]
        gain = gain * self._failures.success([candidate.choices for candidate in candidates])
        seconds = np.array([self._costs.seconds(self._foreknowledge.stages(candidate)) for candidate in candidates])
        return gain / np.sqrt(np.maximum(seconds, 1e-3)) if seconds.any() else gain, gain

    def belief(self, figure: Figure, candidates: Sequence[Candidate[Configuration]]) -> Belief:
        """What is believed of a figure of candidates, before the error of measuring it.

        Raises:
            KeyError: it is neither an objective nor limited, so it is not modelled.
        """
        rows = self._foreknowledge.features.rows(candidates)
        model = self._models[figure.name]
        mean, deviation = model.predict(rows, self._foreknowledge.predicted(figure, candidates))
        return Belief(mean, deviation, figure.shift, figure.floor)

    def _model(
        self,
        figure: Figure,
        measured: list[tuple[Candidate[Configuration], TrialOutcome]],
        pending: list[Candidate[Configuration]],
    ) -> AdditiveModel:
        known = [(c, outcome.readings[figure.name]) for c, outcome in measured if figure.name in outcome.readings]
        if len(known) < FEWEST_TO_MODEL:
            raise ValueError(f"{figure.name} was measured in {len(known)} trials: too few")
        candidates = [candidate for candidate, _ in known]
        values = np.array([reading.value for _, reading in known])
        deviations = np.array([figure.deviation if r.deviation is None else r.deviation for _, r in known])
        values, deviations = figure.scaled(values, deviations)
        deviations = np.maximum(deviations, SMALLEST_DEVIATION)
        rows = self._foreknowledge.features.rows(candidates)
        start = self._strengths.get((figure.name, self._guarding))
        seen = Observations(rows, values, deviations, self._foreknowledge.predicted(figure, candidates))
        model = AdditiveModel(seen, start, use_predicted=not self._guarding)
        self._strengths[figure.name, self._guarding] = model.strengths
        if pending:
            waiting = self._foreknowledge.features.rows(pending)
            prior = self._foreknowledge.predicted(figure, pending)
            mean, _ = model.predict(waiting, prior)
            both = self._foreknowledge.features.rows([*candidates, *pending])
            together = None
            if seen.predicted is not None and prior is not None:
                together = np.concatenate([seen.predicted, prior])
            extended = Observations(
                both,
                np.concatenate([values, mean]),
                np.concatenate([deviations, np.full(len(pending), SMALLEST_DEVIATION)]),
                together,
            )
            model = AdditiveModel(extended, strengths=model.strengths)
        return model

    def _believed_points(self, count: int) -> Array:
        """The objectives of all that was measured, without the noise, shape (n, n_objectives)."""
        columns = []
        for figure in self._objectives:
            believed = self._models[figure.name].believed()
            if len(believed) != count:
                raise ValueError(f"{figure.name} was not measured in every trial")
            columns.append(figure.unscaled(believed))
        return np.stack(columns, axis=1)

    def _keeps_other_limits(self, outcome: TrialOutcome) -> bool:
        readings = [(outcome.readings[f.name], f.name) for f in self._others if f.name in outcome.readings]
        return all(reading.value <= self._limits_by_name[name] for reading, name in readings)

    def _worst(self, points: Array) -> tuple[float, ...]:
        limits = np.array(self._limits)
        worst = points.max(axis=0) + 0.1 * np.ptp(points, axis=0) + 1e-9
        return tuple(np.where(np.isfinite(limits), limits, worst).tolist())


def _spread_out(points: Array, count: int, reference: Sequence[float]) -> Array:
    """So many of the points that they dominate most of what all dominate: one after another, what adds most."""
    corner = np.asarray(reference)
    alone = np.prod(np.maximum(corner - points, 0.0), axis=1)
    kept = [int(np.argmax(alone))]
    while len(kept) < count:
        overlaps = np.max(
            [np.prod(np.maximum(corner - np.maximum(points, points[other]), 0.0), axis=1) for other in kept], axis=0
        )
        kept.append(int(np.argmax(alone - overlaps)))
    return points[kept]
