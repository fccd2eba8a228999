"""Clustering is near the optimum, and takes the bits that its centroids need."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import ckwrap
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as SklearnKMeans
from tiny_models import bert, compressed

from autocompress import clustering
from autocompress.clustering import cluster
from autocompress.encodings import Codebook, Sparse
from autocompress.errors import Unsupported


def squared_error(values: np.ndarray, n_centroids: int) -> float:
    clusters = cluster(torch.from_numpy(values), n_centroids)
    return float(((values.astype(np.float64) - clusters.centroids[clusters.indices.numpy()]) ** 2).sum())


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


@pytest.mark.parametrize("n_centroids", [16, 64])
def test_far_outliers_among_many_values_cost_nothing(n_centroids: int) -> None:
    values = (np.random.default_rng(0).standard_t(3, size=300_000) * 0.02).astype(np.float32)
    proven = ckwrap.ckmeans(np.sort(values).astype(np.float64)[::10], n_centroids)
    start = np.sort(proven.centers)
    for _ in range(30):  # Lloyd's iterations on all values, from the optimum of a tenth of them
        nearest = np.searchsorted((start[1:] + start[:-1]) / 2, values)
        start = np.bincount(nearest, weights=values) / np.bincount(nearest)
    reference = ((values - start[np.searchsorted((start[1:] + start[:-1]) / 2, values)]) ** 2).sum()
    assert squared_error(values, n_centroids) <= 1.001 * reference


@pytest.mark.parametrize("n_centroids", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_error_is_that_of_the_best_of_all_cuts(n_centroids: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=9).astype(np.float32)
    ordered = np.sort(values.astype(np.float64))
    cuts = combinations(range(1, len(values)), n_centroids - 1)
    best = min(sum(np.var(part) * len(part) for part in np.split(ordered, cut)) for cut in cuts)
    assert squared_error(values, n_centroids) == pytest.approx(best, rel=1e-4, abs=1e-9)


def test_fewer_distinct_values_than_centroids_are_kept_exactly() -> None:
    values = torch.tensor([[-1.5, 0.0, 0.25], [0.25, 7.0, -1.5]])
    clusters = cluster(values, 16)
    assert len(clusters.centroids) == 4
    assert torch.equal(torch.from_numpy(clusters.centroids)[clusters.indices.long()], values)


def test_a_constant_weight_is_one_centroid() -> None:
    assert cluster(torch.full((4, 4), 0.3), 8).centroids.tolist() == [np.float32(0.3)]


def test_values_are_binned_in_pieces_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    at_once = cluster(values, 16)
    monkeypatch.setattr(clustering, "CHUNK", 64)
    in_pieces = cluster(values, 16)
    assert torch.equal(at_once.indices, in_pieces.indices)
    np.testing.assert_allclose(at_once.centroids, in_pieces.centroids, rtol=1e-6)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_value_goes_to_the_nearest_of_the_stored_centroids(bits: int) -> None:
    values = (np.random.default_rng(0).standard_t(3, size=4000) * 0.02).astype(np.float32)
    clusters = cluster(torch.from_numpy(values), 16, bits)
    assert clusters.centroids.dtype == {8: np.int8, 16: np.float16, 32: np.float32}[bits]
    stored = clusters.centroids.astype(np.float32) * (1 if clusters.scale is None else clusters.scale)
    distances = np.abs(values[:, None] - stored)
    chosen = np.take_along_axis(distances, clusters.indices.numpy()[:, None].astype(int), axis=1)[:, 0]
    # A bin of the histogram is the resolution.
    assert (chosen - distances.min(axis=1)).max() <= 2 * np.ptp(values) / 65535


def test_eight_bits_for_a_centroid_clip_outliers_rather_than_lose_the_others() -> None:
    values = (np.random.default_rng(0).normal(size=50_000) * 0.02).astype(np.float32)
    values[:3] = [1.0, 0.7, -0.8]
    clusters = cluster(torch.from_numpy(values), 32, 8)
    error = ((values - clusters.centroids[clusters.indices.numpy()] * clusters.scale) ** 2).sum()
    centroids = cluster(torch.from_numpy(values), 32).centroids
    scale = np.abs(centroids).max() / 127
    plain = np.rint(centroids / scale) * scale
    assert error < np.square(values[:, None] - plain).min(axis=1).sum()


def test_int8_of_zeros_has_a_scale() -> None:
    clusters = cluster(torch.zeros(100), 4, 8)
    assert (clusters.centroids.tolist(), clusters.scale) == ([0], 1.0)


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


WORDS = "bert.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(("bits", "centroid_bytes", "scale_bytes"), [(8, 1, 4), (16, 2, 0), (32, 4, 0)])
def test_groups_of_rows_have_codebooks_of_their_own(
    bits: int, centroid_bytes: int, scale_bytes: int, tmp_path: Path
) -> None:
    knobs = {"n_centroids": 8, "granularity": "group", "rows_per_group": 32, "codebook_bits": bits}
    model = compressed(bert(), tmp_path, {"kmeans": knobs})
    encoding = model.encodings[WORDS]
    assert isinstance(encoding, Codebook)
    n_groups = 10  # of 300 rows, the last one of 12
    assert encoding.group_size == 32 * 64
    assert encoding.packed_bytes == 300 * 64 * 3 // 8 + n_groups * (8 * centroid_bytes + scale_bytes)
    rows = model.module.bert.embeddings.word_embeddings.weight
    assert all(len(group.unique()) <= 8 for group in rows.split(32))
    assert len(rows.unique()) > 8 * (n_groups - 2)


def test_each_group_is_clustered_as_if_it_were_alone(tmp_path: Path) -> None:
    module = bert()
    before = module.bert.embeddings.word_embeddings.weight.detach().clone()
    knobs = {"n_centroids": 8, "granularity": "group", "rows_per_group": 32}
    after = compressed(module, tmp_path, {"kmeans": knobs}).module.bert.embeddings.word_embeddings.weight
    for group, values in zip(before.split(32), after.split(32), strict=True):
        alone = cluster(group, 8)
        assert torch.equal(values, torch.from_numpy(alone.centroids)[alone.indices.long()])


def test_weights_in_eight_bit_codebooks_are_integers_times_their_scale(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"kmeans": {"codebook_bits": 8, "granularity": "group"}})
    for name, encoding in model.encodings.items():
        assert isinstance(encoding, Codebook)
        values = model.module.get_parameter(name).detach().reshape(-1).split(encoding.group_size or 10**9)
        for group, scale in zip(values, encoding.scales, strict=True):
            integers = group.numpy() / scale
            assert np.abs(integers - np.rint(integers)).max() < 1e-4
            assert np.abs(integers).max() <= 127.5


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_kept_values_of_a_pruned_weight_are_clustered_in_groups_and_zeros_stay(bits: int, tmp_path: Path) -> None:
    knobs = {"granularity": "group", "rows_per_group": 16, "codebook_bits": bits, "scope": "layers"}
    model = compressed(bert(), tmp_path, {"magnitude": {"sparsity": 0.5}}, {"kmeans": knobs})
    encoding = model.encodings["bert.encoder.layer.0.output.dense.weight"]
    assert isinstance(encoding, Sparse)
    assert isinstance(encoding.values, Codebook)
    assert len(encoding.values.centroids) == 4
    assert encoding.values.shape == (1, 64 * 128 // 2)
    zeros = model.module.bert.encoder.layer[0].output.dense.weight == 0
    assert int(zeros.sum()) >= 64 * 128 // 2


def test_half_precision_after_eight_bit_codebooks_halves_their_scales(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"kmeans": {"codebook_bits": 8}}, "fp16")
    encoding = model.encodings[WORDS]
    assert isinstance(encoding, Codebook)
    assert (encoding.centroids.dtype, encoding.scales.dtype) == (np.int8, np.float16)


def test_weights_that_float16_cannot_hold_are_unsupported_with_a_remedy(tmp_path: Path) -> None:
    module = bert()
    with torch.no_grad():
        module.bert.embeddings.word_embeddings.weight.mul_(1e8)
    with pytest.raises(Unsupported, match=r"word_embeddings.*float16"):
        compressed(module, tmp_path, {"kmeans": {"codebook_bits": 16}})


def test_a_group_that_holds_all_rows_is_the_whole_weight(tmp_path: Path) -> None:
    grouped = compressed(bert(), tmp_path, {"kmeans": {"granularity": "group", "rows_per_group": 300}})
    whole = compressed(bert(), tmp_path, {"kmeans": {}})
    assert grouped.encodings[WORDS].header() == whole.encodings[WORDS].header()
    assert np.array_equal(grouped.encodings[WORDS].decode(), whole.encodings[WORDS].decode())
