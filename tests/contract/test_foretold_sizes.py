"""Sizes foretold from shapes, against the files that are written: every known-good recipe in every format."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from test_onnx_format import CLASSES, _one_thread, context_for, example, load
from torch import nn

from autocompress import registry
from autocompress.compressible import CompressibleModel, Inputs, StepContext
from autocompress.errors import Unsupported
from autocompress.facts import ModelFacts
from autocompress.model_state import facts_of
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.size_forecast import SizeForecast
from autocompress.space import SearchSpace
from autocompress.stage_cache import StageCache

__all__ = ["_one_thread"]

LARGEST_ERROR = 0.02
TOKENS = np.random.default_rng(0).integers(5, 1900, (1, 60))
TEXT: Inputs = {"input_ids": TOKENS, "attention_mask": np.ones_like(TOKENS)}
PIXELS: Inputs = {"pixel_values": np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)}


def bert() -> nn.Module:
    """Two layers, wide enough that weights are most of the files."""
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=2000, hidden_size=256, num_hidden_layers=2, num_attention_heads=4, intermediate_size=1024
        )
    )


def llama() -> nn.Module:
    """Two layers with gated feed-forward blocks and grouped queries."""
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=4000, hidden_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=768, max_position_embeddings=64,
        )
    )  # fmt: skip


def resnet() -> nn.Module:
    """Two stages of two blocks."""
    return transformers.ResNetForImageClassification(
        transformers.ResNetConfig(embedding_size=64, hidden_sizes=[128, 256], depths=[2, 2], layer_type="basic")
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], str, Inputs]] = {
    "bert": (bert, "text-classification", TEXT),
    "llama": (llama, "language-modelling", TEXT),
    "resnet": (resnet, "image-classification", PIXELS),
}


def as_trained(module: nn.Module) -> nn.Module:
    """With rows of different scales and no value twice, as training leaves weights."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        scales = (0.26 * torch.randn(len(parameter))).exp()
        parameter.data *= scales.reshape(-1, *[1] * (parameter.dim() - 1))
        parameter.data += 0.01 * torch.randn_like(parameter)
    return module.eval().requires_grad_(False)


def known_good(facts: ModelFacts) -> list[Recipe]:
    """Those of all formats; which layers stay in float, only the data decides."""
    formats = {name: kind() for name, kind in registry.load_all("formats").items()}
    space = SearchSpace(registry.load_all("methods"), formats, facts, "cpu", 0)
    return [recipe for recipe in space.known_good() if not any(getattr(step, "keep_float", 0) for step in recipe.steps)]


def written(recipe: Recipe, module: nn.Module, context: StepContext, folder: Path) -> int:
    """Bytes of the files that the recipe gives."""
    model = CompressibleModel(copy.deepcopy(module).float())
    for step in recipe.steps:
        step.apply(model, context)
    folder.mkdir()
    registry.load("formats", recipe.format)().export(model, folder, context)
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("name", MODELS)
def test_known_good_recipes_take_what_was_foretold(tmp_path: Path, name: str) -> None:
    build, task, inputs = MODELS[name]
    torch.manual_seed(0)
    module = as_trained(build())
    facts = facts_of(module, task)
    context = context_for(task, inputs, StageCache(tmp_path / "cache", 10**9))
    forecast = SizeForecast(facts)
    off = {}
    for number, recipe in enumerate(known_good(facts)):
        size = written(recipe, module, context, tmp_path / str(number))
        off[str(recipe)] = forecast.of(recipe).n_bytes / size - 1
    assert off
    assert {recipe: error for recipe, error in off.items() if abs(error) > LARGEST_ERROR} == {}


@pytest.mark.parametrize("format_name", ["pytorch", "onnx"])
@pytest.mark.parametrize("keep", [0.3, 0.6])
def test_with_fewer_channels_files_are_not_smaller_than_was_foretold(
    tmp_path: Path, keep: float, format_name: str
) -> None:
    build, task, inputs = MODELS["resnet"]
    torch.manual_seed(0)
    module = as_trained(build())
    context = context_for(task, inputs, StageCache(tmp_path / "cache", 10**9))
    foretold = SizeForecast(facts_of(module, task))
    for number, steps in enumerate(([], ["fp16"], [{"kmeans": {"n_centroids": 16}}])):
        recipe = Recipe(steps=steps_from_plain([{"channels": {"keep": keep}}, *steps]), format=format_name)
        size = foretold.of(recipe)
        assert size.error < 1
        assert written(recipe, module, context, tmp_path / str(number)) * (1 + size.error) >= size.n_bytes


REAL: tuple[tuple[Any, ...], ...] = (
    (),
    ({"rtn": {"bits": 4, "group_size": 64}},),
    ({"kmeans": {"n_centroids": 16}},),
    ("int8_weight_only",),
    ({"kmeans": {"n_centroids": 16}}, {"int8_dynamic": {"per_channel": True}}),
    ({"heads": {"keep": 0.5}}, {"ffn_width": {"keep": 0.5}}, {"rtn": {"bits": 4, "group_size": 32}}),
    ({"layers": {"keep": 0.5, "strategy": "even"}}, "fp16"),
)


@pytest.mark.parametrize("name", ["fashion-vit-small", "fsdd-wav2vec2-ctc"])
def test_trained_models_take_what_was_foretold(assets: Path, tmp_path: Path, name: str) -> None:
    module, task = load(assets, name).module, CLASSES[name][1]
    facts = facts_of(module, task)
    context = context_for(task, example(name, module), StageCache(tmp_path / "cache", 10**9))
    forecast = SizeForecast(facts)
    off = {}
    for number, (steps, format_name) in enumerate((s, f) for s in REAL for f in ("pytorch", "onnx", "openvino")):
        recipe = Recipe(steps=steps_from_plain(list(steps)), format=format_name)
        if registry.load("formats", format_name)().refuses(recipe.steps, facts, "cpu"):
            continue
        try:
            size = written(recipe, module, context, tmp_path / str(number))
        except Unsupported:
            continue
        off[str(recipe)] = forecast.of(recipe).n_bytes / size - 1
    assert {recipe: error for recipe, error in off.items() if abs(error) > LARGEST_ERROR} == {}
