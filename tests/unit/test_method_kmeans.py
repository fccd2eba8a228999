"""Clustering is near the optimum, and takes the bits that its centroids need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as SklearnKMeans
from tiny_models import bert, compressed

from autocompress.encodings import Codebook
from autocompress.methods.kmeans import cluster


def squared_error(values: np.ndarray, n_centroids: int) -> float:
    indices, centroids = cluster(torch.from_numpy(values), n_centroids)
    return float(((values.astype(np.float64) - centroids[indices.numpy()]) ** 2).sum())


def optimum_by_dynamic_programming(values: np.ndarray, n_centroids: int) -> float:
    """Least squared error of any clustering, by trying every last cluster of the sorted values."""
    ordered = np.sort(values.astype(np.float64))
    sums, squares = np.concatenate([[0], ordered.cumsum()]), np.concatenate([[0], (ordered**2).cumsum()])
    count = len(ordered)
    best = np.full(count + 1, np.inf)
    best[0] = 0
    for _ in range(n_centroids):
        fresh = np.full(count + 1, np.inf)
        for end in range(1, count + 1):
            starts = np.arange(end)
            spread = squares[end] - squares[:end] - (sums[end] - sums[:end]) ** 2 / (end - starts)
            fresh[end] = (best[:end] + spread).min()
        fresh[0] = 0
        best = fresh
    return float(best[count])


@pytest.mark.parametrize("n_centroids", [2, 5, 16])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_error_is_the_optimum_on_few_values(n_centroids: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_t(3, size=250).astype(np.float32)
    assert squared_error(values, n_centroids) <= 1.001 * optimum_by_dynamic_programming(values, n_centroids)


@pytest.mark.parametrize("n_centroids", [8, 64])
def test_heavy_tails_cost_no_more_than_many_restarts_of_another_implementation(n_centroids: int) -> None:
    values = (np.random.default_rng(0).standard_t(2.5, size=20_000) * 0.02).astype(np.float32)
    reference = SklearnKMeans(n_centroids, n_init=3, random_state=0).fit(values[:, None]).inertia_
    assert squared_error(values, n_centroids) <= 1.001 * reference


def test_fewer_distinct_values_than_centroids_are_kept_exactly() -> None:
    values = torch.tensor([[-1.5, 0.0, 0.25], [0.25, 7.0, -1.5]])
    indices, centroids = cluster(values, 16)
    assert len(centroids) == 4
    assert torch.equal(torch.from_numpy(centroids)[indices.long()], values)


def test_a_constant_weight_is_one_centroid() -> None:
    _, centroids = cluster(torch.full((4, 4), 0.3), 8)
    assert centroids.tolist() == [np.float32(0.3)]


def test_sixteen_centroids_take_four_bits_a_weight(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"kmeans": {"n_centroids": 16}})
    encoding = model.encodings["bert.embeddings.word_embeddings.weight"]
    assert isinstance(encoding, Codebook)
    assert encoding.packed_bytes == 300 * 64 // 2 + 16 * 4
    assert len(torch.unique(model.module.bert.embeddings.word_embeddings.weight)) <= 16


def test_the_scope_layers_leaves_embeddings_alone(tmp_path: Path) -> None:
    assert not any(
        "embeddings" in name for name in compressed(bert(), tmp_path, {"kmeans": {"scope": "layers"}}).encodings
    )
