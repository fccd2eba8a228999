"""What is believed of recipes before anything is measured."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from recipe_strategies import recipes
from toy_models import MODELS

from autocompress.recipe import Recipe, steps_from_plain
from autocompress.search.beliefs import believed_log_size, believed_loss

BERT = MODELS["bert"]


def recipe(*steps: dict[str, Any] | str) -> Recipe:
    return Recipe(steps=steps_from_plain(list(steps)), format="onnx")


@pytest.mark.parametrize(
    ("steps", "share"),
    [
        ([], 1.0),
        (["fp16"], 0.5),
        ([{"rtn": {"bits": 4, "group_size": 128, "scope": "all"}}], 0.131),
        ([{"kmeans": {"n_centroids": 16, "scope": "all"}}], 0.125),
        ([{"int8_weight_only": {"scope": "all"}}], 0.25),
    ],
)
def test_a_size_is_that_of_the_codes(steps: list[Any], share: float) -> None:
    assert math.exp(believed_log_size(recipe(*steps), BERT)) == pytest.approx(share, rel=0.02)


def test_harsher_steps_are_believed_to_lose_more() -> None:
    mild = [{"magnitude": {"sparsity": 0.2}}, {"rtn": {"bits": 8}}]
    harsh = [{"magnitude": {"sparsity": 0.7}}, {"rtn": {"bits": 3}}]
    assert believed_loss(recipe()) == 0.0
    assert 0 < believed_loss(recipe(*mild)) < believed_loss(recipe(*harsh))
    assert believed_loss(recipe({"gptq": {"bits": 4}})) < believed_loss(recipe({"rtn": {"bits": 4}}))


@settings(max_examples=100, deadline=None)
@given(recipes())
def test_something_finite_is_believed_of_every_recipe(one: Recipe) -> None:
    assert math.isfinite(believed_log_size(one, BERT))
    assert believed_log_size(one, BERT) <= 1e-9
    assert 0 <= believed_loss(one) < 100
