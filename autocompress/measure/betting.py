"""Whether a candidate's loss is surely beyond a limit after some of its samples: a test that may be looked at any time.

Source: Waudby-Smith & Ramdas 2024, Estimating means of bounded random variables by betting, Journal of the Royal
Statistical Society B 86:1-27, sections 4 and 5 (sampling without replacement).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from autocompress.tasks.base import Metric, Score

Array = npt.NDArray[np.float64]

ERROR_RATE = 0.01
"""Of candidates whose loss on all samples is inside the limit, at most this share is given up."""
LARGEST_STAKE = 0.75
"""Of the capital: a bet may lose, and must leave something to go on with."""
PRIOR_VARIANCE_SHARE = 0.25
ROUNDING = 1e-9
LARGEST_GAIN = 0.25
"""Of a sample's negative log-likelihood: where a candidate gains more, this test has nothing to say."""


class LossTest:
    """Follows a candidate's samples, drawn in random order from a part, and tells when its loss is surely too large.

    The hypothesis is that the loss on *all* samples of the part, as `PairedDrop.drop` has it, is at most ``limit``. A
    gambler bets against it before each sample; the game is fair or worse as long as the hypothesis holds, so that the
    capital reaches ``1 / ERROR_RATE`` with a probability of at most ``ERROR_RATE``, however often one looks.

    Args:
        metric: the ratio that is judged.
        baseline: the original's numerators and denominators, shape (n_samples,) each, in the order of the samples.
        limit: the drop in the metric's own unit.
    """

    def __init__(self, metric: Metric, baseline: tuple[Array, Array], limit: float) -> None:
        self._metric = metric
        self._numerators, self._denominators = baseline
        original = metric.value(*baseline)
        # Of a perplexity, what is added up are logarithms.
        self._limit = math.log1p(limit / original) if metric.exponential else limit
        self._sign = 1.0 if metric.higher_is_better else -1.0
        self._is_applicable = bool(
            (metric.is_rate or not metric.higher_is_better)
            and np.isfinite(self._numerators).all()
            and math.isfinite(self._limit)
        )
        self._lowest = self._lowest_loss() if self._is_applicable else 0.0
        self.n_samples = 0
        """How many were taken in."""
        self._sum = self._sum_of_squares = 0.0
        self.log_capital = 0.0
        """Logarithm of what became of a capital of one."""

    def _lowest_loss(self) -> float:
        """The least that a single sample can count: the candidate does it as well as can be."""
        best = np.zeros_like(self._denominators)
        if self._metric.higher_is_better:
            best = self._denominators
        elif self._metric.exponential:
            best = (1 - LARGEST_GAIN) * self._numerators
        return float((self._sign * (self._numerators - best) - self._limit * self._denominators).min(initial=0.0))

    def add(self, score: Score) -> None:
        """Take in the candidate's score of the next sample."""
        numerator, denominator = score[self._metric.name]
        original, expected = self._numerators[self.n_samples], self._denominators[self.n_samples]
        if not math.isfinite(numerator):
            self.log_capital = math.inf  # an answer that is no number counts as bad as can be
        loss = float(self._sign * (original - numerator) - self._limit * expected)
        if denominator != expected or loss < self._lowest - ROUNDING:
            self._is_applicable = False  # no metric of which the bounds are known
        if self._is_applicable and math.isfinite(self.log_capital):
            self._bet(loss)
            self._sum += loss
            self._sum_of_squares += loss * loss
        self.n_samples += 1

    def _bet(self, loss: float) -> None:
        done, left = self.n_samples, len(self._numerators) - self.n_samples
        fair = -self._sum / left  # the most that the mean of those left can be, if all add up to nothing
        most_to_lose = fair - self._lowest
        if most_to_lose <= 0:  # not even a perfect rest would do, unless that is a matter of rounding
            self.log_capital = math.inf if most_to_lose < -ROUNDING else self.log_capital
            return
        scale = most_to_lose * most_to_lose * PRIOR_VARIANCE_SHARE
        mean = self._sum / (done + 1)
        spread = (scale + self._sum_of_squares) / (done + 1) - mean * mean
        edge = mean - fair
        stake = edge / (max(spread, 1e-12) + edge * edge) if edge > 0 else 0.0
        stake = min(stake, LARGEST_STAKE / most_to_lose)
        self.log_capital += math.log1p(stake * (loss - fair)) if stake else 0.0

    @property
    def is_lost(self) -> bool:
        """Whether the loss is surely beyond the limit."""
        return self._is_applicable and self.log_capital >= -math.log(ERROR_RATE)
