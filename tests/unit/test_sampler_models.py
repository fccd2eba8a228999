"""The parts that the sampler believes in: figures over choices, failures, costs, answers on a grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sampler_spaces import Toy, figures_of, spaces, toy

from autocompress.search.sampler import Figure, Space, Stage, in_turn
from autocompress.search.sampler.costs import Costs
from autocompress.search.sampler.failures import REPEATS, Failures
from autocompress.search.sampler.features import Features
from autocompress.search.sampler.surrogate import AdditiveModel, Observations


def observed(n: int, noise: float, predicted: bool | None) -> tuple[AdditiveModel, np.ndarray, np.ndarray, np.ndarray]:
    """A model of the toy's log size from so many random ones; all rows, true values and predictions."""
    everything = Space(toy).every(500)
    assert everything is not None
    features = Features()
    rows = features.rows(everything)
    truth = np.log([figures_of(one.configuration)[0] for one in everything])
    generator = np.random.default_rng(0)
    guessed = truth + 0.01 if predicted else generator.permutation(truth)
    chosen = generator.permutation(len(everything))[:n]
    values = truth[chosen] + noise * generator.standard_normal(n)
    prior = None if predicted is None else guessed[chosen]
    model = AdditiveModel(Observations(rows[chosen], values, np.full(n, noise), prior))
    return model, rows, truth, guessed


def test_a_model_of_some_configurations_predicts_the_others_within_what_it_says() -> None:
    model, rows, truth, _ = observed(50, 0.02, None)
    mean, deviation = model.predict(rows, None)
    assert np.corrcoef(mean, truth)[0, 1] > 0.95
    assert np.mean(np.abs(mean - truth) < 2 * deviation) > 0.85


def test_a_right_prediction_is_believed_and_makes_few_trials_enough() -> None:
    model, rows, truth, guessed = observed(8, 0.001, predicted=True)
    assert model.strengths.predicted
    assert np.abs(model.predict(rows, guessed)[0] - truth).max() < 0.1


def test_a_misleading_prediction_is_dropped() -> None:
    model, rows, truth, guessed = observed(40, 0.01, predicted=False)
    assert not model.strengths.predicted
    assert np.corrcoef(model.predict(rows, guessed)[0], truth)[0, 1] > 0.9


def test_noisy_values_weigh_less_than_exact_ones() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    values = np.array([0.0, 1.0, 5.0, 1.1])
    model = AdditiveModel(Observations(rows, values, np.array([0.01, 0.01, 10.0, 0.01]), None))
    assert abs(model.predict(rows[:1], None)[0][0]) < 0.5


def test_a_prediction_is_believed_while_only_mild_configurations_were_seen() -> None:
    rows, n = np.eye(14), 10
    guessed = np.linspace(0.0, 2.0, len(rows))
    mild = np.random.default_rng(0).normal(0.0, 0.1, n)  # of which the prediction knows nothing
    model = AdditiveModel(Observations(rows[:n], mild, np.full(n, 0.1), 0.1 * guessed[:n]))
    mean, deviation = model.predict(rows[-1:], np.array([2.0]))
    assert mean[0] + 2 * deviation[0] > 2.0


def test_what_lies_surely_beyond_the_cap_is_known_however_roughly_it_was_measured() -> None:
    drop = Figure("drop", shift=0.01, cap=0.04)
    values, deviations = drop.scaled(np.array([0.55, 0.04, 0.01]), np.array([0.08, 0.002, 0.002]))
    np.testing.assert_allclose(drop.unscaled(values), [0.04, 0.04, 0.01])
    np.testing.assert_allclose(deviations, [0.0, 0.02, 0.1], rtol=0.05, atol=1e-9)  # at the cap it is half known


def test_a_figure_without_a_scale_is_as_it_was_measured() -> None:
    values, deviations = Figure("size").scaled(np.array([-1.0, 2.0]), np.array([0.1, 0.0]))
    np.testing.assert_allclose(values, [-1.0, 2.0])
    np.testing.assert_allclose(deviations, [0.1, 0.0])


def test_a_model_of_nothing_or_of_infinities_says_so() -> None:
    for values in ([], [1.0, np.inf]):
        n = len(values)
        with pytest.raises(ValueError, match="finite values"):
            AdditiveModel(Observations(np.ones((n, 1)), np.array(values), np.ones(n), None))


FAULTY = [("format", "b"), ("method", "int8")]


def choices(method: str, format_: str, sparsity: float) -> tuple[tuple[str, object], ...]:
    return (("method", method), ("format", format_), ("sparsity", sparsity))


GOOD = [(choices("int8", "a", 0.1), None), (choices("none", "b", 0.2), None), (choices("int8", "c", 0.2), None)]


def test_an_error_seen_twice_lowers_the_pair_that_it_came_with_and_nothing_else() -> None:
    failed = [(choices("int8", "b", sparsity), "no kernel") for sparsity in (0.1, 0.2)]
    failures = Failures(GOOD + failed)
    guilty, other, another = failures.success(
        [choices("int8", "b", 0.5), choices("int8", "a", 0.5), choices("none", "b", 0.1)]
    )
    assert guilty < 0.3
    assert min(other, another) > 0.9
    assert [blame.pair for blame in failures.blames] == [frozenset(FAULTY)]


def test_an_error_seen_once_and_errors_of_different_words_lower_nothing() -> None:
    assert REPEATS == 2
    failed = [(choices("int8", "b", 0.1), "one"), (choices("int8", "b", 0.2), "another")]
    assert Failures(GOOD + failed).blames == []


def test_every_further_failure_lowers_it_more_and_a_success_raises_it() -> None:
    def success(n_failed: int, n_good: int) -> float:
        failed = [(choices("int8", "b", n / 10), "no kernel") for n in range(n_failed)]
        good = [(choices("int8", "b", 0.5 + n / 10), None) for n in range(n_good)]
        return float(Failures(GOOD + failed + good).success([choices("int8", "b", 0.9)])[0])

    assert success(2, 0) > success(4, 0)
    assert success(2, 2) > success(2, 0)


def test_two_causes_of_the_same_error_are_both_found() -> None:
    failed = [(choices("int8", "b", n / 10), "crash") for n in range(3)]
    failed += [(choices("none", "c", n / 10), "crash") for n in range(3)]
    good = [(choices("none", "b", n / 10), None) for n in range(3)]
    good += [(choices("int8", "c", n / 10), None) for n in range(3)]
    pairs = {blame.pair for blame in Failures(good + failed).blames}
    assert pairs == {frozenset(FAULTY), frozenset([("format", "c"), ("method", "none")])}


def test_stages_in_the_cache_cost_nothing_and_others_what_their_kind_took() -> None:
    costs = Costs([{"gptq": 100.0, "measure": 10.0}] * 20, made=["pruned", "pruned, gptq 4"])
    stages = [Stage("prune", "pruned"), Stage("gptq", "pruned, gptq 4"), Stage("measure")]
    assert costs.seconds(stages) == pytest.approx(10.0, rel=0.2)
    assert costs.seconds([stages[0], Stage("gptq", "pruned, gptq 3"), stages[2]]) == pytest.approx(110.0, rel=0.2)


def test_known_recipes_come_one_per_group_and_the_cheapest_first() -> None:
    listed = [("b", 5), ("a", 3), ("a", 1), ("b", 2), ("c", 9), ("a", 2)]
    order = in_turn(listed, group=lambda one: one[0], cost=lambda one: one[1])
    assert order == [("a", 1), ("b", 2), ("c", 9), ("a", 2), ("b", 5), ("a", 3)]


def test_a_space_lists_all_its_configurations() -> None:
    everything = Space(toy).every(500)
    assert everything is not None
    assert len({one.key for one in everything}) == len(everything) == 6 * 3 * 10
    assert Space(toy).every(100) is None


def test_answers_lie_on_the_grid_however_they_were_added_up() -> None:
    params = {"method": "int8", "format": "a", "sparsity": 0.1 + 0.1 + 0.1}
    assert Space(toy).candidate(params).key == Space(toy).candidate({**params, "sparsity": 0.3}).key


@pytest.mark.parametrize("wrong", [{}, {"sparsity": 0.35}, {"sparsity": 1.0}, {"format": "z"}, {"sparsity": "a"}])
def test_answers_that_are_missing_or_not_offered_are_refused(wrong: dict[str, object]) -> None:
    params = {"method": "int8", "format": "a", "sparsity": 0.3, **wrong}
    if not wrong:
        del params["format"]
    with pytest.raises(KeyError):
        Space(toy).candidate(params)


@settings(max_examples=50, deadline=None)
@given(spaces())
def test_the_answers_of_every_configuration_give_it_again(space: Space[Toy]) -> None:
    for candidate in space.every(2_000) or ():
        assert space.candidate(candidate.params).configuration == candidate.configuration
        assert space.refusal(candidate.configuration) is None
