"""Models of changed structure in ONNX Runtime: the trained ones, against torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_onnx_format import CLASSES, _one_thread, context_for, example, exported, load, size_of, spoken_digits, step
from test_onnx_format import torch_logits as logits_of

__all__ = ["_one_thread"]

EVEN = step("layers", keep=0.5, strategy="even")
PLAIN = step("low_rank", keep=0.5, activation_aware=False)


@pytest.mark.parametrize(
    ("name", "steps", "largest_ratio"),
    [
        ("minilm-sst2", [step("heads", keep=0.5), PLAIN], 0.75),
        ("fashion-vit-small", [EVEN, step("heads", keep=0.67)], 0.5),
        ("fashion-resnet", [step("channels", keep=0.5)], 0.27),
        ("fsdd-wav2vec2-ctc", [step("heads", keep=0.34), EVEN, PLAIN], 0.4),
        ("books-llama-small", [step("heads", keep=0.5), EVEN], 0.7),
        ("books-llama-small", [PLAIN, step("rtn", bits=3, group_size=32)], 0.1),
    ],
)
def test_onnx_computes_what_torch_does(
    assets: Path, tmp_path: Path, name: str, steps: list[Any], largest_ratio: float
) -> None:
    model = load(assets, name)
    inputs = example(name, model.module)
    context = context_for(CLASSES[name][1], inputs)
    for one in steps:
        one.apply(model, context)
    runner, _ = exported(model, tmp_path, context)
    expected = logits_of(model.module, inputs)
    np.testing.assert_allclose(runner.forward(inputs)["logits"], expected, atol=5e-5 * np.abs(expected).max())
    assert size_of(tmp_path) <= largest_ratio * (assets / "models" / name / "model.safetensors").stat().st_size


def test_a_shallower_whisper_of_low_rank_says_the_same_tokens_as_generate(assets: Path, tmp_path: Path) -> None:
    name = "fsdd-whisper-small"
    model = load(assets, name)
    context = context_for(CLASSES[name][1], example(name, model.module))
    for one in (EVEN, PLAIN):
        one.apply(model, context)
    runner, _ = exported(model, tmp_path, context)
    for features in spoken_digits(assets, 5):
        expected = model.module.generate(torch.from_numpy(features)).numpy()
        np.testing.assert_array_equal(runner.generate({"input_features": features}, 31), expected)
