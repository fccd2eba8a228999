"""Magnitude pruning drops exactly the smallest weights and stores only the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import bert, compressed, resnet
from torch import nn

from autocompress.compressible import CompressibleModel, NonFiniteWeight, as_numpy
from autocompress.encodings import Codebook, Sparse
from autocompress.methods.magnitude import Magnitude
from autocompress.model_state import facts_of


def test_each_matrix_keeps_its_largest_weights_unchanged(tmp_path: Path) -> None:
    before = {weight.name: as_numpy(weight.matrix) for weight in CompressibleModel(bert()).weights("linear")}
    model = compressed(bert(), tmp_path, {"magnitude": {"sparsity": 0.4}})
    for weight in model.weights("linear"):
        original, now = before[weight.name].ravel(), as_numpy(weight.matrix).ravel()
        n_dropped = round(original.size * 0.4)
        dropped = np.argsort(np.abs(original), kind="stable")[:n_dropped]
        expected = original.copy()
        expected[dropped] = 0
        assert np.array_equal(now, expected), weight.name


def test_a_global_threshold_prunes_layers_unequally_and_the_whole_exactly(tmp_path: Path) -> None:
    module = bert()
    with torch.no_grad():
        module.bert.encoder.layer[0].intermediate.dense.weight.mul_(0.01)
    model = compressed(module, tmp_path, {"magnitude": {"sparsity": 0.3, "granularity": "global"}})
    kept = {name: encoding.mask.mean() for name, encoding in model.encodings.items() if isinstance(encoding, Sparse)}
    assert kept["bert.encoder.layer.0.intermediate.dense.weight"] < 0.1
    assert kept["bert.encoder.layer.1.intermediate.dense.weight"] > 0.7
    sizes = {weight.name: weight.fact.n_elements for weight in model.weights("linear")}
    total = sum(sizes.values())
    assert round(sum(kept[name] * sizes[name] for name in sizes)) == total - round(total * 0.3)


def test_equal_weights_do_not_all_go(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(8, 8, bias=False))
    nn.init.constant_(module[0].weight, 0.5)
    compressed(module, tmp_path, {"magnitude": {"sparsity": 0.25}})
    assert int((module[0].weight != 0).sum()) == 48


def test_convolutions_are_pruned_and_embeddings_are_not(tmp_path: Path) -> None:
    kinds = {weight.name: weight.kind for weight in CompressibleModel(resnet()).weights()}
    assert {kinds[name] for name in compressed(resnet(), tmp_path, "magnitude").encodings} == {"convolution", "linear"}
    assert not any("embeddings" in name for name in compressed(bert(), tmp_path, "magnitude").encodings)


def test_clustering_after_pruning_keeps_zeros_and_clusters_the_rest(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"magnitude": {"sparsity": 0.5}}, {"kmeans": {"n_centroids": 8}})
    name = "bert.encoder.layer.0.output.dense.weight"
    encoding = model.encodings[name]
    assert isinstance(encoding, Sparse)
    assert isinstance(encoding.values, Codebook)
    n_elements = encoding.mask.size
    assert encoding.packed_bytes == n_elements // 8 + (n_elements // 2) * 3 // 8 + 8 * 4
    assert np.array_equal(encoding.decode() != 0, encoding.mask)


@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
def test_a_pattern_keeps_the_n_largest_of_m_consecutive_inputs(pattern: str, tmp_path: Path) -> None:
    n_kept, width = map(int, pattern.split(":"))
    before = {weight.name: as_numpy(weight.matrix) for weight in CompressibleModel(resnet()).in_scope("layers")}
    model = compressed(resnet(), tmp_path, {"magnitude": {"pattern": pattern}})
    for name, encoding in model.encodings.items():
        original = before[name]
        for start in range(0, original.shape[1], width):
            group = original[:, start : start + width]
            expected = np.argsort(np.argsort(-np.abs(group), axis=1), axis=1) < n_kept
            assert np.array_equal(encoding.decode()[:, start : start + width], group * expected), name


def test_two_of_four_take_a_bit_a_weight_and_half_of_the_values(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"magnitude": {"pattern": "2:4"}}, "fp16")
    encoding = model.encodings["bert.encoder.layer.0.output.dense.weight"]
    assert encoding.packed_bytes == 128 * 64 // 8 + 128 * 64 // 2 * 2


def test_weights_narrower_than_the_pattern_stay_whole(tmp_path: Path) -> None:
    narrow = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 4))
    assert set(compressed(narrow, tmp_path, {"magnitude": {"pattern": "4:8"}}).encodings) == {"1.weight"}
    assert "at most 3 inputs" in (Magnitude(pattern="4:8").refuses(facts_of(narrow[:1], "any")) or "")


def test_sparsity_and_granularity_are_inert_under_a_pattern() -> None:
    assert Magnitude(pattern="2:4", sparsity=0.6, granularity="global").canonical() == Magnitude(pattern="2:4")


def test_nan_is_refused_with_the_name_of_the_weight(tmp_path: Path) -> None:
    module = bert()
    with torch.no_grad():
        module.classifier.weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteWeight, match=r"classifier\.weight"):
        compressed(module, tmp_path, "magnitude")
