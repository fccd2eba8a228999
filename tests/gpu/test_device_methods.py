"""Methods give the same on the device as on the CPU, and what was written runs alike on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import MODELS, step_context

from autocompress import registry
from autocompress.compressible import CompressibleModel
from autocompress.formats.pytorch import PyTorchFormat
from autocompress.model_state import restore_state, save_state
from autocompress.recipe import steps_from_plain

TRAINED = {"steps": 4, "batch_size": 8}
CHAINS: list[list[Any]] = [
    [],
    ["magnitude"],
    [{"magnitude": {"granularity": "global", "sparsity": 0.5}}],
    [{"magnitude": {"pattern": "2:4"}}, {"rtn": {"group_size": 16}}],
    ["wanda"],
    ["sparsegpt"],
    [{"sparsegpt": {"pattern": "4:8"}}],
    [{"movement": {**TRAINED, "steps": 10}}],
    ["layers"],
    ["heads"],
    [{"heads": {"importance": "taylor"}}],
    ["ffn_width"],
    [{"channels": {"keep": 0.5}}],
    [{"channels": {"keep": 0.5, "importance": "taylor"}}],
    [{"low_rank": {"keep": 0.5}}],
    [{"low_rank": {"keep": 0.5, "activation_aware": False}}],
    ["ffn_width", {"distil": {**TRAINED, "attention": 1.0}}],
    [{"magnitude": {"sparsity": 0.5}}, {"distil": {**TRAINED, "train_embeddings": True}}],
    ["kmeans"],
    [{"kmeans_tuned": {**TRAINED, "n_centroids": 8}}],
    [{"magnitude": {"sparsity": 0.5}}, {"kmeans": {"n_centroids": 8}}],
    [{"kmeans": {"n_centroids": 32}}, "fp16"],
    [{"rtn": {"group_size": 16}}],
    [{"rtn": {"group_size": 16, "bits": 3, "symmetric": False}}],
    [{"gptq": {"group_size": 16}}],
    [{"magnitude": {"sparsity": 0.5}}, {"gptq": {"group_size": 16, "bits": 3, "symmetric": False}}],
    [{"gptq": {"group_size": 16, "effective_bits": 4.5}}],
    [{"awq": {"group_size": 16}}],
    [{"awq": {"group_size": 16, "symmetric": False, "fold_scales": True}}],
    [{"qat": {**TRAINED, "group_size": 16}}],
    [{"qat": {**TRAINED, "group_size": 16, "activations": True}}],
    ["int8_weight_only"],
    ["int8_dynamic"],
    ["int8_static"],
    ["fp16"],
    ["bf16"],
]
RUN_BY_PYTORCH = [chain for chain in CHAINS if not {"int8_dynamic", "int8_static"} & set(map(str, chain))]
TOLERANCE = {"float32": 5e-3, "float16": 2e-2, "bfloat16": 6e-2}
"""Convolutions on a GPU compute in TF32, of ten bits, unless told otherwise."""


def after(name: str, chain: list[Any], folder: Path, device: str) -> CompressibleModel:
    """A tiny model after these steps, on the device."""
    module = MODELS[name][0]({}).to(device)
    context = step_context(module, folder / f"made on {device}", device=device, calibration=[MODELS[name][1]])
    model = CompressibleModel(module)
    for step in steps_from_plain(chain):
        if reason := step.refuses(context.facts):
            pytest.skip(reason)
        step.apply(model, context)
    return model


def test_every_method_is_tried_here() -> None:
    tried = {step.tag for chain in CHAINS for step in steps_from_plain(chain)}
    assert tried == set(registry.names("methods"))


@pytest.mark.parametrize("chain", CHAINS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_method_gives_the_same_on_every_device(name: str, chain: list[Any], device: str, tmp_path: Path) -> None:
    expected, found = after(name, chain, tmp_path, "cpu"), after(name, chain, tmp_path, device)
    assert {parameter.device.type for parameter in found.module.parameters()} == {device}
    assert found.encodings.keys() == expected.encodings.keys()
    steps = steps_from_plain(chain)
    if not any(getattr(step, "effective_bits", None) for step in steps):
        for weight, encoding in expected.encodings.items():
            assert found.encodings[weight].header() == encoding.header()
    if any(step.needs_calibration or step.needs_training or step.reads_training for step in steps):
        return  # the last digits of a device's sums may decide which weights it keeps
    for weight, encoding in expected.encodings.items():
        np.testing.assert_allclose(found.encodings[weight].decode(), encoding.decode(), atol=1e-6, err_msg=weight)
    values = found.module.state_dict()
    for key, tensor in expected.module.state_dict().items():
        assert values[key].dtype == tensor.dtype
        np.testing.assert_allclose(values[key].float().cpu(), tensor.float(), atol=1e-6, err_msg=key)


@pytest.mark.parametrize("chain", RUN_BY_PYTORCH, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_what_the_device_made_runs_on_it_as_on_the_cpu(
    name: str, chain: list[Any], device: str, tmp_path: Path
) -> None:
    model = after(name, chain, tmp_path, device)
    out = tmp_path / "out"
    out.mkdir()
    PyTorchFormat().export(model, out, step_context(model.module, tmp_path, device=device))
    inputs = MODELS[name][1]
    expected = PyTorchFormat().load(out, "cpu", 1).forward(inputs)
    runner = PyTorchFormat().load(out, device, 1)
    found = runner.forward(inputs)
    runner.synchronize()
    runner.close()
    assert found.keys() == expected.keys()
    for output, values in expected.items():
        assert found[output].dtype == values.dtype
        np.testing.assert_allclose(found[output], values, atol=TOLERANCE[model.precision], err_msg=output)


@pytest.mark.parametrize("steps", [[], ["fp16"], ["bf16"]], ids=str)
def test_a_language_model_goes_on_alike_on_every_device(steps: list[str], device: str, tmp_path: Path) -> None:
    model = after("llama", steps, tmp_path, device)
    (tmp_path / "out").mkdir()
    PyTorchFormat().export(model, tmp_path / "out", step_context(model.module, tmp_path, device=device))
    inputs = MODELS["llama"][1]
    prompt = inputs["input_ids"]
    tokens = PyTorchFormat().load(tmp_path / "out", device, 1).generate(inputs, 6, 6)
    assert tokens.shape == (1, prompt.shape[1] + 6)
    np.testing.assert_array_equal(tokens[:, : prompt.shape[1]], prompt)
    if not steps:  # half precision rounds otherwise on every device
        expected = PyTorchFormat().load(tmp_path / "out", "cpu", 1).generate(inputs, 6, 6)
        np.testing.assert_array_equal(tokens, expected)


def test_a_cached_state_that_was_made_on_the_device_is_the_same_on_the_cpu(device: str, tmp_path: Path) -> None:
    model = after("bert", ["kmeans"], tmp_path, device)
    (tmp_path / "state").mkdir()
    save_state(model, tmp_path / "state")
    restored = restore_state(tmp_path / "state", MODELS["bert"][0])
    for key, tensor in model.module.state_dict().items():
        assert torch.equal(restored.module.state_dict()[key], tensor.cpu()), key
