"""Quality drops: intervals against independent references, and how often they cover the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from autocompress.errors import DataError
from autocompress.measure import paired_difference
from autocompress.measure.outcomes import Outcomes
from autocompress.measure.quality import BootstrapDrop, ProportionDrop, compare, paired_drop
from autocompress.tasks.base import Metric

ACCURACY = Metric(name="accuracy", higher_is_better=True)
ERROR_RATE = Metric(name="error_rate", higher_is_better=False)
WER = Metric(name="wer", higher_is_better=False)
PERPLEXITY = Metric(name="perplexity", higher_is_better=False, exponential=True, is_rate=False)


def outcomes(metric: Metric, numerators: object, denominators: object = None) -> Outcomes:
    numerators = np.asarray(numerators, np.float64)
    return Outcomes(
        {metric.name: (numerators, np.ones_like(numerators) if denominators is None else np.asarray(denominators))}
    )


def reference_score(lost: int, gained: int, n: int, difference: float) -> float:
    """The score statistic with the restricted likelihood maximised by brute force instead of Tango's formula."""

    def negative_log_likelihood(gained_share: float) -> float:
        shares = np.array([gained_share + difference, gained_share, 1 - 2 * gained_share - difference])
        counts = np.array([lost, gained, n - lost - gained])
        return -float(np.sum(counts * np.log(np.maximum(shares, 1e-300))))

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    best = optimize.minimize_scalar(negative_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    variance = 2 * best.x + difference - difference**2
    return (lost - gained - n * difference) / np.sqrt(n * variance)


@pytest.mark.parametrize(("lost", "gained", "n"), [(20, 12, 200), (3, 0, 50), (7, 9, 1000), (40, 20, 160)])
def test_the_paired_interval_inverts_the_score_test_of_the_restricted_likelihood(
    lost: int, gained: int, n: int
) -> None:
    critical = stats.norm.ppf(0.975)
    estimate = (lost - gained) / n
    reference = optimize.brentq(lambda d: reference_score(lost, gained, n, d) + critical, estimate + 1e-6, 0.999)
    assert float(paired_difference.upper_bound(lost, gained, n, 0.975)) == pytest.approx(reference, abs=1e-4)


def test_the_paired_interval_without_any_discordant_pair_has_its_closed_form() -> None:
    squared = stats.norm.ppf(0.95) ** 2
    assert float(paired_difference.upper_bound(0, 0, 100, 0.95)) == pytest.approx(squared / (100 + squared), abs=1e-9)


@given(st.integers(1, 500), st.data())
@settings(max_examples=60, deadline=None)
def test_bounds_enclose_the_estimate_and_widen_with_the_level(n: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, n))
    gained = data.draw(st.integers(0, n - lost))
    estimate = (lost - gained) / n
    low, low_wide = (float(paired_difference.lower_bound(lost, gained, n, level)) for level in (0.9, 0.99))
    high, high_wide = (float(paired_difference.upper_bound(lost, gained, n, level)) for level in (0.9, 0.99))
    assert -1 - 1e-9 <= low_wide <= low + 1e-9 <= estimate + 2e-9 <= high + 3e-9 <= high_wide + 4e-9 <= 1 + 5e-9


@pytest.mark.parametrize(("lost_share", "gained_share", "n"), [(0.02, 0.02, 200), (0.03, 0.01, 400), (0.10, 0.05, 100)])
def test_the_upper_bound_of_an_accuracy_drop_holds_as_often_as_it_says(
    lost_share: float, gained_share: float, n: int
) -> None:
    rng = np.random.default_rng(1)
    counts = rng.multinomial(n, [lost_share, gained_share, 1 - lost_share - gained_share], size=20_000)
    bounds = paired_difference.upper_bound(counts[:, 0], counts[:, 1], n, 0.95)
    assert 0.935 <= np.mean(bounds >= lost_share - gained_share) <= 0.985


def test_drop_is_positive_when_worse_whichever_direction_the_metric_has() -> None:
    right = np.array([1.0] * 90 + [0.0] * 10)
    worse = np.array([1.0] * 80 + [0.0] * 20)
    accuracy = compare(ACCURACY, outcomes(ACCURACY, worse), outcomes(ACCURACY, right), "search")
    errors = compare(ERROR_RATE, outcomes(ERROR_RATE, 1 - worse), outcomes(ERROR_RATE, 1 - right), "search")
    assert accuracy.drop.value == pytest.approx(0.1)
    assert accuracy.relative_drop.value == pytest.approx(0.1 / 0.9)
    assert errors.drop == accuracy.drop
    assert errors.relative_drop.value == pytest.approx(1.0)


def test_samples_that_are_right_or_wrong_are_judged_by_discordant_pairs_and_counts_by_bootstrap() -> None:
    binary, counted = np.array([0.0, 1, 1, 0]), np.array([0.0, 2, 1, 0])
    assert isinstance(paired_drop(ACCURACY, outcomes(ACCURACY, binary), outcomes(ACCURACY, binary)), ProportionDrop)
    assert isinstance(paired_drop(WER, outcomes(WER, counted), outcomes(WER, binary)), BootstrapDrop)


def word_errors(rng: np.random.Generator, n: int, extra: float) -> tuple[Outcomes, Outcomes]:
    words = rng.integers(3, 20, size=n).astype(float)
    old = rng.binomial(words.astype(int), 0.08).astype(float)
    new = old + rng.binomial(words.astype(int), extra) - rng.binomial(old.astype(int), 0.1)
    return outcomes(WER, new, words), outcomes(WER, old, words)


def test_the_bootstrap_interval_agrees_with_scipys_paired_bootstrap() -> None:
    new, old = word_errors(np.random.default_rng(2), 300, 0.02)
    ours = paired_drop(WER, new, old, seed=3)
    (new_errors, words), (old_errors, _) = new.by_metric["wer"], old.by_metric["wer"]

    def drop(new_errors: np.ndarray, old_errors: np.ndarray, words: np.ndarray, axis: int) -> np.ndarray:
        return (new_errors.sum(axis) - old_errors.sum(axis)) / words.sum(axis)

    reference = stats.bootstrap(
        (new_errors, old_errors, words), drop, paired=True, method="percentile", n_resamples=4000, rng=4, batch=200
    ).confidence_interval
    width = reference.high - reference.low
    assert ours.lower_bound(0.975, relative=False) == pytest.approx(reference.low, abs=0.08 * width)
    assert ours.upper_bound(0.975, relative=False) == pytest.approx(reference.high, abs=0.08 * width)


@pytest.mark.parametrize("n", [20, 100])
def test_the_upper_bound_of_a_word_error_drop_holds_about_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(5)
    truth = 0.02 - 0.08 * 0.1
    bounds = [paired_drop(WER, *word_errors(rng, n, 0.02), seed=trial).upper_bound(0.95, False) for trial in range(300)]
    assert 0.91 <= np.mean(np.array(bounds) >= truth) <= 0.995


def test_the_upper_bound_of_a_perplexity_drop_holds_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    tokens = np.full(30, 128.0)
    held = []
    for trial in range(300):
        old = tokens * rng.normal(3.0, 0.3, size=30)
        new = old + tokens * rng.normal(0.01, 0.02, size=30)
        paired = paired_drop(
            PERPLEXITY, outcomes(PERPLEXITY, new, tokens), outcomes(PERPLEXITY, old, tokens), seed=trial
        )
        held.append(paired.upper_bound(0.95, relative=True) >= np.expm1(0.01))
    assert 0.91 <= np.mean(held) <= 0.985


def test_a_few_utterances_that_happen_to_agree_are_no_proof() -> None:
    same = outcomes(WER, [0.0, 2, 0, 1, 0], [5.0, 6, 7, 5, 4])
    paired = paired_drop(WER, same, same)
    assert paired.drop == 0
    assert paired.upper_bound(0.95, relative=False) > 0.02


def test_one_sample_bounds_nothing() -> None:
    one = outcomes(PERPLEXITY, [300.0], [100.0])
    assert paired_drop(PERPLEXITY, one, one).upper_bound(0.95, relative=True) == np.inf


def test_an_answer_that_is_not_a_number_is_as_bad_as_can_be() -> None:
    tokens = np.full(10, 100.0)
    old = tokens * 3
    new = np.where(np.arange(10) == 4, np.nan, old)
    quality = compare(PERPLEXITY, outcomes(PERPLEXITY, new, tokens), outcomes(PERPLEXITY, old, tokens), "search")
    assert quality.value == np.inf
    assert quality.drop.value == quality.drop.high == np.inf


def test_other_metrics_of_the_same_outputs_are_told() -> None:
    both = Outcomes({"accuracy": (np.ones(4), np.ones(4)), "wer": (np.array([0.0, 1, 0, 2]), np.full(4, 3.0))})
    assert compare(ACCURACY, both, both, "holdout", other_metrics=(WER,)).others == {"wer": 0.25}


def test_outcomes_of_other_samples_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 samples"):
        compare(ACCURACY, outcomes(ACCURACY, [1, 0, 1]), outcomes(ACCURACY, [1, 0]), "search")


@pytest.mark.parametrize("kind", ["proportion", "bootstrap"])
def test_as_many_samples_as_needed_bring_the_bound_inside_the_limit(kind: str) -> None:
    if kind == "proportion":
        metric, level, limit = ACCURACY, 0.95, 0.02
        old = np.array([1.0] * 180 + [0.0] * 20)
        new = np.concatenate([np.zeros(4), np.ones(176), np.ones(2), np.zeros(18)])
        pairs = [(outcomes(ACCURACY, np.tile(new, k)), outcomes(ACCURACY, np.tile(old, k))) for k in (1, 8)]
    else:
        metric, level, limit = WER, 0.95, 0.02
        new, old = word_errors(np.random.default_rng(7), 100, 0.02)
        tiled = [{"wer": tuple(np.tile(a, k) for a in o.by_metric["wer"])} for k in (1, 20) for o in (new, old)]
        pairs = [(Outcomes(tiled[0]), Outcomes(tiled[1])), (Outcomes(tiled[2]), Outcomes(tiled[3]))]
    few, many = (paired_drop(metric, *pair) for pair in pairs)
    needed = few.samples_needed(limit, level, relative=False)
    assert few.upper_bound(level, relative=False) > limit
    assert many.upper_bound(level, relative=False) <= limit
    assert few.n_samples < needed <= many.n_samples


def test_no_number_of_samples_certifies_a_drop_beyond_the_limit() -> None:
    old, new = np.ones(100), np.array([0.0] * 5 + [1.0] * 95)
    paired = paired_drop(ACCURACY, outcomes(ACCURACY, new), outcomes(ACCURACY, old))
    assert paired.samples_needed(0.05, 0.95, relative=False) is None


def test_outcomes_survive_being_saved(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.npz"
    Outcomes.from_scores([{"wer": (1, 5), "cer": (2, 20)}, {"wer": (0, 4), "cer": (0, 18)}]).save(path)
    loaded = Outcomes.load(path)
    assert len(loaded) == 2
    np.testing.assert_array_equal(loaded.by_metric["cer"], [[2, 0], [20, 18]])


def test_a_pickle_in_place_of_outcomes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.npz"
    np.savez(path, accuracy=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="not a file of outcomes"):
        Outcomes.load(path)
