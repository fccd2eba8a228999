"""Recipes as phrases and as labels."""

from __future__ import annotations

from typing import Annotated

import pytest

from autocompress.recipe import Choice, Phase, Range, Recipe, Step, steps_from_plain
from autocompress.recipe_words import recipe_in_words, step_label


class Sharpened(Step, tag="sharpened_twice"):
    """A method of another package."""

    phase = Phase.PRUNE
    threshold: Annotated[float, Range(0.5, 0.9, 0.1)] = 0.7
    mode: Annotated[str, Choice("slow", "fast")] = "slow"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"magnitude": {"sparsity": 0.3}}, "int8_dynamic"], "30 % magnitude pruning, then int8 dynamic"),
        ([{"sparsegpt": {"pattern": "2:4"}}], "2:4 sparsegpt pruning"),
        ([{"rtn": {"bits": 4, "group_size": 64}}], "4-bit rtn (group size 64)"),
        ([{"kmeans": {"n_centroids": 16}}], "kmeans clustering (16 centroids)"),
        ([{"rtn": {"symmetric": False}}], "4-bit rtn (not symmetric)"),
        ([{"qat": {"learning_rate": 0.00003}}], "4-bit qat (learning rate 3e-05)"),
        ([{"ffn_width": {"keep": 0.5}}], "ffn width (keep 50 %)"),
        ([], "no compression"),
    ],
)
def test_a_recipe_reads_as_english(steps: list[object], words: str) -> None:
    assert recipe_in_words(Recipe(steps=steps_from_plain(steps), format="onnx")) == words


@pytest.mark.parametrize(
    ("step", "label"),
    [
        ({"gptq": {}}, "gptq 4"),
        ({"gptq": {"bits": 8}}, "gptq 8"),
        ({"gptq": {"effective_bits": 3.25}}, "gptq ~3.25"),
        ({"magnitude": {"sparsity": 0.3}}, "magnitude 30%"),
        ({"sparsegpt": {"pattern": "2:4"}}, "sparsegpt 2:4"),
        ({"kmeans": {}}, "kmeans 16"),
        ({"kmeans": {"scope": "attention"}}, "kmeans 16 attention"),
        ({"kmeans_tuned": {"n_centroids": 8}}, "kmeans-tuned 8"),
        ({"int8_static": {"smoothing": 0.5}}, "int8-static"),
        ({"ffn_width": {}}, "ffn 75%"),
        ({"layers": {"keep": 0.5}}, "layers 50%"),
        ({"layers": {"keep": 0.5, "part": "decoder"}}, "layers 50% decoder"),
        ({"distil": {}}, "distil"),
        ({"distil": {"steps": 1000}}, "distil 1000"),
        ({"fp16": {}}, "fp16"),
        ({"fp16": {"part": "encoder"}}, "fp16 encoder"),
    ],
)
def test_a_label_tells_method_strength_and_place(step: object, label: str) -> None:
    assert step_label(steps_from_plain([step])[0]) == label


@pytest.mark.parametrize(
    ("step", "label"), [(Sharpened(), "sharpened-twice"), (Sharpened(threshold=0.5), "sharpened-twice 50%")]
)
def test_a_method_of_another_package_gets_a_label_too(step: Step, label: str) -> None:
    assert step_label(step) == label
