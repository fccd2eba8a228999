"""A Bayesian linear model of one figure: a sum over choices, and over pairs as far as the data speak for them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAIN = (0.5, 0.75, 1.0, 1.7)
"""Candidate standard deviations of what single choices do, in units of the figure's own spread."""
PAIRS = (0.0, 0.25, 0.5, 1.0)
"""… of what two choices do together beyond that."""
OWN = (0.03, 0.1, 0.25, 0.5)
"""… of what is a configuration's own."""
LEVEL = 1.0
"""… of the figure's general level."""
TRUST = 0.4
"""Standard deviation of the share of a change predicted beforehand that really comes, around all of it."""
SMALLEST_SPREAD = 0.05
"""The figure's spread is taken as at least this share of what it is before anything is predicted."""
COST_OF_PAIRS = 1.0
"""Units of log evidence that pairs must be worth."""
COST_OF_DISBELIEF = 3.0
"""… that doing without the predictions must be: a dozen mild configurations say little of what harsher ones lose."""


@dataclass(frozen=True)
class Strengths:
    """How much of a figure is laid to what; places in `MAIN`, `PAIRS` and `OWN`."""

    main: int = 2
    pairs: int = 1
    own: int = 1
    predicted: bool = True
    """Whether what was predicted beforehand is believed in."""


@dataclass(frozen=True)
class Observations:
    """A figure of some trials.

    Attributes:
        rows: features, shape (n, n_columns).
        values: shape (n,).
        deviations: standard deviations of the values' errors, shape (n,).
        predicted: what was predicted beforehand, shape (n,), or None.
    """

    rows: Array
    values: Array
    deviations: Array
    predicted: Array | None


class AdditiveModel:
    """The figure as a prediction made beforehand, plus effects of choices and of pairs, plus what is left.

    Effects are normally distributed around zero; how large they usually are is found by the evidence, and so is
    whether the prediction made beforehand helps at all: one that misleads is dropped.

    Args:
        observations: what to learn from; at least one.
        start: where to look for the strengths first.
        strengths: what they are, where that is known.
        use_predicted: False: do without the predictions.

    Raises:
        ValueError: there is nothing to learn from, or it holds no finite numbers.
        numpy.linalg.LinAlgError: the numbers are so extreme that arithmetic fails.
    """

    def __init__(
        self,
        observations: Observations,
        start: Strengths | None = None,
        strengths: Strengths | None = None,
        use_predicted: bool = True,
    ) -> None:
        self._seen = observations
        if not len(observations.values) or not np.isfinite(observations.values).all():
            raise ValueError("a model needs finite values to learn from")
        self._common = _products(observations.rows, observations.rows)
        self._norm = float(np.mean(np.diag(self._common))) or 1.0
        self._common /= self._norm
        self._may_predict = use_predicted and observations.predicted is not None
        self.strengths = strengths or self._strongest(start)
        self._fit = self._fitted(self.strengths)

    def predict(self, rows: Array, predicted: Array | None) -> tuple[Array, Array]:
        """Mean and standard deviation of the figure's true value, shape (n,) each, for new configurations."""
        fit = self._fit
        strengths = self.strengths
        # Columns that came later have nothing in common with what was seen.
        common = _products(rows[:, : self._seen.rows.shape[1]], self._seen.rows) / self._norm
        own = np.einsum("ij,ij->i", rows, rows) / self._norm
        shift = None
        if strengths.predicted:
            if predicted is None:
                raise ValueError("a figure that is predicted beforehand must be so for every configuration")
            shift = (predicted - fit.predicted_level) / fit.spread
        between = _covariance(common, strengths, shift, fit.shift)
        variance = _variance(own, strengths, shift) + OWN[strengths.own] ** 2
        mean = between @ fit.weights
        solved = np.linalg.solve(fit.root, between.T)
        variance = np.maximum(variance - np.einsum("ij,ij->j", solved, solved), 1e-10)
        mean = fit.level + fit.spread * mean + (predicted if strengths.predicted and predicted is not None else 0.0)
        return np.asarray(mean), np.asarray(fit.spread * np.sqrt(variance))

    def believed(self) -> Array:
        """The observed configurations' true values as they are believed to be, shape (n,)."""
        fit = self._fit
        truth = fit.covariance @ fit.weights
        base = self._seen.predicted if self.strengths.predicted else None
        return np.asarray(fit.level + fit.spread * truth + (base if base is not None else 0.0))

    def _strongest(self, start: Strengths | None) -> Strengths:
        """The strengths of the highest evidence: all of a coarse grid at first, then the neighbours of the best."""
        use = (True, False) if self._may_predict else (False,)
        if start is None or len(self._seen.values) < 40:
            tried = [
                Strengths(main, pairs, own, predicted)
                for main, pairs, own, predicted in product(range(len(MAIN)), (0, 1, 3), (0, 2), use)
            ]
        else:
            tried = [start, *(Strengths(start.main, start.pairs, start.own, predicted) for predicted in use)]
            tried = [one for one in tried if one.predicted in use]
        scores = {one: self._evidence(one) for one in tried}
        best = max(scores, key=lambda one: scores[one])
        for _ in range(3):
            for neighbour in _neighbours(best):
                if neighbour not in scores:
                    scores[neighbour] = self._evidence(neighbour)
            better = max(scores, key=lambda one: scores[one])
            if better == best:
                break
            best = better
        return best

    def _evidence(self, strengths: Strengths) -> float:
        try:
            fit = self._fitted(strengths)
        except np.linalg.LinAlgError:
            return -np.inf
        misfit = fit.residuals @ fit.weights / 2
        volume = float(np.log(np.diag(fit.root)).sum()) + len(fit.residuals) * np.log(fit.spread)
        # Little data says little: strengths in the middle are the more plausible ones.
        prior = (strengths.main - 2) ** 2 / 2 + COST_OF_PAIRS * strengths.pairs + (strengths.own - 1) ** 2 / 4
        if self._may_predict and not strengths.predicted:
            prior += COST_OF_DISBELIEF
        return float(-misfit - volume - prior)

    def _fitted(self, strengths: Strengths) -> _Fit:
        seen = self._seen
        residuals = seen.values
        predicted_level, shift = 0.0, None
        smallest = SMALLEST_SPREAD * float(np.std(seen.values)) + float(np.median(seen.deviations)) / 2 + 1e-6
        if strengths.predicted:
            assert seen.predicted is not None
            residuals = residuals - seen.predicted
            predicted_level = float(np.mean(seen.predicted))
        level = float(np.median(residuals))
        spread = max(float(np.sqrt(np.mean((residuals - level) ** 2))), smallest)
        if strengths.predicted:
            assert seen.predicted is not None
            shift = (seen.predicted - predicted_level) / spread
        covariance = _covariance(self._common, strengths, shift, shift)
        covariance[np.diag_indices_from(covariance)] += OWN[strengths.own] ** 2
        noisy = covariance.copy()
        noisy[np.diag_indices_from(noisy)] += (seen.deviations / spread) ** 2 + 1e-6
        root: Array = np.asarray(np.linalg.cholesky(noisy), dtype=np.float64)
        scaled = (residuals - level) / spread
        weights = np.linalg.solve(root.T, np.linalg.solve(root, scaled))
        return _Fit(level, spread, predicted_level, shift, covariance, root, np.asarray(weights), scaled)


@dataclass(frozen=True)
class _Fit:
    level: float
    spread: float
    predicted_level: float
    shift: Array | None
    covariance: Array
    root: Array
    weights: Array
    residuals: Array


def _neighbours(one: Strengths) -> list[Strengths]:
    steps = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    moved = [(one.main + a, one.pairs + b, one.own + c) for a, b, c in steps]
    return [
        Strengths(main, pairs, own, one.predicted)
        for main, pairs, own in moved
        if 0 <= main < len(MAIN) and 0 <= pairs < len(PAIRS) and 0 <= own < len(OWN)
    ]


def _products(left: Array, right: Array) -> Array:
    return np.asarray(left @ right.T)


def _covariance(common: Array, strengths: Strengths, left: Array | None, right: Array | None) -> Array:
    covariance = LEVEL**2 + MAIN[strengths.main] ** 2 * common + PAIRS[strengths.pairs] ** 2 * common**2
    if left is not None and right is not None:
        covariance = covariance + TRUST**2 * np.outer(left, right)
    return np.asarray(covariance)


def _variance(own: Array, strengths: Strengths, shift: Array | None) -> Array:
    variance = LEVEL**2 + MAIN[strengths.main] ** 2 * own + PAIRS[strengths.pairs] ** 2 * own**2
    return np.asarray(variance if shift is None else variance + TRUST**2 * shift**2)
