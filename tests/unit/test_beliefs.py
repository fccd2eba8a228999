"""What is believed of recipes before anything is measured."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from recipe_strategies import recipes

from autocompress.recipe import Recipe, steps_from_plain
from autocompress.search.beliefs import believed_loss


def recipe(*steps: dict[str, Any] | str) -> Recipe:
    return Recipe(steps=steps_from_plain(list(steps)), format="onnx")


def test_harsher_steps_are_believed_to_lose_more() -> None:
    mild = [{"magnitude": {"sparsity": 0.2}}, {"rtn": {"bits": 8}}]
    harsh = [{"magnitude": {"sparsity": 0.7}}, {"rtn": {"bits": 3}}]
    assert believed_loss(recipe()) == 0.0
    assert 0 < believed_loss(recipe(*mild)) < believed_loss(recipe(*harsh))
    assert believed_loss(recipe({"gptq": {"bits": 4}})) < believed_loss(recipe({"rtn": {"bits": 4}}))


@settings(max_examples=100, deadline=None)
@given(recipes())
def test_something_finite_is_believed_of_every_recipe(one: Recipe) -> None:
    assert 0 <= believed_loss(one) < 100
