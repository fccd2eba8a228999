"""The OpenVINO format: every encoding and every step on small models, and the trained ones, compared with torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from test_onnx_format import CLASSES, doubler, example, facts, size_of, spoken_digits
from test_onnx_format import load as load_trained
from tiny_models import MODELS, output_of, step_context

from autocompress import registry
from autocompress.compressible import CompressibleModel, Inputs, StepContext
from autocompress.formats.base import Runner
from autocompress.formats.openvino import OpenVinoFormat
from autocompress.recipe import steps_from_plain
from autocompress.stage_cache import StageCache, cache_root

pytest.importorskip("openvino")

TASKS = {
    "bert": "text-classification",
    "vit": "image-classification",
    "resnet": "image-classification",
    "wav2vec2": "speech-ctc",
    "llama": "language-modelling",
    "whisper": "speech-seq2seq",
}
WIDER: dict[str, Mapping[str, int]] = {"whisper": {"max_target_positions": 64}}
"""What the exporter's example of a text needs."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(name: str, folder: Path) -> tuple[CompressibleModel, Inputs, StepContext]:
    build, inputs = MODELS[name]
    module = build(WIDER.get(name, {}))
    cache = StageCache(cache_root(), 10**10)
    calibration = lambda: [inputs] * 4  # noqa: E731
    context = dataclasses.replace(
        step_context(module, folder, inputs), task=TASKS[name], cache=cache, calibration=calibration
    )
    return CompressibleModel(module), inputs, context


def exported(model: CompressibleModel, folder: Path, context: StepContext) -> tuple[Runner, str]:
    words = OpenVinoFormat().export(model, folder, context)
    return OpenVinoFormat().load(folder, "cpu", 1), words


def apply(model: CompressibleModel, context: StepContext, *plain: Any) -> None:
    for one in steps_from_plain(plain):
        assert one.refuses(context.facts) is None
        one.apply(model, context)


def step(tag: str, **knobs: Any) -> Any:
    return registry.load("methods", tag)(**knobs)


@pytest.mark.parametrize("name", TASKS)
def test_the_float_export_gives_torchs_outputs(tmp_path: Path, name: str) -> None:
    model, inputs, context = tiny(name, tmp_path)
    runner, words = exported(model, tmp_path / "files", context)
    np.testing.assert_allclose(runner.forward(inputs)["logits"], output_of(model.module, inputs), atol=1e-5)
    assert words == "float32"


CODINGS: dict[str, tuple[Any, ...]] = {
    "int8": ("int8_weight_only",),
    "8 bits": ({"rtn": {"bits": 8, "group_size": 16}},),
    "4 bits": ({"rtn": {"bits": 4, "group_size": 16}},),
    "4 bits, zero points": ({"rtn": {"bits": 4, "group_size": 16, "symmetric": False}},),
    "3 bits": ({"rtn": {"bits": 3, "group_size": 16}},),
    "3 bits, zero points": ({"rtn": {"bits": 3, "group_size": 16, "symmetric": False}},),
    "2 bits": ({"rtn": {"bits": 2, "group_size": 16}},),
    "ragged groups": ({"rtn": {"bits": 4, "group_size": 24}},),
    "16 centroids": ({"kmeans": {"n_centroids": 16}},),
    "32 centroids": ({"kmeans": {"n_centroids": 32}},),
    "zeros": ({"magnitude": {"sparsity": 0.6}},),
    "zeros, centroids": ({"magnitude": {"sparsity": 0.6}}, {"kmeans": {"n_centroids": 16}}),
    "zeros, integers": ({"magnitude": {"sparsity": 0.6}}, {"rtn": {"bits": 4, "group_size": 16}}),
    "centroids in half": ({"kmeans": {"n_centroids": 16}}, "fp16"),
    "integers in half": ({"rtn": {"bits": 4, "group_size": 16}}, "fp16"),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("coding", CODINGS)
def test_an_encoded_model_computes_what_its_decoded_weights_compute(tmp_path: Path, name: str, coding: str) -> None:
    model, inputs, context = tiny(name, tmp_path)
    apply(model, context, *CODINGS[coding])
    runner, words = exported(model, tmp_path / "files", context)
    expected = output_of(model.module.float(), inputs)
    # Half precision rounds the biases and norms too.
    tolerance = 2e-3 if "half" in coding else 2e-5
    np.testing.assert_allclose(
        runner.forward(inputs)["logits"], expected, atol=tolerance * max(1, np.abs(expected).max())
    )
    packed = sum(encoding.packed_bytes for encoding in model.encodings.values())
    dense = 4 * sum(p.numel() for key, p in model.module.named_parameters() if key not in model.encodings)
    weights = sum(file.stat().st_size for file in (tmp_path / "files").iterdir() if file.suffix != ".xml")
    assert 0.5 * packed <= weights <= packed + dense + 20_000
    assert any(word in words for word in ("unpacking at load", "float activations"))


@pytest.mark.parametrize("steps", [(), ("int8_static",), ({"magnitude": {}}, {"rtn": {"group_size": 16}}), ("fp16",)])
def test_equal_models_give_equal_bytes(tmp_path: Path, steps: tuple[Any, ...]) -> None:
    for folder in ("first", "second"):
        model, _, context = tiny("bert", tmp_path)
        apply(model, context, *steps)
        exported(model, tmp_path / folder, context)
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes(), file.name
