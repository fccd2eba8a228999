"""Certificates: what they say, and how often they are wrong when the best of many was picked."""

from __future__ import annotations

import numpy as np
import pytest

from autocompress.measure import paired_difference
from autocompress.measure.certify import MOST_FINALISTS, certify
from autocompress.measure.outcomes import Outcomes
from autocompress.spec import QualityLimit
from autocompress.tasks.base import Metric

ACCURACY = Metric(name="accuracy", higher_is_better=True)


def accuracy_outcomes(n_right: int, n: int) -> Outcomes:
    return Outcomes({"accuracy": ((np.arange(n) < n_right).astype(float), np.ones(n))})


def limit(text: str) -> QualityLimit:
    parsed = QualityLimit.parse(text)
    assert isinstance(parsed, QualityLimit)
    return parsed


def test_no_loss_on_many_samples_is_certified() -> None:
    baseline = accuracy_outcomes(1800, 2000)
    certificate = certify(ACCURACY, baseline, baseline, limit("1pp"), n_finalists=1)
    assert certificate.certified
    assert certificate.level == 0.95
    assert certificate.sentence.startswith("Certified: with 95% confidence the accuracy drop is at most 0.14 pp")


def test_no_loss_on_few_samples_is_observed_only_and_says_how_many_would_do() -> None:
    baseline = accuracy_outcomes(90, 100)
    certificate = certify(ACCURACY, baseline, baseline, limit("1pp"), n_finalists=1)
    assert not certificate.certified
    assert certificate.samples_needed is not None
    enough = accuracy_outcomes(90, certificate.samples_needed)
    assert certify(ACCURACY, enough, enough, limit("1pp"), n_finalists=1).certified
    assert f"about {certificate.samples_needed:,} samples would certify" in certificate.sentence


def test_a_drop_beyond_the_limit_asks_for_no_more_samples() -> None:
    original, candidate = accuracy_outcomes(900, 1000), accuracy_outcomes(850, 1000)
    certificate = certify(ACCURACY, candidate, original, limit("1%"), n_finalists=1)
    assert not certificate.certified
    assert certificate.samples_needed is None
    assert "drop is 5.56 %, not inside the limit of 1%" in certificate.sentence


def test_more_finalists_are_each_held_to_more() -> None:
    baseline = accuracy_outcomes(900, 1000)
    alone = certify(ACCURACY, baseline, baseline, limit("1pp"), n_finalists=1)
    among_five = certify(ACCURACY, baseline, baseline, limit("1pp"), n_finalists=5)
    assert among_five.level == pytest.approx(0.99)
    assert among_five.upper_bound > alone.upper_bound


def test_more_than_five_finalists_are_refused() -> None:
    baseline = accuracy_outcomes(9, 10)
    with pytest.raises(ValueError, match="6 finalists"):
        certify(ACCURACY, baseline, baseline, limit("1pp"), n_finalists=MOST_FINALISTS + 1)


def test_picking_the_best_of_many_is_often_wrong_and_its_certificate_seldom() -> None:
    """Forty candidates, smallest first; the smaller, the larger the true drop, up to 3 pp; the limit is 1 pp."""
    rng = np.random.default_rng(0)
    n, n_searches, bound = 2000, 2000, 0.01
    true_drops = np.linspace(0.03, 0.0, 40)
    gained_share = 0.02
    shares = np.stack([true_drops + gained_share, np.full(40, gained_share), 1 - true_drops - 2 * gained_share], axis=1)
    searched = np.stack([rng.multinomial(n, share, size=n_searches) for share in shares], axis=1)
    passes = (searched[..., 0] - searched[..., 1]) / n <= bound
    picked = passes.argmax(axis=1)
    assert np.mean(true_drops[picked] > bound) > 0.5

    # the five smallest that pass go to the holdout, in that order; the smallest certified one is handed out
    held_out = np.stack([rng.multinomial(n, share, size=n_searches) for share in shares], axis=1)
    finalists = np.argsort(~passes, axis=1, kind="stable")[:, :MOST_FINALISTS]
    counts = np.take_along_axis(held_out, finalists[..., None], axis=1)
    bounds = paired_difference.upper_bound(counts[..., 0], counts[..., 1], n, 1 - 0.05 / MOST_FINALISTS)
    wrong = (bounds <= bound) & (true_drops[finalists] > bound)
    assert np.mean(wrong.any(axis=1)) <= 0.05
    assert np.mean((bounds <= bound).any(axis=1)) > 0.02
