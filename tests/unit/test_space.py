"""The space of recipes on hand-made models: what is offered, and that names and recipes match both ways."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from recipe_strategies import recipes
from toy_models import MODELS, space_on

from autocompress.recipe import Range, Recipe, steps_from_plain
from autocompress.space import NONE, SearchSpace

N_PROPOSALS = 300


class RandomTrial:
    """Answers at random, and keeps what was asked for."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.distributions: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.distributions[name] = tuple(choices)
        self.parameters[name] = self._random.choice(choices)
        return self.parameters[name]

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float:
        self.distributions[name] = (low, high, step)
        # As samplers do: what comes of the arithmetic, not the nearest decimal number.
        self.parameters[name] = low + step * self._random.randint(0, round((high - low) / step))
        return float(self.parameters[name])


def proposals(space: SearchSpace) -> list[tuple[RandomTrial, Recipe]]:
    trials = [RandomTrial(seed) for seed in range(N_PROPOSALS)]
    return [(trial, space.propose(trial)) for trial in trials]


@pytest.fixture(params=sorted(MODELS), scope="module")
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return space_on(request.param)


def test_a_method_is_said_to_be_of_use_where_proposals_hold_it(space: SearchSpace) -> None:
    proposed = {step.tag for _, recipe in proposals(space) for step in recipe.steps}
    assert proposed == {tag for tag, kind in space.methods.items() if space.why_not(kind) is None}


def test_a_proposal_is_valid_or_fails_only_by_the_interplay_of_knobs_that_are_valid_alone(space: SearchSpace) -> None:
    for _, recipe in proposals(space):
        if space.refusal(recipe) is None:
            continue
        for step in recipe.steps:
            for knob in type(step).model_fields:
                if type(step).searched(knob) and not isinstance(type(step).searched(knob), Range):
                    valid = {getattr(other, knob) for other in space._valid_steps[step.tag]}
                    assert getattr(step, knob) in valid


def test_most_proposals_are_valid(space: SearchSpace) -> None:
    valid = [recipe for _, recipe in proposals(space) if space.refusal(recipe) is None]
    assert len(valid) > 0.8 * N_PROPOSALS


def test_a_name_always_means_the_same_distribution(space: SearchSpace) -> None:
    known: dict[str, Any] = {}
    for trial, _ in proposals(space):
        for name, distribution in trial.distributions.items():
            assert known.setdefault(name, distribution) == distribution, name


def test_parameters_give_the_recipe_again(space: SearchSpace) -> None:
    for _, recipe in proposals(space):
        parameters = space.parameters(recipe)
        trial = _Fixed(parameters)
        assert space.propose(trial) == recipe
        assert trial.asked == parameters.keys()


class _Fixed:
    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self.asked: set[str] = set()

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        assert self.parameters[name] in choices
        self.asked.add(name)
        return self.parameters[name]

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float:
        self.asked.add(name)
        return float(self.parameters[name])


def test_a_proposal_can_be_found_in_the_space_where_it_is_valid(space: SearchSpace) -> None:
    for _, recipe in proposals(space):
        assert space.contains(recipe) == (space.refusal(recipe) is None)


def test_searched_knobs_hold_the_values_that_people_would_write(space: SearchSpace) -> None:
    for _, recipe in proposals(space):
        for step in recipe.steps:
            for knob in type(step).model_fields:
                searched = type(step).searched(knob)
                if searched and step.is_active(knob):
                    assert getattr(step, knob) in searched.options


def test_every_known_good_recipe_is_valid_and_stands_once(space: SearchSpace) -> None:
    listed = space.known_good()
    assert [space.refusal(recipe) for recipe in listed] == [None] * len(listed)
    assert len({recipe.digest for recipe in listed}) == len(listed)


def test_the_float_twin_of_every_format_comes_first(space: SearchSpace) -> None:
    twins = space.known_good()[: len(space.formats)]
    assert [(recipe.format, recipe.steps) for recipe in twins] == [(name, ()) for name in sorted(space.formats)]


def test_a_group_wider_than_every_layer_is_never_offered() -> None:
    offered = {trial.distributions.get("rtn.group_size") for trial, _ in proposals(space_on("narrow"))}
    assert offered == {None, (32, 64)}


def test_a_model_without_feed_forward_blocks_is_never_offered_a_narrower_width() -> None:
    space = space_on("convolutions")
    assert "ffn_width" not in space.methods
    assert all("ffn_width" not in str(trial.distributions) for trial, _ in proposals(space))


def test_a_model_without_layers_keeps_only_what_takes_embeddings() -> None:
    methods = space_on("embeddings only").methods
    assert "kmeans" in methods
    assert not methods.keys() & {"magnitude", "ffn_width", "int8_static"}


def test_a_phase_carries_its_options_in_its_name_where_they_are_fewer_than_all() -> None:
    space = space_on("bert")
    names = {name for trial, _ in proposals(space) for name in trial.distributions if name.startswith("compute")}
    assert len(names) > 1
    for name in names - {"compute"}:
        assert set(name[len("compute[") : -1].split("|")) < set(space.methods)


def test_weights_that_are_all_codes_already_are_never_coded_again() -> None:
    for _, recipe in proposals(space_on("bert")):
        if recipe.step("kmeans") and recipe.step("kmeans").scope == "all":
            assert not {step.tag for step in recipe.steps} & {"rtn", "int8_weight_only"}


def test_the_device_narrows_the_space() -> None:
    formats = {recipe.format for _, recipe in proposals(space_on("bert", "cuda")) if recipe.step("int8_dynamic")}
    assert formats == set()


def test_inert_knobs_do_not_make_another_recipe() -> None:
    def digest(percentile: float) -> str:
        steps = steps_from_plain([{"int8_static": {"calibration": "minmax", "percentile": percentile}}])
        return Recipe(steps=steps, format="onnx").digest

    assert digest(99.9) == digest(99.999)


def test_a_recipe_of_a_knob_that_is_not_searched_is_not_in_the_space() -> None:
    steps = steps_from_plain([{"rtn": {"bits": 2}}])
    assert not space_on("bert").contains(Recipe(steps=steps, format="pytorch"))


def test_a_recipe_of_another_seed_is_not_in_the_space() -> None:
    assert space_on("bert", seed=1).contains(Recipe(format="onnx", seed=1))
    assert not space_on("bert", seed=1).contains(Recipe(format="onnx", seed=2))


@settings(max_examples=200, deadline=None)
@given(recipes(space_on("bert").formats))
def test_every_recipe_on_the_grid_is_either_refused_with_a_reason_or_can_be_proposed(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"seed": 0}).canonical()
    space = space_on("bert")
    assert space.contains(recipe) == (space.refusal(recipe) is None)


def test_a_recipe_without_steps_answers_none_for_every_phase() -> None:
    parameters = space_on("bert").parameters(Recipe(format="onnx"))
    assert parameters.pop("format") == "onnx"
    assert set(parameters.values()) == {NONE}
