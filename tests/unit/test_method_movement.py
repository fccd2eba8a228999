"""Movement pruning: scores, schedule, and exactly as many zeros as asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import MODELS, step_context, training_inputs
from torch import Tensor, nn

from autocompress.compressible import CompressibleModel, Inputs, StepContext
from autocompress.encodings import Sparse
from autocompress.methods.magnitude import Magnitude
from autocompress.methods.movement import Movement, _MovingStudent, highest


class Line(nn.Module):
    """One linear layer of one's own, two of whose inputs are large weights that the data never need."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 1, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[2.0, -2.0, 0.5, -0.5, 0.6, -0.6, 0.4, 0.7]]))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"answer": self.layer(x)}


def context_of(module: nn.Module, folder: Path) -> StepContext:
    """The first two inputs are next to nothing."""
    rows = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    rows[:, :2] *= 0.01
    samples: list[Inputs] = [{"x": row[None]} for row in rows]
    return replace(step_context(module, folder), training=lambda: samples)


class TestMovement:
    def test_it_drops_large_weights_that_the_data_never_need_where_magnitude_keeps_them(self, tmp_path: Path) -> None:
        zeros = {}
        for step in (Magnitude(sparsity=0.25), Movement(sparsity=0.25, steps=200, learning_rate=1e-3)):
            module = Line()
            step.apply(CompressibleModel(module), context_of(module, tmp_path))
            zeros[step.tag] = (module.layer.weight == 0).flatten().nonzero().flatten().tolist()
        assert zeros["movement"] == [0, 1]
        assert not {0, 1} & set(zeros["magnitude"])

    def test_the_sparsity_grows_along_a_cubic_curve(self) -> None:
        step = Movement(sparsity=0.8, steps=100)
        expected = [0.8 - 0.8 * (1 - (number - 10) / 60) ** 3 for number in range(10, 71)]
        assert [step.sparsity_at(number) for number in range(10, 71)] == pytest.approx(expected)
        assert {step.sparsity_at(number) for number in range(11)} == {0}
        assert {step.sparsity_at(number) for number in range(70, 101)} == {0.8}

    def test_the_gradient_of_a_score_is_that_of_the_masked_weight_times_the_weight(self) -> None:
        model = CompressibleModel(Line())
        student = _MovingStudent(model, Movement(sparsity=0.5, steps=10))
        with torch.no_grad():
            student.scores["layer.weight"].copy_(torch.arange(8.0)[None])
        masked = student.values(10)["layer.weight"]
        weight = model.module.layer.weight
        assert torch.equal(masked, weight * (torch.arange(8) >= 4))
        slopes = torch.linspace(-1, 1, 8)[None]
        (masked * slopes).sum().backward()
        assert torch.allclose(student.scores["layer.weight"].grad, slopes * weight.detach())
        assert torch.allclose(weight.grad, slopes * (torch.arange(8) >= 4))

    @pytest.mark.parametrize("name", ["bert", "llama", "whisper", "resnet"])
    def test_every_kind_of_model_gets_as_many_zeros_as_asked(self, name: str, tmp_path: Path) -> None:
        module = MODELS[name][0]({})
        context = replace(step_context(module, tmp_path), training=lambda: training_inputs(name, 9))
        model = CompressibleModel(module)
        Movement(sparsity=0.7, steps=10, batch_size=4).apply(model, context)
        pruned = [weight for weight in model.weights() if weight.name in model.encodings]
        assert {weight.name for weight in pruned} == {weight.name for weight in model.in_scope("layers")}
        for weight in pruned:
            encoding = model.encodings[weight.name]
            assert isinstance(encoding, Sparse)
            n_weights = encoding.mask.size
            assert n_weights - encoding.mask.sum() == round(n_weights * 0.7)
            assert np.array_equal(encoding.decode(), weight.matrix.numpy())


class TestHighest:
    @given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.floats(0, 0.99))
    def test_the_highest_scores_are_kept_and_the_first_among_equals(self, scores: list[int], sparsity: float) -> None:
        n_kept = len(scores) - round(len(scores) * sparsity)
        order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
        expected = sorted(order[:n_kept])
        assert highest(torch.tensor(scores).float(), sparsity).nonzero().flatten().tolist() == expected
