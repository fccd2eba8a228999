"""Distillation on every kind of model: the student comes nearer, and what was pruned stays pruned."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import MODELS, bert, step_context, training_inputs
from torch import Tensor, nn

from autocompress.batches import as_tensors
from autocompress.compressible import CompressibleModel, Inputs, StepContext
from autocompress.encodings import Sparse
from autocompress.errors import Unsupported
from autocompress.methods.distil import Distil
from autocompress.methods.magnitude import Magnitude
from autocompress.training import loop
from autocompress.training.distillation import Distillation, LossWeights
from autocompress.training.losses import soft_targets


def divergence(student: nn.Module, teacher: nn.Module, samples: list[Inputs]) -> float:
    """Mean over the samples of how far the student's classes are from the teacher's, in nats."""
    found = []
    for sample in samples:
        inputs = as_tensors({name: array for name, array in sample.items() if name != "labels"}, "cpu")
        with torch.no_grad():
            found.append(float(soft_targets(student(**inputs).logits, teacher(**inputs).logits, 1.0)))
    return float(np.mean(found))


def of_one_layer(module: nn.Module) -> nn.Module:
    module.bert.encoder.layer = module.bert.encoder.layer[:1]
    return module


def sharp_bert() -> nn.Module:
    """A BERT whose classes differ from text to text, which random heads hardly do."""
    module = bert()
    with torch.no_grad():
        for weight in CompressibleModel(module).weights():
            weight.parameter.mul_(5)
    return module


def context_of(teacher: nn.Module, folder: Path) -> StepContext:
    return step_context(teacher, folder)


def unjudged(context: StepContext, name: str = "bert") -> StepContext:
    """With too few samples for some to judge: the last weights are kept."""
    return replace(context, training=lambda: training_inputs(name, 9))


class TestDistil:
    def test_a_student_of_fewer_layers_comes_nearer_on_samples_it_has_not_seen(self, tmp_path: Path) -> None:
        teacher = sharp_bert()
        student = of_one_layer(sharp_bert())
        unseen = training_inputs("bert", 300)[200:]
        context = replace(context_of(teacher, tmp_path), training=lambda: training_inputs("bert", 300)[:200])
        before = divergence(student, teacher, unseen)
        Distil(steps=60, learning_rate=1e-3, alpha=0).apply(CompressibleModel(student), context)
        assert divergence(student, teacher, unseen) < before / 2

    @pytest.mark.parametrize("name", MODELS)
    def test_it_trains_every_kind_of_model_and_leaves_its_settings_alone(self, name: str, tmp_path: Path) -> None:
        module = MODELS[name][0]({})
        settings, before = module.config.to_dict(), copy.deepcopy(module.state_dict())
        flags = [parameter.requires_grad for parameter in module.parameters()]
        step = Distil(steps=3, attention=1.0, batch_size=4)
        step.apply(CompressibleModel(module), unjudged(context_of(MODELS[name][0]({}), tmp_path), name))
        assert module.config.to_dict() == settings
        assert [parameter.requires_grad for parameter in module.parameters()] == flags
        assert all(parameter.grad is None for parameter in module.parameters())
        after = module.state_dict()
        assert not all(torch.equal(before[key], after[key]) for key in before)
        embeddings = {weight.name for weight in CompressibleModel(module).weights("embedding")}
        assert all(torch.equal(before[key], after[key]) for key in embeddings)

    def test_embeddings_are_trained_when_asked(self, tmp_path: Path) -> None:
        module = bert()
        before = module.bert.embeddings.word_embeddings.weight.detach().clone()
        Distil(steps=3, train_embeddings=True).apply(
            CompressibleModel(of_one_layer(module)), context_of(bert(), tmp_path)
        )
        assert not torch.equal(module.bert.embeddings.word_embeddings.weight, before)

    def test_what_was_pruned_stays_zero_and_is_stored_anew(self, tmp_path: Path) -> None:
        model, context = CompressibleModel(bert()), unjudged(context_of(bert(), tmp_path))
        Magnitude(sparsity=0.5).apply(model, context)
        before = dict(model.encodings)
        Distil(steps=4, learning_rate=1e-3).apply(model, context)
        assert model.encodings.keys() == before.keys()
        for weight in model.weights():
            encoding = model.encodings.get(weight.name)
            if encoding is not None:
                assert isinstance(encoding, Sparse)
                assert np.array_equal(encoding.mask, before[weight.name].mask)
                assert np.array_equal(encoding.decode(), weight.matrix.numpy())
                assert not np.array_equal(encoding.decode(), before[weight.name].decode())
                assert not weight.matrix.numpy()[~encoding.mask].any()

    def test_a_student_of_another_width_learns_through_a_projection(self, tmp_path: Path) -> None:
        student = bert({"hidden_size": 32, "num_hidden_layers": 1})
        context = context_of(bert(), tmp_path)
        context = replace(context, teacher=bert)
        example = as_tensors(training_inputs("bert", 1)[0], "cpu")
        loss = Distillation(student, bert(), LossWeights(features=1.0), example)
        assert [tuple(matrix.shape) for matrix in loss.projections.values()] == [(64, 32)]
        Distil(steps=3).apply(CompressibleModel(student), context)

    def test_an_interrupted_distillation_gives_the_same_model(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
        step = Distil(steps=6, learning_rate=1e-3)

        def stop(done: int, total: int) -> None:
            if done == 4:
                raise KeyboardInterrupt

        undisturbed, disturbed = of_one_layer(bert()), of_one_layer(bert())
        step.apply(CompressibleModel(undisturbed), context_of(bert(), tmp_path / "one"))
        context = context_of(bert(), tmp_path / "two")
        with pytest.raises(KeyboardInterrupt):
            step.apply(CompressibleModel(disturbed), replace(context, progress=stop))
        resumed = of_one_layer(bert())
        step.apply(CompressibleModel(resumed), context)
        expected = undisturbed.state_dict()
        assert all(torch.equal(expected[name], tensor) for name, tensor in resumed.state_dict().items())

    def test_alone_it_is_refused(self) -> None:
        facts = context_of(bert(), Path()).facts
        assert "nothing to recover" in str(Distil().refuses_after([], facts))
        assert Distil().refuses_after([Magnitude()], facts) is None

    def test_without_training_rows_it_says_so(self, tmp_path: Path) -> None:
        context = replace(context_of(bert(), tmp_path), training=list)
        with pytest.raises(Unsupported, match="nothing to train on"):
            Distil().apply(CompressibleModel(bert()), context)


class TwoAnswers(nn.Module):
    """A module of one's own, with outputs by name and no labels."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 8)
        self.outer = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        inner = torch.tanh(self.inner(x))
        return {"inner": inner, "answer": self.outer(inner), "best": self.outer(inner).argmax(-1)}


class TestModulesOfOnesOwn:
    def test_all_float_outputs_are_learned(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        teacher, student = TwoAnswers(), TwoAnswers()
        samples = [{"x": row[None]} for row in np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)]
        context = replace(step_context(teacher, tmp_path), training=lambda: samples)
        x = torch.randn(50, 4)

        def errors() -> list[float]:
            with torch.no_grad():
                return [float((student(x)[name] - teacher(x)[name]).square().mean()) for name in ("inner", "answer")]

        before = errors()
        Distil(steps=150, learning_rate=1e-2).apply(CompressibleModel(student), context)
        assert all(after < first / 2 for after, first in zip(errors(), before, strict=True))


class TestLoss:
    def test_labels_count_by_alpha_and_inner_states_by_their_weights(self) -> None:
        student, teacher = bert(), sharp_bert()
        inputs = as_tensors(training_inputs("bert", 1)[0], "cpu")

        def loss(**weights: float) -> float:
            with torch.no_grad():
                return float(Distillation(student, teacher, LossWeights(**weights), inputs)(inputs, {}))

        with torch.no_grad():
            labelled = float(student(**inputs).loss)
        soft = loss()
        assert loss(alpha=1.0) == pytest.approx(labelled, rel=1e-5)
        assert loss(alpha=0.25) == pytest.approx(0.25 * labelled + 0.75 * soft, rel=1e-5)
        of_layer = of_one_layer(sharp_bert())
        assert Distillation(of_layer, teacher, LossWeights(features=1.0), inputs).hidden[0].teacher == 2
        with torch.no_grad():
            student_state = of_layer(**inputs, output_hidden_states=True).hidden_states[1]
            teacher_state = teacher(**inputs, output_hidden_states=True).hidden_states[2]
            relative = (student_state - teacher_state).square().sum() / teacher_state.square().sum()
            plain, hinted = (
                float(Distillation(of_layer, teacher, LossWeights(features=weight), inputs)(inputs, {}))
                for weight in (0.0, 3.0)
            )
        assert hinted - plain == pytest.approx(3 * float(relative), rel=1e-4)
