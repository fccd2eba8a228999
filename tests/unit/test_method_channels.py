"""Dropping channels equals cutting everything that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_models import MODELS, bert, compressed, output_of, resnet, step_context
from torch import nn

from autocompress.compressible import CompressibleModel, Inputs
from autocompress.errors import Unsupported
from autocompress.methods.channels import Channels
from autocompress.methods.low_rank import LowRank
from autocompress.model_state import facts_of, restore_state, save_state

PIXELS = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)


def pruned(module: nn.Module, folder: Path, inputs: Inputs, calls: Any = (), **knobs: Any) -> CompressibleModel:
    context = step_context(module, folder, example=inputs)
    object.__setattr__(context, "training", lambda: list(calls))
    model = CompressibleModel(module)
    Channels(**knobs).apply(model, context)
    return model


def chain() -> nn.Module:
    """Two convolutions with a norm, and a linear layer on the flattened result."""

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, stride=2)
            self.norm = nn.BatchNorm2d(8)
            self.deep = nn.Conv2d(8, 8, 3, groups=8)
            self.second = nn.Conv2d(8, 12, 3)
            self.head = nn.Linear(12 * 4, 5)

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            hidden = self.deep(self.norm(self.first(image)).relu()).relu()
            return {"logits": self.head(self.second(hidden).relu().flatten(1))}

    torch.manual_seed(0)
    module = Chain().eval()
    module.norm.running_mean.uniform_(-0.1, 0.1)
    module.norm.running_var.uniform_(0.5, 2)
    return module


def padded() -> nn.Module:
    """A residual block whose shortcut pads its channels with zeros, as in ResNet-20."""

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, padding=1)
            self.inner = nn.Conv2d(8, 16, 3, padding=1)
            self.outer = nn.Conv2d(16, 16, 3, padding=1)
            self.head = nn.Linear(16, 4)

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            stem = self.stem(image).relu()
            shortcut = nn.functional.pad(stem, (0, 0, 0, 0, 4, 4))
            return {"logits": self.head((self.outer(self.inner(stem).relu()) + shortcut).relu().mean((2, 3)))}

    torch.manual_seed(0)
    return Padded().eval()


def test_a_chain_computes_what_it_did_with_the_dropped_channels_cut_off(tmp_path: Path) -> None:
    image = PIXELS[:, :, :13, :13]
    inputs = {"image": image}
    original, module = chain(), chain()
    pruned(module, tmp_path, inputs, keep=0.5)
    kept = [
        [row for row in range(len(old.weight)) if any(torch.equal(old.bias[row], b) for b in new.bias)]
        for old, new in ((original.first, module.first), (original.second, module.second))
    ]
    assert [len(rows) for rows in kept] == [4, 8]  # a half of 12, in multiples of 4
    assert module.deep.groups == 4
    with torch.no_grad():
        gone = [row for row in range(8) if row not in kept[0]]
        original.second.weight[:, gone] = 0
        for row in set(range(12)) - set(kept[1]):
            original.head.weight[:, row * 4 : row * 4 + 4] = 0
    np.testing.assert_allclose(output_of(module, inputs), output_of(original, inputs), atol=1e-5)


def test_the_strongest_channels_by_their_norm_stay(tmp_path: Path) -> None:
    module = padded()
    into, out = (layer.weight.detach().double().numpy() for layer in (module.inner, module.outer))
    strength = (into**2).sum((1, 2, 3)) + (out**2).sum((0, 2, 3))
    kept = sorted(np.argsort(-strength)[:8])
    pruned(module, tmp_path, {"image": PIXELS}, keep=0.5)
    np.testing.assert_array_equal(module.inner.weight.detach().numpy(), into[kept].astype(np.float32))
    np.testing.assert_array_equal(module.outer.weight.detach().numpy(), out[:, kept].astype(np.float32))


def test_channels_behind_a_padded_shortcut_stay_whole(tmp_path: Path) -> None:
    module = padded()
    pruned(module, tmp_path, {"image": PIXELS}, keep=0.5)
    assert module.stem.out_channels == 8
    assert (module.inner.out_channels, module.outer.in_channels, module.outer.out_channels) == (8, 8, 16)
    assert output_of(module, {"image": PIXELS}).shape == (2, 4)


def test_taylor_drops_channels_that_the_loss_does_not_depend_on(tmp_path: Path) -> None:
    module = resnet()
    first, second = (layer.convolution for layer in module.resnet.encoder.stages[1].layers[0].layer)
    with torch.no_grad():
        second.weight[:, ::2] = 0
        first.weight[::2] *= 100  # large, but of no use
    images = np.random.default_rng(1).normal(size=(20, 1, 3, 16, 16)).astype(np.float32)
    calls = [{"pixel_values": image, "labels": np.array([index % 2])} for index, image in enumerate(images)]
    pruned(module, tmp_path, {"pixel_values": PIXELS}, calls, keep=0.5, importance="taylor", multiple=1)
    assert first.out_channels == 8
    assert float(first.weight.abs().max()) < 10


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_a_resnet_comes_back_from_the_stage_cache_and_from_its_files(importance: str, tmp_path: Path) -> None:
    import autocompress
    from autocompress.formats.pytorch.files import write_files

    calls = [{"pixel_values": PIXELS[:1], "labels": np.array([1])}]
    inputs = MODELS["resnet"][1]
    model = pruned(resnet(), tmp_path, inputs, calls, keep=0.5, importance=importance)
    save_state(model, tmp_path)
    again = restore_state(tmp_path, resnet)
    np.testing.assert_allclose(output_of(again.module, inputs), output_of(model.module, inputs), atol=1e-6)
    folder = tmp_path / "out"
    folder.mkdir()
    write_files(model, folder, "image-classification")
    np.testing.assert_allclose(
        output_of(autocompress.load(folder, threads=1), inputs), output_of(model.module, inputs), atol=1e-6
    )


def test_a_task_files_resnet_comes_back_with_its_manifest(assets: Path, tmp_path: Path) -> None:
    from autocompress import registry
    from autocompress.spec import ModelSpec

    file = Path(__file__).parents[2] / "docs/examples/cifar10_resnet20.py"
    spec = ModelSpec(path=str(assets / "models/cifar10-resnet20"), task_file=str(file))
    task = registry.load("tasks", "own")()
    inputs = {"x": np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)}
    module = task.load_model(spec)
    model = pruned(module, tmp_path, inputs, keep=0.5)
    assert sum(p.numel() for p in module.parameters()) < 0.55 * 269_722
    save_state(model, tmp_path)
    again = restore_state(tmp_path, lambda overrides: task.rebuild(spec, overrides))
    np.testing.assert_allclose(output_of(again.module, inputs), output_of(module, inputs), atol=1e-5)


@pytest.mark.parametrize(
    ("step", "facts", "reason"),
    [
        (Channels(), facts_of(bert(), "any"), "not mostly convolutions"),
        (Channels(multiple=256), facts_of(resnet(), "any"), "drops none"),
    ],
)
def test_models_without_channels_to_spare_are_refused(step: Channels, facts: Any, reason: str) -> None:
    assert reason in str(step.refuses(facts))


def test_channels_need_a_call_to_follow_and_come_before_low_rank(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no data"):
        compressed(resnet(), tmp_path, "channels")
    assert "before low_rank" in str(Channels().refuses_after([LowRank()], facts_of(resnet(), "any")))


def test_bottlenecks_keep_their_inputs_and_outputs(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[2, 2], layer_type="bottleneck")
    torch.manual_seed(0)
    module = transformers.ResNetForImageClassification(config).eval()
    inputs = {"pixel_values": PIXELS}
    pruned(module, tmp_path, inputs, keep=0.5)
    assert output_of(module, inputs).shape == (2, 2)
    assert module.resnet.embedder.embedder.convolution.in_channels == 3
