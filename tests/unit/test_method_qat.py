"""Quantization-aware training: trained weights that stand on the grid, and lose less there than rounded ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import MODELS, bert, step_context, training_inputs
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from autocompress.compressible import CompressibleModel, Inputs, StepContext
from autocompress.encodings import Codebook, GroupedIntegers, SparseIntegers
from autocompress.methods.distilling import straight_through
from autocompress.methods.kmeans import KMeans
from autocompress.methods.magnitude import Magnitude
from autocompress.methods.qat import QuantizationAwareTraining, round_per_sample
from autocompress.methods.rtn import RoundToNearest

N_INPUTS, N_CLASSES = 16, 4


class Classifier(nn.Module):
    """A small network of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(N_INPUTS, 32)
        self.outer = nn.Linear(32, N_CLASSES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.outer(torch.relu(self.inner(x)))}


def points(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points whose class is the number of positive values among three products of neighbours."""
    x = torch.randn(n, N_INPUTS, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, :6:2] * x[:, 1:6:2] > 0).sum(dim=1)


@pytest.fixture(scope="module")
def trained() -> Classifier:
    torch.manual_seed(0)
    module = Classifier()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    x, y = points(2000, seed=0)
    for _ in range(300):
        optimizer.zero_grad()
        cross_entropy(module(x)["logits"], y).backward()
        optimizer.step()
    return module.eval()


def copy_of(module: Classifier) -> Classifier:
    copied = Classifier()
    copied.load_state_dict(module.state_dict())
    return copied.eval()


def context_of(module: nn.Module, folder: Path) -> StepContext:
    samples: list[Inputs] = [{"x": row[None]} for row in points(2000, seed=0)[0].numpy()]
    return replace(step_context(module, folder), training=lambda: samples)


def loss_on_unseen(module: nn.Module) -> float:
    x, y = points(4000, seed=1)
    with torch.no_grad():
        return float(cross_entropy(module(x)["logits"], y))


class TestQuantizationAwareTraining:
    @pytest.mark.parametrize(("bits", "symmetric"), [(3, True), (2, False)])
    def test_it_loses_less_than_half_of_what_rounding_loses(
        self, trained: Classifier, tmp_path: Path, bits: int, symmetric: bool
    ) -> None:
        losses = {}
        for kind, knobs in ((RoundToNearest, {}), (QuantizationAwareTraining, {"steps": 300, "learning_rate": 3e-3})):
            module = copy_of(trained)
            step = kind(bits=bits, group_size=16, symmetric=symmetric, **knobs)
            step.apply(CompressibleModel(module), context_of(trained, tmp_path))
            losses[step.tag] = loss_on_unseen(module) - loss_on_unseen(trained)
        assert losses["qat"] < losses["rtn"] / 2

    def test_what_is_stored_is_what_the_module_computes_with(self, trained: Classifier, tmp_path: Path) -> None:
        model = CompressibleModel(copy_of(trained))
        QuantizationAwareTraining(bits=4, group_size=16, steps=5).apply(model, context_of(trained, tmp_path))
        assert set(model.encodings) == {"inner.weight", "outer.weight"}
        for weight in model.weights():
            encoding = model.encodings[weight.name]
            assert isinstance(encoding, GroupedIntegers)
            assert encoding.bits == 4
            assert np.array_equal(encoding.decode(), weight.matrix.numpy())

    def test_biases_are_trained_too(self, trained: Classifier, tmp_path: Path) -> None:
        module = copy_of(trained)
        step = QuantizationAwareTraining(bits=2, group_size=16, steps=100, learning_rate=1e-3)
        step.apply(CompressibleModel(module), context_of(trained, tmp_path))
        assert not torch.equal(module.inner.bias, trained.inner.bias)

    def test_pruned_weights_stay_zero(self, trained: Classifier, tmp_path: Path) -> None:
        model, context = CompressibleModel(copy_of(trained)), context_of(trained, tmp_path)
        Magnitude(sparsity=0.6).apply(model, context)
        pruned = {weight.name: weight.matrix == 0 for weight in model.weights()}
        QuantizationAwareTraining(group_size=16, steps=20, symmetric=False, learning_rate=1e-3).apply(model, context)
        for weight in model.weights():
            assert isinstance(model.encodings[weight.name], SparseIntegers)
            assert not weight.matrix[pruned[weight.name]].any()

    def test_what_is_clustered_stays_as_it_is(self, tmp_path: Path) -> None:
        module = bert()
        model, context = CompressibleModel(module), step_context(module, tmp_path)
        KMeans(scope="attention").apply(model, context)
        before = {name: encoding.decode() for name, encoding in model.encodings.items()}
        QuantizationAwareTraining(group_size=32, steps=3, learning_rate=1e-2).apply(model, context)
        for weight in model.weights():
            coded = isinstance(model.encodings.get(weight.name), Codebook)
            assert coded == (weight.name in before)
            if coded:
                assert np.array_equal(weight.matrix.numpy(), before[weight.name])

    @pytest.mark.parametrize("name", MODELS)
    def test_it_trains_every_kind_of_model(self, name: str, tmp_path: Path) -> None:
        module = MODELS[name][0]({})
        model = CompressibleModel(module)
        context = replace(step_context(module, tmp_path), training=lambda: training_inputs(name, 9))
        QuantizationAwareTraining(group_size=16, steps=2, batch_size=4, activations=True).apply(model, context)
        assert all(weight.name in model.encodings for weight in model.weights() if weight.fact.in_features >= 16)

    def test_embeddings_move_only_when_asked(self, tmp_path: Path) -> None:
        rounded = CompressibleModel(bert())
        RoundToNearest(group_size=32).apply(rounded, step_context(rounded.module, tmp_path))
        expected = rounded.module.bert.embeddings.word_embeddings.weight
        for asked in (False, True):
            module = bert()
            context = replace(step_context(module, tmp_path), training=lambda: training_inputs("bert", 9))
            step = QuantizationAwareTraining(group_size=32, steps=3, train_embeddings=asked, learning_rate=1e-2)
            step.apply(CompressibleModel(module), context)
            assert torch.equal(module.bert.embeddings.word_embeddings.weight, expected) != asked


class TestRounding:
    def test_the_gradient_goes_through_as_it_is_and_the_values_are_exact(self) -> None:
        parameter = torch.randn(5, requires_grad=True)
        values = torch.randn(5)
        through = straight_through(parameter, values)
        assert torch.equal(through, values)
        (through * torch.arange(5)).sum().backward()
        assert torch.equal(parameter.grad, torch.arange(5.0))

    def test_inputs_are_rounded_to_256_values_over_each_samples_range(self) -> None:
        inputs = np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32)
        inputs[1] *= 100
        inputs[2] = np.abs(inputs[2])
        found = round_per_sample(torch.from_numpy(inputs)).numpy()
        for sample, rounded in zip(inputs, found, strict=True):
            low, high = min(sample.min(), 0), max(sample.max(), 0)
            scale = (high - low) / 255
            zero = np.rint(-low / scale)
            expected = (np.clip(np.rint(sample / scale) + zero, 0, 255) - zero) * scale
            assert np.allclose(rounded, expected, atol=scale / 1000)
            assert np.abs(rounded - sample).max() <= scale * 0.51 + scale / 2
        assert not round_per_sample(torch.zeros(2, 3)).any()
