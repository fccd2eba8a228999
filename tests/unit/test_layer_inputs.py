"""Statistics of layer inputs, against the same sums made by hand from the layers' own outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import MODELS, bert
from torch import nn

from autocompress.batches import as_tensors, batches
from autocompress.compressible import CompressibleModel
from autocompress.errors import Unsupported
from autocompress.layer_inputs import InputStatistics, layer_groups, observe


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_gram_gives_the_energy_of_every_layers_output(name: str) -> None:
    """Of a layer without its bias, the squared output is the weight's quadratic form in the gram."""
    build, inputs = MODELS[name]
    module = build({})
    outputs: dict[str, torch.Tensor] = {}

    def keep(path: str):
        def hook(layer: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            bias = getattr(layer, "bias", None)
            shape = (-1, 1, 1) if isinstance(layer, nn.Conv2d) else (-1, 1) if isinstance(layer, nn.Conv1d) else (-1,)
            outputs[path] = output - bias.reshape(shape) if bias is not None else output

        return hook

    weights = list(CompressibleModel(module).weights("linear", "convolution"))
    for weight in weights:
        path = weight.name.removesuffix(".weight")
        module.get_submodule(path).register_forward_hook(keep(path))
    with torch.inference_mode():
        module(**as_tensors(inputs, "cpu"))
    expected = {f"{path}.weight": float(output.double().square().sum()) for path, output in outputs.items()}
    found = observe(module, weights, [inputs], "cpu")
    grouped = {w.name for w in weights if getattr(module.get_submodule(w.name[:-7]), "groups", 1) > 1}
    assert found.keys() == expected.keys() - grouped
    for weight in weights:
        if weight.name in found:
            statistics = found[weight.name]
            energy = statistics.output_error(weight.matrix) * statistics.n_rows * len(weight.matrix)
            assert energy == pytest.approx(expected[weight.name], rel=1e-3), weight.name


def test_sums_over_calls_of_different_lengths_are_those_of_all_rows() -> None:
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(7, 5)).astype(np.float32))
    whole, parts = InputStatistics.empty(5, "cpu"), InputStatistics.empty(5, "cpu")
    whole.add(rows)
    for piece in (rows[:2], rows[2:]):
        parts.add(piece)
    assert torch.allclose(whole.gram, rows.T @ rows, atol=1e-5)
    assert torch.allclose(parts.gram, whole.gram, atol=1e-5)
    assert torch.allclose(parts.mean_abs, rows.abs().mean(0), atol=1e-6)
    assert torch.equal(parts.max_abs, rows.abs().amax(0))
    assert torch.allclose(parts.norms, rows.norm(dim=0), atol=1e-5)


def test_layers_that_read_the_same_tensor_share_their_statistics() -> None:
    build, inputs = MODELS["bert"]
    module = build({})
    found = observe(module, list(CompressibleModel(module).weights("linear")), [inputs], "cpu")
    layer = "bert.encoder.layer.0.attention.self"
    assert found[f"{layer}.query.weight"] is found[f"{layer}.key.weight"] is found[f"{layer}.value.weight"]
    assert found[f"{layer}.query.weight"] is not found["bert.encoder.layer.1.attention.self.query.weight"]


def test_a_group_is_one_repeated_layer_and_groups_stand_in_order() -> None:
    groups = layer_groups(CompressibleModel(bert()).weights("linear"))
    names = [sorted({weight.name.split("layer.")[-1][0] for weight in group}) for group in groups]
    assert names[:2] == [["0"], ["1"]]
    assert [len(group) for group in groups] == [6, 6, 1, 1]


def test_without_calls_it_is_refused() -> None:
    module = bert()
    with pytest.raises(Unsupported, match="needs calibration data"):
        observe(module, list(CompressibleModel(module).weights("linear")), [], "cpu")


def test_batches_join_only_equal_shapes_and_lose_nothing() -> None:
    calls = [{"x": np.full((1, length), number)} for number, length in enumerate([3, 2, 3, 3, 2])]
    joined = batches(calls, largest=2)
    assert [batch["x"].shape for batch in joined] == [(2, 3), (1, 3), (2, 2)]
    assert [batch["x"][:, 0].tolist() for batch in joined] == [[0, 2], [3], [1, 4]]
