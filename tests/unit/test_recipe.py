from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from recipe_strategies import recipes

from autocompress import registry
from autocompress.errors import RecipeError
from autocompress.recipe import Recipe, Step, steps_from_plain

METHODS = registry.names("methods")


@given(recipes())
def test_a_recipe_survives_being_written_as_plain_data(recipe: Recipe) -> None:
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@given(recipes())
def test_the_canonical_form_is_its_own_canonical_form_and_shares_the_digest(recipe: Recipe) -> None:
    canonical = recipe.canonical()
    assert canonical.canonical() == canonical
    assert canonical.digest == recipe.digest


@given(recipes(), recipes())
def test_recipes_that_differ_in_canonical_form_differ_in_digest(left: Recipe, right: Recipe) -> None:
    assert (left.digest == right.digest) == (left.canonical() == right.canonical())


@given(recipes())
def test_steps_stand_in_the_order_of_their_phases(recipe: Recipe) -> None:
    assert all(before.phase < after.phase for before, after in pairwise(recipe.steps))


@pytest.mark.parametrize("tag", METHODS)
def test_every_method_can_be_written_as_its_bare_name(tag: str) -> None:
    (step,) = steps_from_plain([tag])
    assert step == registry.load("methods", tag)()
    assert steps_from_plain([{tag: None}]) == (step,)


def test_a_recipe_reads_as_a_chain() -> None:
    recipe = Recipe(steps=steps_from_plain([{"magnitude": {"sparsity": 0.5}}, "rtn"]), format="onnx")
    assert str(recipe).startswith("magnitude sparsity=0.5")
    assert str(recipe).endswith("→ onnx")
    assert str(Recipe(format="onnx")) == "onnx"


WRONG_STEPS: dict[str, tuple[Any, str]] = {
    "no list": ({"rtn": {}}, r"^steps: the steps must be a list$"),
    "unknown tag": (["rtm"], r"^steps\[0\]: there is no method named 'rtm'\. Did you mean 'rtn'\?$"),
    "near miss of a knob": (
        ["magnitude", {"rtn": {"groupsize": 64}}],
        r"^steps\[1\]\.rtn\.groupsize: unknown key\. Did you mean 'group_size'\?$",
    ),
    "value out of bounds": ([{"rtn": {"group_size": 0}}], r"^steps\[0\]\.rtn\.group_size: .*\(got 0\)$"),
    "knobs as a list": ([{"rtn": [4]}], r"^steps\[0\]\.rtn: must be a mapping"),
    "two methods in one step": ([{"rtn": {}, "magnitude": {}}], r"^steps\[0\]: a step is one method"),
    "a number": ([4], r"^steps\[0\]: a step is one method"),
    "order": (["rtn", "magnitude"], r"^steps\[1\]: magnitude \(prune\) cannot follow rtn \(quantize\)\. The order is"),
    "phase twice": (["bf16", "fp16"], r"^steps\[1\]: fp16 \(compute\) cannot follow bf16"),
    "structure twice": ([{"ffn_width": {"keep": 0.5}}, "ffn_width"], r"^steps\[1\]: ffn_width .* cannot follow"),
}


@pytest.mark.parametrize("name", WRONG_STEPS)
def test_a_wrong_step_is_named_by_its_place(name: str) -> None:
    plain, sentence = WRONG_STEPS[name]
    with pytest.raises(RecipeError, match=sentence):
        steps_from_plain(plain)


@pytest.mark.parametrize("tag", METHODS)
def test_all_that_the_search_tries_is_inside_the_knobs_own_bounds(tag: str) -> None:
    kind: type[Step] = registry.load("methods", tag)
    for knob in kind.model_fields:
        searched = kind.searched(knob)
        for option in searched.options if searched else ():
            assert getattr(kind(**{knob: option}), knob) == option
