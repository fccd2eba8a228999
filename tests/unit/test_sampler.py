"""The sampler as anyone would use it: in Optuna's studies over spaces of their own."""

from __future__ import annotations

import doctest
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from sampler_spaces import FIGURES, Toy, figures_of, spaces, toy

from autocompress.search.sampler import Figure, RecipeSampler, Space, StopWhenSpent, recipe_sampler, space
from autocompress.search.sampler.hypervolume import hypervolume
from autocompress.search.sampler.recipe_sampler import CHOSEN, ORIGIN

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

KNOWN = ({"method": "int8", "format": "a", "sparsity": 0.0}, {"method": "none", "format": "b", "sparsity": 0.0})
LIMITS = {"lost": 0.005}
REFERENCE = (1.2, 0.01)


def study_of(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    return optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)


def objective(trial: optuna.Trial) -> tuple[float, float]:
    return figures_of(toy(trial))


def searched(n_trials: int, **arguments: Any) -> optuna.Study:
    arguments = {"limits": LIMITS, "reference": REFERENCE, "seed": 0, **arguments}
    study = study_of(RecipeSampler(Space(toy, known_good=KNOWN), FIGURES, **arguments))
    study.optimize(objective, n_trials=n_trials)
    return study


def origins(study: optuna.Study) -> list[str]:
    return [trial.system_attrs[ORIGIN] for trial in study.trials]


@pytest.mark.parametrize("module", [recipe_sampler, space])
def test_the_examples_of_the_docstrings_run(module: Any) -> None:
    result = doctest.testmod(module)
    assert (result.failed, result.attempted > 0) == (0, True)


def test_known_good_configurations_come_first_and_the_models_after_them() -> None:
    study = searched(14)
    assert [trial.params for trial in study.trials[:2]] == [
        {name: pytest.approx(value) for name, value in params.items()} for params in KNOWN
    ]
    assert origins(study)[:2] == ["known_good"] * 2
    assert {"model", "guard"} <= set(origins(study)[4:])


def test_a_known_good_configuration_that_is_refused_is_left_out() -> None:
    refused = Space(toy, refusal=lambda one: "no" if dict(one)["method"] == "int8" else None, known_good=KNOWN)
    study = study_of(RecipeSampler(refused, FIGURES, seed=0))
    study.optimize(objective, n_trials=6)
    assert study.trials[0].params["method"] == "none"
    assert all(trial.params["method"] != "int8" for trial in study.trials)


def test_the_same_seed_proposes_the_same() -> None:
    one, same, other = (searched(16, seed=seed) for seed in (1, 1, 2))
    assert [trial.params for trial in one.trials] == [trial.params for trial in same.trials]
    assert [trial.params for trial in one.trials] != [trial.params for trial in other.trials]


def test_it_finds_more_of_the_front_than_chance() -> None:
    def reached(study: optuna.Study) -> float:
        points = np.array([trial.values for trial in study.trials if trial.values[1] <= LIMITS["lost"]])
        return hypervolume(points.reshape(-1, 2), REFERENCE)

    by_chance = []
    for seed in range(5):
        study = study_of(optuna.samplers.RandomSampler(seed))
        study.optimize(objective, n_trials=25)
        by_chance.append(reached(study))
    assert reached(searched(25)) > np.mean(by_chance)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spaces())
def test_only_valid_configurations_are_proposed_and_none_twice_until_all_are_done(space: Space[Toy]) -> None:
    everything = space.every(10_000)
    assert everything is not None
    sampler = RecipeSampler(space, (Figure("one"), Figure("two")), seed=0)
    study = study_of(sampler)
    chance = random.Random(0)
    seen = []
    for _ in range(min(len(everything), 12)):
        proposal = sampler.propose(study.get_trials(), n_objectives=2)
        assert proposal is not None
        candidate = proposal.candidate
        assert space.refusal(candidate.configuration) is None
        seen.append(candidate.key)
        study.add_trial(
            optuna.trial.create_trial(
                params=candidate.params,
                distributions=candidate.distributions,
                values=[chance.random(), chance.random()],
            )
        )
    assert len(set(seen)) == len(seen)
    if len(everything) <= 12:
        assert sampler.propose(study.get_trials(), n_objectives=2) is None


def test_knobs_without_effect_do_not_make_another_configuration() -> None:
    same = Space(toy, key=lambda one: str([answer for answer in one if answer[0] != "sparsity"]))
    study = study_of(RecipeSampler(same, FIGURES, seed=0))
    study.optimize(objective, n_trials=18)
    kinds = {tuple((k, v) for k, v in trial.params.items() if k != "sparsity") for trial in study.trials}
    assert len(kinds) == 18


def test_what_failed_twice_with_the_same_error_is_avoided() -> None:
    def fails(trial: optuna.Trial) -> tuple[float, float]:
        one = toy(trial)
        if dict(one)["format"] == "a":
            raise RuntimeError("no kernel")
        return figures_of(one)

    study = study_of(RecipeSampler(Space(toy), FIGURES, limits=LIMITS, reference=REFERENCE, seed=0))
    study.optimize(fails, n_trials=24, catch=RuntimeError)  # later there is nothing else left to be curious about
    late = [trial.state is optuna.trial.TrialState.FAIL for trial in study.trials[12:]]
    assert sum(late) <= 2


def test_what_it_foretells_of_trials_that_it_has_not_seen_is_near_what_they_give() -> None:
    every = Space(toy).every(10_000)
    assert every is not None
    chance = random.Random(0)
    known, asked = chance.sample(every, 60), chance.sample(every, 60)
    sampler = RecipeSampler(Space(toy), FIGURES, limits=LIMITS, reference=REFERENCE, seed=0)
    study = study_of(sampler)
    for one in known:
        told = {"params": one.params, "distributions": one.distributions}
        study.add_trial(optuna.trial.create_trial(values=list(figures_of(one.configuration)), **told))
    foretold = sampler.foretell(study.get_trials(), asked)["lost"]
    true = np.log([figures_of(one.configuration)[1] + 0.01 for one in asked])
    assert np.sqrt(np.mean((foretold.mean - true) ** 2)) < 0.3 * np.std(true)
    assert np.mean(np.abs(foretold.mean - true) < 3 * foretold.deviation) > 0.9


def test_of_too_few_trials_it_foretells_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        RecipeSampler(Space(toy), FIGURES).foretell([], [], n_objectives=2)


def test_trials_that_run_are_not_proposed_again_even_before_they_ask() -> None:
    study = searched(10)
    asked = [study.ask() for _ in range(6)]
    chosen = [trial.relative_params for trial in asked]  # chosen, though nothing was asked for yet
    stored = [study.get_trials()[trial.number].system_attrs[CHOSEN] for trial in asked]
    assert len({str(params) for params in chosen}) == len(set(stored)) == 6


def test_workers_in_threads_share_one_study() -> None:
    study = study_of(RecipeSampler(Space(toy, known_good=KNOWN), FIGURES, limits=LIMITS, seed=0))
    study.optimize(objective, n_trials=24, n_jobs=3)
    assert len({str(trial.params) for trial in study.trials}) == 24


def test_a_limit_that_changes_is_kept_from_the_next_proposal_on() -> None:
    sampler = RecipeSampler(Space(toy, known_good=KNOWN), FIGURES, {"lost": 0.05}, (1.2, 0.1), seed=0)
    study = study_of(sampler)
    study.optimize(objective, n_trials=25)
    sampler.limits = {"lost": 0.05, "size": 0.05}
    assert sampler.gain_left() is None
    study.optimize(objective, n_trials=12)
    before = np.mean([trial.values[0] <= 0.1 for trial in study.trials[10:25]])
    after = np.mean([trial.values[0] <= 0.1 for trial in study.trials[25:]])
    assert after > before


@pytest.mark.parametrize("seed", range(3))
def test_the_few_that_keep_a_hard_limit_are_looked_for_before_small_ones_that_do_not(seed: int) -> None:
    pairs = ((2, "a", 0.9), (3, "b", 0.8), (2, "c", 0.8), (3, "a", 0.9), (2, "b", 0.7), (3, "c", 0.7))
    harsh = [
        {"method": "groups", "groups.bits": bits, "format": name, "sparsity": share} for bits, name, share in pairs
    ]
    limit = 1e-4  # kept by nine of the 180
    study = study_of(RecipeSampler(Space(toy, known_good=harsh), FIGURES, {"lost": limit}, (1.2, 0.004), seed=seed))
    study.optimize(objective, n_trials=19)
    assert any(trial.values[1] <= limit for trial in study.trials)


def test_as_long_as_nothing_keeps_the_limits_tpe_proposes_two_times_of_three() -> None:
    def lossy(trial: optuna.Trial) -> tuple[float, float]:
        size, lost = objective(trial)
        return size, lost + 0.001

    sampler = RecipeSampler(Space(toy, known_good=KNOWN), FIGURES, {"lost": 0.0009}, REFERENCE, seed=0)
    study = study_of(sampler)
    study.optimize(lossy, n_trials=16)
    by_tpe = [origin == "tpe" for origin in origins(study)]
    n_without_model = len(KNOWN) + 2  # the fewest trials that the models need
    assert by_tpe[n_without_model:] == [True, True, False] * 4


def test_where_the_models_fail_tpe_proposes_and_it_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    def nonsense(one: Toy) -> Mapping[str, float]:
        return {"size": float("nan")}

    sampler = RecipeSampler(Space(toy, known_good=KNOWN, predicted=nonsense), FIGURES, LIMITS, REFERENCE, seed=0)
    study = study_of(sampler)
    study.optimize(objective, n_trials=12)
    assert "tpe" in origins(study)[6:]
    assert sampler.fallbacks
    assert "TPE proposes" in caplog.text
    assert len({str(trial.params) for trial in study.trials}) == 12


def test_enqueued_trials_are_run_as_they_are_and_learnt_from() -> None:
    study = searched(3)
    study.enqueue_trial({"method": "groups", "groups.bits": 3, "format": "c", "sparsity": 0.5})
    study.optimize(objective, n_trials=6)
    assert study.trials[3].params["groups.bits"] == 3
    assert len({str(trial.params) for trial in study.trials}) == 9


def test_one_objective_is_enough_and_figures_need_not_be_named() -> None:
    study = optuna.create_study(sampler=RecipeSampler(Space(toy), seed=0))
    study.optimize(lambda trial: figures_of(toy(trial))[0], n_trials=30)
    assert study.best_value < 0.1


def test_figures_beside_the_objectives_can_have_limits() -> None:
    def memory(trial: optuna.Trial) -> tuple[float, float]:
        one = toy(trial)
        trial.set_user_attr("figures", {"ram": {"a": 3.0, "b": 1.0, "c": 1.0}[dict(one)["format"]]})
        return figures_of(one)

    figures = (*FIGURES, Figure("ram"))
    study = study_of(RecipeSampler(Space(toy), figures, {"ram": 2.0}, (1.2, 0.1), seed=0))
    study.optimize(memory, n_trials=40)
    assert sum(trial.params["format"] == "a" for trial in study.trials[20:]) <= 5


def test_it_stops_when_nothing_much_is_expected_any_more() -> None:
    study = study_of(RecipeSampler(Space(toy, known_good=KNOWN), FIGURES, LIMITS, REFERENCE, seed=0))
    study.optimize(objective, n_trials=180, callbacks=[StopWhenSpent(share=0.01, patience=3)])
    assert 10 < len(study.trials) < 180
