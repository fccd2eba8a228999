"""Sizes foretold from shapes: what follows from what, whatever the model."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from recipe_strategies import recipes
from toy_models import MODELS

from autocompress.encodings import IntegersForm, form_bytes
from autocompress.encodings.expectation import expected_part_bytes
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.size_forecast import SizeForecast

BERT = MODELS["bert"]


def share(*steps: Any, format_name: str = "onnx") -> float:
    """The size as a share of the original's."""
    forecast = SizeForecast(BERT)
    recipe = Recipe(steps=steps_from_plain(list(steps)), format=format_name)
    return forecast.of(recipe).n_bytes / forecast.original.n_bytes


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], 1.0),
        (["fp16"], 0.5),
        ([{"rtn": {"bits": 4, "group_size": 128, "scope": "all"}}], 0.129),
        ([{"kmeans": {"n_centroids": 16, "scope": "all"}}], 0.125),
        ([{"int8_weight_only": {"scope": "all"}}], 0.2525),
    ],
)
def test_a_size_is_that_of_the_codes(steps: list[Any], expected: float) -> None:
    assert share(*steps) == pytest.approx(expected, rel=0.01)


@settings(max_examples=100, deadline=None)
@given(recipes())
def test_something_finite_is_foretold_of_every_recipe(one: Recipe) -> None:
    for facts in MODELS.values():
        size = SizeForecast(facts).of(one)
        assert 0 < size.n_bytes < math.inf
        assert size.error >= 0


def test_fewer_zeros_take_more_and_the_error_is_larger_where_values_decide() -> None:
    assert share({"magnitude": {"sparsity": 0.6}}) < share({"magnitude": {"sparsity": 0.3}}) < share()
    forecast = SizeForecast(BERT)
    exact = forecast.of(Recipe(steps=steps_from_plain(["int8_weight_only"]), format="onnx"))
    expected = forecast.of(Recipe(steps=steps_from_plain(["int8_weight_only"]), format="pytorch"))
    assert exact.error < expected.error


def test_structural_steps_are_followed_through_the_shapes() -> None:
    n_layer = 1536 * 384
    total = sum(weight.n_elements for weight in BERT.weights)
    assert share({"ffn_width": {"keep": 0.5}}) == share()  # no layer of a repeated block
    narrower = BERT.model_copy(
        update={
            "weights": tuple(
                weight.model_copy(update={"name": f"encoder.{number}.weight"})
                for number, weight in enumerate(BERT.weights)
            )
        }
    )
    forecast = SizeForecast(narrower)
    half = forecast.of(Recipe(steps=steps_from_plain([{"ffn_width": {"keep": 0.5}}]), format="pytorch"))
    assert half.n_bytes / forecast.original.n_bytes == pytest.approx(1 - n_layer / 2 / total, rel=0.001)


def test_codes_of_usual_weights_are_expected_to_shrink_but_never_to_grow() -> None:
    for bits, group_size in ((8, 384), (4, 64), (2, 32)):
        form = IntegersForm((384, 384), bits, group_size)
        coded = expected_part_bytes(form, "codes")
        assert 0.8 * form.parts["codes"].n_bytes < coded <= form.parts["codes"].n_bytes
    assert form_bytes(IntegersForm((1, 8), 4, 8)) == 4 + 2
