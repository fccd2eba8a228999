"""Two factors are the best of their rank, and everything after them works on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from tiny_models import MODELS, bert, compressed, output_of, resnet, step_context
from torch import nn

from autocompress.compressible import CompressibleModel, Inputs
from autocompress.errors import Unsupported
from autocompress.facts import WeightFact
from autocompress.methods.ffn_width import FfnWidth
from autocompress.methods.low_rank import LowRank, factors
from autocompress.model_state import facts_of

PLAIN: dict[str, Any] = {"keep": 0.5, "activation_aware": False}


def calibrated(module: nn.Module, folder: Path, calls: list[Inputs], **knobs: Any) -> CompressibleModel:
    context = step_context(module, folder)
    object.__setattr__(context, "calibration", lambda: calls)
    model = CompressibleModel(module)
    LowRank(**knobs).apply(model, context)
    return model


def test_plain_factors_are_the_truncated_singular_value_decomposition() -> None:
    matrix = np.random.default_rng(0).normal(size=(40, 60))
    u, sizes, v = np.linalg.svd(matrix)
    left, right = factors(torch.from_numpy(matrix), 7)
    np.testing.assert_allclose(left @ right, (u[:, :7] * sizes[:7]) @ v[:7], atol=1e-5)


def test_aware_factors_are_the_best_of_their_rank_for_the_layers_output() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 60))
    inputs = rng.normal(size=(500, 60)) @ rng.normal(size=(60, 60)) * np.geomspace(1, 30, 60)
    gram = torch.from_numpy(inputs.T @ inputs)
    left, right = factors(torch.from_numpy(matrix), 7, gram)
    change = np.linalg.norm(inputs @ (matrix - (left @ right).double().numpy()).T)
    # Eckart and Young: no product of rank 7 can be nearer to the outputs than their own 7 largest singular values.
    best = np.sqrt((scipy.linalg.svdvals(inputs @ matrix.T)[7:] ** 2).sum())
    np.testing.assert_allclose(change, best, rtol=1e-4)
    left, right = factors(torch.from_numpy(matrix), 7)
    plain = np.linalg.norm(inputs @ (matrix - (left @ right).double().numpy()).T)
    assert change < plain


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    matrix = torch.randn(40, 50, generator=torch.Generator().manual_seed(0))
    left, right = factors(matrix, 5, torch.zeros(50, 50))
    assert bool((left @ right).isfinite().all())
    gram = torch.diag(torch.cat([torch.ones(25), torch.zeros(25)]))
    left, right = factors(matrix, 25, gram)
    np.testing.assert_allclose((left @ right)[:, :25], matrix[:, :25], atol=1e-3)


@pytest.mark.parametrize("name", ["bert", "vit", "llama", "wav2vec2", "whisper"])
@pytest.mark.parametrize("aware", [True, False])
def test_a_model_of_low_rank_weights_is_reproduced(name: str, aware: bool, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    module = build({})
    with torch.no_grad():
        for weight in CompressibleModel(module).weights("linear"):
            u, sizes, v = torch.linalg.svd(weight.matrix, full_matrices=False)
            weight.write((u[:, :6] * sizes[:6]) @ v[:6])
    expected = output_of(module, inputs)
    before = sum(parameter.numel() for parameter in module.parameters())
    model = calibrated(module, tmp_path, [inputs], keep=0.6, activation_aware=aware)
    assert sum(parameter.numel() for parameter in module.parameters()) < before
    np.testing.assert_allclose(output_of(model.module, inputs), expected, atol=1e-4)


@pytest.mark.parametrize("last", [{"rtn": {"group_size": 16}}, "int8_weight_only", {"kmeans": {"n_centroids": 8}}])
def test_later_steps_code_the_factors(last: Any, tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"low_rank": PLAIN}, last)
    query = "bert.encoder.layer.0.attention.self.query"
    weights = {weight.name: weight for weight in model.weights("linear")}
    assert weights[f"{query}.0.weight"].in_attention
    assert f"{query}.1.weight" in model.encodings
    assert f"{query}.weight" not in weights


def test_only_the_scope_is_replaced(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"low_rank": {**PLAIN, "scope": "attention"}})
    assert len(model.structure.factored) == 2 * 4
    assert all(".attention." in path for path in model.structure.factored)


def test_two_factors_have_at_most_the_share_of_the_elements() -> None:
    for rows, columns in ((64, 64), (32, 500), (1536, 384)):
        fact = WeightFact(name="w", kind="linear", out_features=rows, in_features=columns)
        for keep in (0.1, 0.5, 0.9):
            rank = LowRank(keep=keep).rank_for(fact)
            assert rank * (rows + columns) <= keep * rows * columns < (rank + 1) * (rows + columns)
    narrow = WeightFact(name="w", kind="linear", out_features=10, in_features=500)
    assert LowRank().rank_for(narrow) == 0


def test_shared_weights_and_those_that_torchs_own_attention_reads_stay(tmp_path: Path) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.TransformerEncoderLayer(64, 2, 128, batch_first=True)
            self.first = nn.Linear(64, 64)
            self.again = nn.Linear(64, 64)
            self.last = nn.Linear(64, 64)
            self.again.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"y": self.last(self.again(self.first(self.block(x))))}

    torch.manual_seed(0)
    module = Mixed().eval()
    inputs = {"x": np.random.default_rng(0).normal(size=(1, 5, 64)).astype(np.float32)}
    model = calibrated(module, tmp_path, [inputs], keep=0.6)
    assert list(model.structure.factored) == ["last"]
    output_of(module, inputs)


def test_a_model_in_which_nothing_can_be_replaced_is_refused_at_the_latest_in_time(tmp_path: Path) -> None:
    module = nn.Sequential(nn.TransformerEncoderLayer(64, 2, 128, batch_first=True)).eval()
    with pytest.raises(Unsupported, match="shared, or read"):
        calibrated(module, tmp_path, [], keep=0.5, activation_aware=False)
    assert "large enough" in str(LowRank().refuses(facts_of(resnet(), "any")))


def test_awareness_needs_data(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="calibration data"):
        calibrated(bert(), tmp_path, [], keep=0.5)


def test_ffn_width_cannot_follow() -> None:
    assert "before low_rank" in str(FfnWidth().refuses_after([LowRank()], facts_of(bert(), "any")))
