"""What is believed of recipes before anything is measured."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from recipe_strategies import recipes

from autocompress.recipe import Recipe, steps_from_plain
from autocompress.search.beliefs import believed_log_latency, believed_loss


def recipe(*steps: dict[str, Any] | str) -> Recipe:
    return Recipe(steps=steps_from_plain(list(steps)), format="onnx")


def test_harsher_steps_are_believed_to_lose_more() -> None:
    mild = [{"magnitude": {"sparsity": 0.2}}, {"rtn": {"bits": 8}}]
    harsh = [{"magnitude": {"sparsity": 0.7}}, {"rtn": {"bits": 3}}]
    assert believed_loss(recipe()) == 0.0
    assert 0 < believed_loss(recipe(*mild)) < believed_loss(recipe(*harsh))
    assert believed_loss(recipe({"gptq": {"bits": 4}})) < believed_loss(recipe({"rtn": {"bits": 4}}))


def test_factors_of_low_rank_are_believed_to_lose_less_than_parts_taken_out() -> None:
    narrower = [recipe({part: {"keep": 0.5}}) for part in ("heads", "ffn_width", "layers", "channels")]
    factors = recipe({"low_rank": {"keep": 0.5, "activation_aware": False}})
    assert believed_loss(factors) < min(believed_loss(one) for one in narrower)
    assert believed_loss(recipe({"low_rank": {"keep": 0.5, "activation_aware": True}})) < believed_loss(factors)
    attention = {"low_rank": {"keep": 0.5, "activation_aware": False, "scope": "attention"}}
    assert believed_loss(recipe(attention)) < believed_loss(factors)


def test_training_is_believed_to_make_up_for_what_was_taken_out() -> None:
    narrow = {"layers": {"keep": 0.5}}
    assert believed_loss(recipe(narrow, {"distil": {}})) < believed_loss(recipe(narrow)) / 2


def test_what_computes_less_is_believed_to_be_faster_and_what_only_codes_weights_is_not() -> None:
    def log(*steps: Any, device: str = "cpu") -> float:
        return believed_log_latency(recipe(*steps), device)

    assert log() < believed_log_latency(Recipe(format="pytorch"), "cpu") == 0.0
    assert log({"rtn": {"bits": 4}}) == log({"magnitude": {"sparsity": 0.7}}) == log()
    assert log("int8_dynamic") < log()
    assert log({"layers": {"keep": 0.5}}) < log({"ffn_width": {"keep": 0.5}}) < log({"heads": {"keep": 0.5}}) < log()
    half = Recipe(steps=steps_from_plain(["fp16"]), format="pytorch")
    assert believed_log_latency(half, "cpu") > 0.0 == believed_log_latency(half, "cuda")


@settings(max_examples=100, deadline=None)
@given(recipes())
def test_something_finite_is_believed_of_every_recipe(one: Recipe) -> None:
    assert 0 <= believed_loss(one) < 100
    assert -10 < believed_log_latency(one, "cpu") < 10
