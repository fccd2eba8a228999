"""Trained centroids: the gradients of all their weights move them, and nothing else of what is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import bert, step_context, training_inputs
from torch import Tensor, nn

from autocompress.compressible import CompressibleModel, Inputs
from autocompress.encodings import Codebook, Sparse
from autocompress.methods.centroid_lookup import looked_up
from autocompress.recipe import steps_from_plain

N_INPUTS, N_CLASSES = 16, 4
INNER = "inner.weight"
WORDS = "bert.embeddings.word_embeddings.weight"


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(N_INPUTS, 64)
        self.outer = nn.Linear(64, N_CLASSES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": 5 * self.outer(torch.relu(self.inner(x)))}


def points(n: int, seed: int) -> Tensor:
    return torch.randn(n, N_INPUTS, generator=torch.Generator().manual_seed(seed))


def compressed(module: nn.Module, folder: Path, *steps: Any) -> CompressibleModel:
    context = step_context(module, folder)
    if isinstance(module, Classifier):
        samples: list[Inputs] = [{"x": row[None]} for row in points(600, seed=0).numpy()]
        context = replace(context, training=lambda: samples)
    else:  # too few to judge by: what was trained last is kept
        context = replace(context, training=lambda: training_inputs("bert", 8))
    model = CompressibleModel(module.eval())
    for step in steps_from_plain(steps):
        step.apply(model, context)
    return model


def tuned(**knobs: Any) -> dict[str, Any]:
    return {"kmeans_tuned": {"n_centroids": 4, "steps": 20, "learning_rate": 1e-2, **knobs}}


def plain(**knobs: Any) -> dict[str, Any]:
    return {"kmeans": {"n_centroids": 4, **knobs}}


def error_on_unseen(module: nn.Module) -> float:
    with torch.no_grad():
        x = points(1000, seed=1)
        return float((module(x)["logits"] - Classifier()(x)["logits"]).square().mean())


def book_of(model: CompressibleModel, name: str) -> Codebook:
    encoding = model.encodings[name]
    book = encoding.values if isinstance(encoding, Sparse) else encoding
    assert isinstance(book, Codebook)
    return book


def test_a_centroids_gradient_is_the_sum_of_those_of_its_weights() -> None:
    indices = torch.randint(0, 5, (7, 3), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    factors = torch.randn(7, 3)
    centroids = torch.randn(5, requires_grad=True)
    values = looked_up(centroids, indices)
    assert torch.equal(values, centroids[indices.long()])
    (values * factors).sum().backward()
    expected = [float(factors[indices == index].sum()) for index in range(5)]
    assert centroids.grad is not None
    np.testing.assert_allclose(centroids.grad.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("knobs", [{}, {"granularity": "group", "rows_per_group": 16}, {"codebook_bits": 8}], ids=str)
def test_training_brings_the_outputs_nearer_to_the_originals(knobs: dict, tmp_path: Path) -> None:
    before = compressed(Classifier(), tmp_path, plain(**knobs))
    after = compressed(Classifier(), tmp_path, tuned(**knobs, steps=150))
    assert error_on_unseen(after.module) < 0.9 * error_on_unseen(before.module)
    assert np.array_equal(book_of(after, INNER).indices, book_of(before, INNER).indices)
    assert book_of(after, INNER).packed_bytes == book_of(before, INNER).packed_bytes


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_the_module_holds_what_the_stored_centroids_decode_to(bits: int, tmp_path: Path) -> None:
    model = compressed(Classifier(), tmp_path, tuned(codebook_bits=bits))
    book = book_of(model, INNER)
    assert book.centroids.dtype == {8: np.int8, 16: np.float16, 32: np.float32}[bits]
    assert np.array_equal(model.module.inner.weight.detach().numpy(), book.decode())


def test_pruned_weights_stay_zero_and_the_kept_ones_share_trained_centroids(tmp_path: Path) -> None:
    steps = {"magnitude": {"sparsity": 0.5}}
    before = compressed(Classifier(), tmp_path, steps, plain())
    after = compressed(Classifier(), tmp_path, steps, tuned())
    mask = after.encodings[INNER].mask
    assert np.array_equal(mask, before.encodings[INNER].mask)
    assert not after.module.inner.weight.detach().numpy()[~mask].any()
    assert not np.array_equal(book_of(after, INNER).centroids, book_of(before, INNER).centroids)


@pytest.mark.parametrize("train_embeddings", [False, True])
def test_centroids_of_embeddings_stand_still_unless_asked_for(train_embeddings: bool, tmp_path: Path) -> None:
    before = compressed(bert(), tmp_path, plain())
    after = compressed(bert(), tmp_path, tuned(steps=3, learning_rate=1e-4, train_embeddings=train_embeddings))
    same = np.array_equal(book_of(after, WORDS).centroids, book_of(before, WORDS).centroids)
    assert same is not train_embeddings


def test_weights_out_of_scope_are_trained_as_they_are(tmp_path: Path) -> None:
    module = bert()
    outside = module.bert.encoder.layer[0].output.dense.weight.detach().clone()
    model = compressed(module, tmp_path, tuned(steps=3, learning_rate=1e-4, scope="attention"))
    assert not torch.equal(model.module.bert.encoder.layer[0].output.dense.weight, outside)
    assert "bert.encoder.layer.0.output.dense.weight" not in model.encodings
