"""Wanda drops, in each row, what is smallest when weighed by the norm of its input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import bert, compressed, token_calls
from torch import nn

from autocompress.compressible import CompressibleModel
from autocompress.encodings import Sparse, SparseIntegers
from autocompress.errors import Unsupported
from autocompress.layer_inputs import InputStatistics, observe
from autocompress.methods.wanda import Wanda
from autocompress.model_state import facts_of


def statistics(rows: np.ndarray) -> InputStatistics:
    inputs = InputStatistics.empty(rows.shape[1], "cpu")
    inputs.add(torch.from_numpy(rows.astype(np.float32)))
    return inputs


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_each_row_keeps_the_weights_of_the_largest_products(sparsity: float) -> None:
    rng = np.random.default_rng(0)
    matrix, rows = rng.normal(size=(6, 40)), rng.normal(size=(100, 40)) * rng.random(40)
    (found,) = Wanda(sparsity=sparsity).prune([torch.from_numpy(matrix)], statistics(rows))
    scores = np.abs(matrix) * np.sqrt((rows**2).sum(axis=0))
    for row, row_scores, kept in zip(matrix, scores, found.mask.numpy(), strict=True):
        dropped = np.argsort(row_scores)[: round(40 * sparsity)]
        assert sorted(np.flatnonzero(~kept)) == sorted(dropped)
        assert np.array_equal(row * kept, np.where(np.isin(np.arange(40), dropped), 0, row))


@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
def test_a_pattern_keeps_n_of_m_consecutive_inputs(pattern: str) -> None:
    n_kept, width = map(int, pattern.split(":"))
    rng = np.random.default_rng(1)
    matrix, rows = rng.normal(size=(5, 27)), rng.normal(size=(50, 27))
    (found,) = Wanda(pattern=pattern).prune([torch.from_numpy(matrix)], statistics(rows))
    scores = np.abs(matrix) * np.sqrt((rows**2).sum(axis=0))
    for start in range(0, 27, width):
        group = slice(start, start + width)
        expected = np.argsort(np.argsort(-scores[:, group])) < n_kept
        assert np.array_equal(found.mask.numpy()[:, group], expected)


def test_later_layers_are_judged_by_what_pruned_ones_give_them(tmp_path: Path) -> None:
    calls = token_calls(6)
    model = compressed(bert(), tmp_path, {"wanda": {"sparsity": 0.6}}, calibration=calls)
    before = bert()
    with torch.no_grad():
        for name, parameter in before.named_parameters():
            if ".layer.0." in name:
                parameter.copy_(model.module.get_parameter(name))
    weights = [w for w in CompressibleModel(before).weights("linear") if ".layer.1." in w.name]
    inputs = observe(before, weights, calls, "cpu")
    for weight in weights:
        (expected,) = Wanda(sparsity=0.6).prune([weight.matrix], inputs[weight.name])
        encoding = model.encodings[weight.name]
        assert isinstance(encoding, Sparse)
        assert np.array_equal(encoding.mask, expected.mask.numpy()), weight.name


class Partly(nn.Module):
    """A layer that is called, one that is not, and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.called, self.idle = nn.Linear(12, 12), nn.Linear(12, 12)
        self.grouped = nn.Conv1d(12, 12, 3, groups=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.grouped(self.called(x).mT)


def test_what_calibration_does_not_reach_is_pruned_by_magnitude(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(1, 9, 12)) * np.arange(12)
    calls = [{"x": rows.astype(np.float32)}]
    model = compressed(Partly(), tmp_path, {"wanda": {"sparsity": 0.5}}, calibration=calls)
    by_magnitude = compressed(Partly(), tmp_path, {"magnitude": {"sparsity": 0.5}})
    alike = {
        name: np.array_equal(encoding.decode(), by_magnitude.encodings[name].decode())
        for name, encoding in model.encodings.items()
    }
    assert alike == {"called.weight": False, "idle.weight": True, "grouped.weight": True}


@pytest.mark.parametrize("quantizer", [{"rtn": {"group_size": 32, "bits": 4}}, "int8_weight_only"])
def test_integers_after_pruning_are_packed_without_the_zeros(quantizer: object, tmp_path: Path) -> None:
    calls = token_calls(4)
    pruned = compressed(bert(), tmp_path, {"wanda": {"sparsity": 0.5}}, calibration=calls)
    masks = {name: encoding.mask for name, encoding in pruned.encodings.items() if isinstance(encoding, Sparse)}
    both = compressed(bert(), tmp_path, {"wanda": {"sparsity": 0.5}}, quantizer, calibration=calls)
    plain = compressed(bert(), tmp_path, quantizer)
    for name, mask in masks.items():
        encoding = both.encodings[name]
        assert isinstance(encoding, SparseIntegers)
        assert not encoding.decode()[~mask].any()
        assert encoding.packed_bytes < 0.8 * plain.encodings[name].packed_bytes


def test_without_calibration_data_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="calibration data"):
        compressed(bert(), tmp_path, "wanda")


def test_a_pattern_wider_than_every_weight_is_refused() -> None:
    facts = facts_of(nn.Sequential(nn.Linear(3, 8), nn.Linear(6, 3)), "any")
    assert "at most 6 inputs" in (Wanda(pattern="4:8").refuses(facts) or "")
    assert Wanda(pattern="2:4").refuses(facts) is None
    assert Wanda().refuses(facts) is None


def test_the_sparsity_is_inert_under_a_pattern() -> None:
    assert Wanda(pattern="2:4", sparsity=0.7).canonical() == Wanda(pattern="2:4")
