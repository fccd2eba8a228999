"""The test that gives a candidate up: how often it is wrong, how soon it is right, and what it does not judge."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from autocompress.measure.betting import ERROR_RATE, LossTest
from autocompress.tasks.base import Metric

ACCURACY = Metric(name="accuracy", higher_is_better=True)
WER = Metric(name="wer", higher_is_better=False)
PERPLEXITY = Metric(name="perplexity", higher_is_better=False, exponential=True, is_rate=False)
SCORE = Metric(name="score", higher_is_better=True, is_rate=False)

Array = npt.NDArray[np.float64]
Pair = tuple[Array, Array]


def samples_needed(metric: Metric, original: Pair, candidate: Pair, limit: float, order: Array) -> int | None:
    """After how many samples in this order the candidate is given up; None: it is not."""
    test = LossTest(metric, (original[0][order], original[1][order]), limit)
    for count, index in enumerate(order, 1):
        test.add({metric.name: (candidate[0][index], candidate[1][index])})
        if test.is_lost:
            return count
    return None


def answers(n: int, right: int, lost: int, gained: int) -> tuple[Pair, Pair]:
    """An original with so many right answers, and a candidate that lost and gained some."""
    original = (np.arange(n) < right).astype(float)
    candidate = original.copy()
    candidate[:lost] = 0
    candidate[n - gained :] = 1
    return (original, np.ones(n)), (candidate, np.ones(n))


@pytest.mark.parametrize(("lost", "gained"), [(3, 0), (12, 9), (23, 20)])
def test_a_loss_exactly_at_the_limit_is_given_up_no_more_often_than_claimed(lost: int, gained: int) -> None:
    original, candidate = answers(300, 260, lost, gained)
    rng = np.random.default_rng(0)
    n_runs = 500
    wrong = sum(
        samples_needed(ACCURACY, original, candidate, 0.01, rng.permutation(300)) is not None for _ in range(n_runs)
    )
    assert wrong <= n_runs * ERROR_RATE + 3 * math.sqrt(n_runs * ERROR_RATE)


def test_the_game_is_fair_at_the_limit_whatever_the_order_of_the_samples() -> None:
    original, candidate = answers(7, 5, 2, 1)
    capitals = []
    for order in itertools.permutations(range(7)):
        places = np.array(order)
        test = LossTest(ACCURACY, (original[0][places], original[1][places]), 1 / 7)
        for index in order:
            test.add({"accuracy": (candidate[0][index], candidate[1][index])})
        capitals.append(math.exp(test.log_capital))
    assert np.mean(capitals) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("metric", "limit"), [(WER, 0.006), (PERPLEXITY, 0.66)])
def test_other_ratios_are_given_up_when_the_loss_on_all_samples_is_beyond_the_limit_and_else_not(
    metric: Metric, limit: float
) -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(10, 30, 200).astype(float)
    errors = rng.binomial(words.astype(int), 0.05).astype(float)
    numerators = words * rng.normal(4.2, 0.2, 200) if metric.exponential else errors
    per_word = 0.3 if metric.exponential else 0.1
    bad, good = numerators + per_word * words, numerators.copy()
    runs = [rng.permutation(200) for _ in range(30)]
    found = [samples_needed(metric, (numerators, words), (bad, words), limit, order) for order in runs]
    assert all(count is not None and count < 150 for count in found)
    assert not any(samples_needed(metric, (numerators, words), (good, words), limit, order) for order in runs)


def test_a_hopeless_candidate_takes_a_fraction_of_the_samples() -> None:
    original, candidate = answers(2000, 1800, 800, 0)
    assert (samples_needed(ACCURACY, original, candidate, 0.01, np.random.default_rng(0).permutation(2000)) or 0) < 60


def test_an_answer_that_is_no_number_ends_it_at_once() -> None:
    test = LossTest(WER, (np.zeros(50), np.ones(50)), 0.01)
    test.add({"wer": (math.nan, 1.0)})
    assert test.is_lost


@pytest.mark.parametrize(
    ("metric", "limit", "score"),
    [
        (SCORE, 0.1, (-5.0, 1.0)),  # a metric without a known best value
        (WER, 0.1, (9.0, 2.0)),  # other words than the original's
        (WER, 0.1, (-1.0, 1.0)),  # fewer errors than none
        (WER, math.inf, (9.0, 1.0)),  # no limit
    ],
)
def test_what_has_no_known_bounds_is_never_given_up(metric: Metric, limit: float, score: tuple[float, float]) -> None:
    test = LossTest(metric, (np.zeros(50), np.ones(50)), limit)
    for _ in range(50):
        test.add({metric.name: score})
        assert not test.is_lost
