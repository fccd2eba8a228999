"""What is tried next: known-good recipes, then the sampler's, never one twice, until the space is empty."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial
from run_example import measurement, trial
from toy_models import MODELS, space_on

from autocompress import registry
from autocompress.recipe import Recipe
from autocompress.records import Status
from autocompress.search.proposer import Proposer, figure_limits
from autocompress.search.study import DIRECTIONS, Study, sqlite_url
from autocompress.space import SearchSpace
from autocompress.spec import Constraints, SearchSpec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

N_PROPOSALS = 220
ORIGINAL = trial(0, [], "pytorch", measurement(size=1))


def space_of(*methods: str) -> SearchSpace:
    """These methods in two formats."""
    formats = {name: registry.load("formats", name)() for name in ("onnx", "pytorch")}
    return SearchSpace({tag: registry.load("methods", tag) for tag in methods}, formats, MODELS["bert"], "cpu", 0)


def tiny_space() -> SearchSpace:
    """With half precision or without: four recipes."""
    return space_of("fp16")


def proposals(proposer: Proposer, count: int, finished: list[FrozenTrial] | None = None) -> list[Recipe]:
    tried: list[str] = []
    recipes = []
    while len(recipes) < count:
        proposal = proposer.next(tried, finished or [])
        if proposal is None:
            break
        recipes.append(proposal[0])
        tried.append(proposal[0].digest)
    return recipes


def test_known_good_recipes_come_first_and_in_their_order() -> None:
    space = space_on("bert")
    proposer = Proposer(space, seed=0)
    tried: list[str] = []
    for expected in space.known_good():
        assert proposer.next(tried, []) == (expected, "known_good")
        tried.append(expected.digest)
    proposal = proposer.next(tried, [])
    assert proposal is not None
    assert proposal[1] == "sampler"


def test_a_known_good_recipe_that_was_tried_before_is_passed_over() -> None:
    space = space_on("bert")
    first, second, *_ = space.known_good()
    assert Proposer(space, seed=0).next([first.digest], []) == (second, "known_good")


def test_no_recipe_comes_twice_and_all_are_valid() -> None:
    space = space_on("bert")
    recipes = proposals(Proposer(space, seed=0), N_PROPOSALS)
    assert len({recipe.digest for recipe in recipes}) == N_PROPOSALS
    assert all(space.contains(recipe) for recipe in recipes)


def test_a_tiny_space_is_tried_out_and_then_empty() -> None:
    proposer = Proposer(tiny_space(), seed=0)
    recipes = proposals(proposer, 100)
    assert {str(recipe) for recipe in recipes} == {"onnx", "pytorch", "fp16 → onnx", "fp16 → pytorch"}
    assert proposer.next([recipe.digest for recipe in recipes], []) is None


def test_the_same_seed_proposes_the_same_and_another_seed_something_else() -> None:
    one, same, other = (proposals(Proposer(space_on("bert"), seed), 40) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_an_interrupted_recipe_comes_before_all_others_and_says_what_it_is() -> None:
    space = space_on("bert")
    proposer = Proposer(space, seed=0)
    interrupted = space.known_good()[-1]
    proposer.retry(interrupted)
    assert proposer.next([], []) == (interrupted, "retry")
    assert proposer.next([interrupted.digest], []) == (space.known_good()[0], "known_good")


def test_what_is_asked_for_comes_before_all_others_in_its_order_even_if_it_was_tried() -> None:
    space = space_on("bert")
    proposer = Proposer(space, seed=0)
    first, second, third = space.known_good()[:3]
    proposer.retry(first)
    proposer.ask_for(third)
    proposer.ask_for(second)
    assert (proposer.n_asked_for, proposer.is_asked_for(second), proposer.is_asked_for(first)) == (2, True, False)
    assert proposer.next([third.digest], []) == (third, "user")
    assert proposer.next([third.digest], []) == (second, "user")
    assert proposer.next([third.digest, second.digest], []) == (first, "retry")


def test_limits_are_told_in_the_terms_of_what_is_modelled() -> None:
    written = {"size": "0.5x", "latency": "8.8ms", "quality_drop": "1%", "ram": "100MB"}
    original = measurement(size=1, ram=1)
    limits = figure_limits(Constraints.model_validate(written), original)
    assert limits["size"] == pytest.approx(math.log(0.5))
    assert limits["latency"] == pytest.approx(math.log(8.8 / 17.6), abs=0.02)
    assert limits["drop"] == pytest.approx(0.01 * 0.8819)
    assert limits["ram"] == pytest.approx(math.log(100 / 412))


def test_other_limits_hold_for_the_next_proposal() -> None:
    space = space_on("bert")
    proposer = Proposer(space, 0, ORIGINAL)
    proposer.judge_by(Constraints.model_validate({"size": "0.25x"}))
    assert proposer.sampler.limits == {"size": pytest.approx(math.log(0.25))}
    tried = [recipe.digest for recipe in space.known_good()]
    assert proposer.next(tried, []) is not None


@pytest.fixture
def study(tmp_path: Path) -> Study:
    spec = SearchSpec.model_validate({"model": {"path": "m"}})
    return Study.create("mine", sqlite_url(tmp_path / "study.db"), spec)


def test_learning_leaves_no_trace_in_the_record(study: Study, tmp_path: Path) -> None:
    space = space_on("bert")
    for recipe in proposals(Proposer(space, seed=1), 12):
        record = study.start(recipe, "sampler", space)
        figures = measurement(size=0.5, speedup=2.0)
        study.finish(record.model_copy(update={"status": Status.COMPLETE, "measurement": figures}), ORIGINAL, {})
    before = [trial.params for trial in study.known_trials()]
    assert len(proposals(Proposer(space, seed=0), 30, study.known_trials())) == 30
    stored = optuna.load_study(study_name="mine", storage=sqlite_url(tmp_path / "study.db"))
    assert [trial.params for trial in stored.get_trials()] == before


def test_it_goes_where_trials_were_good_although_it_never_proposes_those_again() -> None:
    space = space_of("magnitude", "wanda", "kmeans", "rtn", "fp16")
    proposer = Proposer(space, seed=0)
    record = optuna.create_study(directions=DIRECTIONS)
    tried: list[str] = []
    pruned = []
    for _ in range(60):
        proposal = proposer.next(tried, record.get_trials())
        assert proposal is not None
        recipe, _ = proposal
        tried.append(recipe.digest)
        record.enqueue_trial(space.parameters(recipe))
        entered = record.ask()
        space.propose(entered)
        pruned.append(recipe.step("magnitude") is not None)
        record.tell(entered, [-2.0, -1.0, 0.0] if pruned[-1] else [1.0, 1.0, 0.5])
    assert sum(pruned[-30:]) > 0.6 * 30


def test_a_trial_that_tells_how_sure_it_is_is_believed_no_more_than_that() -> None:
    space = space_on("bert")
    sampler = Proposer(space, seed=0).sampler
    candidates = [sampler.space.candidate(space.parameters(recipe)) for recipe in space.known_good()]

    def unsureness(deviation: float) -> float:
        record = optuna.create_study(directions=DIRECTIONS)
        for number, one in enumerate(candidates):
            trial = optuna.trial.create_trial(
                values=[-1.0, -0.5, 0.002 * (number % 3)],
                params=one.params,
                distributions=one.distributions,
                user_attrs={"deviations": {"drop": deviation}},
            )
            record.add_trial(trial)
        return float(Proposer(space, seed=0).sampler.foretell(record.get_trials(), candidates)["drop"].deviation.mean())

    assert unsureness(0.0005) < unsureness(0.05)


def test_a_record_of_recipes_outside_the_space_does_not_disturb(study: Study) -> None:
    outside = Recipe(format="pytorch", seed=99)
    record = study.start(outside, "user", None)
    figures = measurement(size=0.5)
    study.finish(record.model_copy(update={"status": Status.COMPLETE, "measurement": figures}), ORIGINAL, {})
    recipes = proposals(Proposer(space_on("bert"), seed=0), 20, study.known_trials())
    assert len(recipes) == 20


def limited(size: str | None) -> Constraints:
    return Constraints(size=size)  # type: ignore[arg-type]


def test_what_is_foretold_to_be_too_large_is_never_proposed() -> None:
    space = space_on("bert")
    proposer = Proposer(space, seed=0, original=ORIGINAL, constraints=limited("0.2x"))
    recipes = proposals(proposer, 40)
    assert len(recipes) == 40
    sizes = [proposer.forecast.of(recipe) for recipe in recipes]
    bound = 0.2 * ORIGINAL.measurement.size_bytes if ORIGINAL.measurement else 0
    assert all(size.n_bytes <= bound * (1 + size.error) for size in sizes)


def test_limits_that_change_bring_known_good_recipes_back_and_take_them_away() -> None:
    space = space_of("fp16", "int8_weight_only")
    forecast = Proposer(space, seed=0).forecast
    half = f"{forecast.original.n_bytes * 0.51:.0f}B"
    proposer = Proposer(space, seed=0, constraints=limited(half))
    assert {recipe for recipe in proposals(proposer, 100) if not recipe.steps} == set()
    assert "known-good recipes are left out" in str(proposer.left_out())
    proposer.judge_by(limited(None))
    assert proposer.left_out() is None
    assert {str(recipe) for recipe in proposals(proposer, 100)} >= {"onnx", "pytorch"}


def test_a_recipe_that_was_asked_for_is_tried_however_large() -> None:
    space = space_on("bert")
    proposer = Proposer(space, seed=0, original=ORIGINAL, constraints=limited("0.01x"))
    asked = Recipe(format="onnx")
    proposer.ask_for(asked)
    assert proposer.next([], []) == (asked, "user")


def test_where_nothing_known_fits_the_sampler_is_asked() -> None:
    space = space_on("bert")
    smallest = min(Proposer(space, seed=0).forecast.of(recipe).n_bytes for recipe in space.known_good())
    proposer = Proposer(space, seed=0, constraints=limited(f"{smallest * 0.8:.0f}B"))
    proposal = proposer.next([], [])
    assert proposal is not None
    assert proposal[1] == "sampler"
