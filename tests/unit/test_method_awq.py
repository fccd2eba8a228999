"""AWQ against a search over its exponents written out with the layer's real outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from tiny_models import MODELS, bert, llama, output_of, step_context, token_calls
from torch import nn

from autocompress.compressible import CompressibleModel, Inputs
from autocompress.encodings import GroupedIntegers
from autocompress.layer_inputs import InputStatistics, layer_groups, observe, sharing_inputs
from autocompress.methods.awq import Awq
from autocompress.methods.calibrated_coding import Target
from autocompress.methods.integer_coding import closest_grid, covering_grid, group_errors, jointly_closest_grid
from autocompress.methods.magnitude import Magnitude
from autocompress.methods.scale_folding import find_folds

Doubles = npt.NDArray[np.float64]


def strong_and_weak_rows(n_rows: int, n_columns: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n_rows, n_columns, generator=random) * (2 * torch.randn(n_columns, generator=random)).exp()


def statistics_of(rows: torch.Tensor) -> InputStatistics:
    statistics = InputStatistics.empty(rows.shape[1], "cpu")
    statistics.add(rows)
    return statistics


def rounded_by_rows(matrix: Doubles, bits: int, group_size: int) -> Doubles:
    """Zero-point rounding of each group of each row, one at a time."""
    rounded = np.empty_like(matrix)
    for row in range(len(matrix)):
        for start in range(0, matrix.shape[1], group_size):
            group = matrix[row, start : start + group_size]
            low, high = min(0.0, group.min()), max(0.0, group.max())
            scale = float(np.float16((high - low) / (2**bits - 1)))
            zero = np.clip(np.rint(-low / scale), 0, 2**bits - 1)
            codes = np.clip(np.rint(group / scale) + zero, 0, 2**bits - 1)
            rounded[row, start : start + group_size] = (codes - zero) * scale
    return rounded


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_no_exponent_tried_one_by_one_errs_less(bits: int, seed: int) -> None:
    rows = strong_and_weak_rows(50, 48, seed)
    weights = [torch.randn(n, 48, generator=torch.Generator().manual_seed(seed)) for n in (4, 7)]
    step = Awq(bits=bits, group_size=16, symmetric=False, clipping=False)
    inputs = statistics_of(rows)
    found = step.code([Target(weight, None, bits) for weight in weights], inputs)
    x = rows.double().numpy()

    def error(values: list[Doubles]) -> float:
        changes = [x @ (v - w.double().numpy()).T for v, w in zip(values, weights, strict=True)]
        return sum(float(np.square(change).sum()) for change in changes)

    errors = []
    for exponent in np.arange(21) / 20:
        scales = (np.abs(x).mean(0) / np.abs(x).mean(0).max()).clip(1e-4) ** exponent
        scales = np.float16(scales / np.sqrt(scales.max() * scales.min())).astype(np.float64)
        errors.append(error([rounded_by_rows(w.double().numpy() * scales, bits, 16) / scales for w in weights]))
    assert error([integers.decode().astype(np.float64) for integers in found]) <= min(errors) * 1.001
    assert min(errors) < 0.9 * errors[0]


def test_the_weights_of_strong_inputs_err_less_than_by_rounding() -> None:
    random = torch.Generator().manual_seed(1)
    rows = torch.randn(100, 64, generator=random)
    rows[:, 5] *= 40
    weight = torch.randn(32, 64, generator=random)
    (encoding,) = Awq(bits=3, group_size=32, clipping=False).code([Target(weight, None, 3)], statistics_of(rows))
    grid = covering_grid(weight, 3, 32, symmetric=True)
    plain = (grid.values(grid.codes(weight)) - weight)[:, 5].square().mean()
    assert np.square(encoding.decode() - weight.numpy())[:, 5].mean() < 0.5 * float(plain)
    assert encoding.input_scales is not None
    assert encoding.input_scales.dtype == np.float16
    assert encoding.input_scales.argmax() == 5


def test_layers_that_read_the_same_input_share_their_scales(tmp_path: Path) -> None:
    module = llama()
    with torch.no_grad():
        module.model.layers[0].input_layernorm.weight[3] = 30
    model = CompressibleModel(module)
    calls = token_calls(8)
    Awq(bits=4, group_size=16, scope="layers").apply(model, step_context(module, tmp_path, calibration=calls))
    attention = [model.encodings[f"model.layers.0.self_attn.{name}_proj.weight"] for name in "qkv"]
    scales = [e.input_scales for e in attention if isinstance(e, GroupedIntegers)]
    assert scales[0] is not None
    assert all(np.array_equal(scales[0], other) for other in scales)


def test_without_exponents_only_ranges_are_clipped(tmp_path: Path) -> None:
    module = bert()
    model = CompressibleModel(module)
    step = Awq(bits=3, group_size=32, exponents=0)
    step.apply(model, step_context(module, tmp_path, calibration=token_calls(4)))
    assert all(isinstance(e, GroupedIntegers) and e.input_scales is None for e in model.encodings.values())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("columns", [64, 50])
def test_a_clipped_group_errs_no_more_than_a_whole_one(symmetric: bool, columns: int) -> None:
    """Each group's own part of the output, from its real inputs."""
    random = torch.Generator().manual_seed(2)
    matrix = torch.randn(8, columns, generator=random) ** 3
    rows = strong_and_weak_rows(200, columns)
    grids = (
        covering_grid(matrix, 3, 16, symmetric),
        closest_grid(matrix, 3, 16, symmetric, group_errors(statistics_of(rows).gram, 16)),
    )
    totals = []
    for start in range(0, columns, 16):
        part = slice(start, start + 16)
        changes = [(grid.values(grid.codes(matrix)) - matrix)[:, part] @ rows[:, part].T for grid in grids]
        whole, clipped = (change.square().sum(dim=1) for change in changes)
        assert bool((clipped <= whole * 1.001).all())
        totals.append(float(clipped.sum() / whole.sum()))
    assert min(totals) < 0.7


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("columns", [64, 50])
@pytest.mark.parametrize("bits", [2, 4])
def test_groups_chosen_together_make_good_each_others_errors(symmetric: bool, columns: int, bits: int) -> None:
    """No row's output errs more than with each group chosen alone, and all together a fifth less."""
    random = torch.Generator().manual_seed(3)
    matrix = torch.randn(32, columns, generator=random)
    rows = torch.randn(200, 8, generator=random) @ torch.randn(8, columns, generator=random)
    rows += 0.3 * torch.randn(200, columns, generator=random)
    gram = statistics_of(rows).gram
    alone = closest_grid(matrix, bits, 16, symmetric, group_errors(gram, 16))
    together = jointly_closest_grid(matrix, alone, gram)
    before, after = (
        ((grid.values(grid.codes(matrix)) - matrix) @ rows.T).square().sum(dim=1) for grid in (alone, together)
    )
    assert bool((after <= before * 1.001).all())
    assert float(after.sum()) < 0.8 * float(before.sum())
    assert bool(((together.zeros >= 0) & (together.zeros < 2**bits)).all())
    assert together.in_float16


# Scales folded into what comes before ---------------------------------------------------------------------------------


def with_heads_of_their_own(overrides: object) -> nn.Module:
    """A Llama without grouped queries."""
    del overrides
    return llama({"num_key_value_heads": 2})


def gemma(overrides: object) -> nn.Module:
    """Its norms multiply by one plus their weight, so dividing that weight does not divide what they give."""
    del overrides
    config = transformers.GemmaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.GemmaForCausalLM(config).eval()


MORE_MODELS = MODELS | {
    "llama without grouped queries": (with_heads_of_their_own, MODELS["llama"][1]),
    "gemma": (gemma, MODELS["llama"][1]),
}
FOLDS = {
    "bert": {"attention.self.value -> attention.output.dense", "output.LayerNorm -> pooler.dense"},
    "vit": {
        "layernorm_before -> attention.attention.query",
        "attention.attention.value -> attention.output.dense",
        "layernorm_after -> intermediate.dense",
        "layernorm -> classifier",
    },
    "llama": {
        "input_layernorm -> self_attn.q_proj",
        "post_attention_layernorm -> mlp.gate_proj",
        "mlp.up_proj -> mlp.down_proj",
    },
    "llama without grouped queries": {
        "input_layernorm -> self_attn.q_proj",
        "self_attn.v_proj -> self_attn.o_proj",
        "post_attention_layernorm -> mlp.gate_proj",
        "mlp.up_proj -> mlp.down_proj",
    },
    "gemma": {"self_attn.v_proj -> self_attn.o_proj", "mlp.up_proj -> mlp.down_proj"},
    "whisper": {
        "self_attn_layer_norm -> self_attn.k_proj",
        "self_attn.v_proj -> self_attn.out_proj",
        "encoder_attn_layer_norm -> encoder_attn.q_proj",
        "encoder_attn.v_proj -> encoder_attn.out_proj",
        "final_layer_norm -> fc1",
    },
}


def within_its_layer(path: str) -> str:
    """What follows the last number, or the model's name."""
    parts = path.removesuffix(".weight").split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[numbers[-1] + 1 if numbers else len(parts) > 1 :])


@pytest.mark.parametrize("name", FOLDS)
def test_a_model_computes_the_same_after_scales_are_folded_wherever_they_can_be(name: str) -> None:
    """Norms that are read by nothing but linear layers, gated projections, values without grouped queries; no other."""
    build, call = MORE_MODELS[name]
    module = build({})
    model = CompressibleModel(module)
    paths = {id(part): path for path, part in module.named_modules()}
    random = torch.Generator().manual_seed(0)
    before = output_of(module, call)
    found = set()
    for group in layer_groups(model.weights("linear")):
        sharing = sharing_inputs(group, observe(module, group, [call], "cpu"))
        for fold in find_folds(model, sharing, call, "cpu").values():
            fold.apply(torch.randn(fold.consumers[0].fact.in_features, generator=random).exp())
            names = (paths[id(fold.producer)], fold.consumers[0].name)
            found.add(" -> ".join(map(within_its_layer, names)))
    assert found == FOLDS[name]
    np.testing.assert_allclose(output_of(module, call), before, atol=1e-5, rtol=0)
    assert any(not torch.equal(a, b) for a, b in zip(module.parameters(), build({}).parameters(), strict=True))


class Between(nn.Module):
    """Two linear layers and what stands between them."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 8)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.between(self.first(x)))


@pytest.mark.parametrize(
    ("between", "folds"),
    [
        (torch.relu, True),
        (lambda values: values[:, :4].transpose(0, 1), True),
        (torch.nn.functional.gelu, False),
        (lambda values: values.clamp(-100, 100), False),
        (lambda values: values.flip(-1), False),
        (lambda values: values + 1, False),
        (lambda values: values * values, False),
    ],
)
def test_what_stands_between_two_layers_must_let_any_positive_factor_through(
    between: Callable[[torch.Tensor], torch.Tensor], folds: bool
) -> None:
    module = Between(between).eval()
    call: Inputs = {"x": np.random.default_rng(0).normal(size=(3, 5, 16)).astype(np.float32)}
    model = CompressibleModel(module)
    before = {name: values.clone() for name, values in module.state_dict().items()}
    found = find_folds(model, [[weight] for weight in model.weights("linear")], call, "cpu")
    assert set(found) == ({"second.weight"} if folds else set())
    assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())


def test_a_layer_that_is_coded_already_takes_no_scales() -> None:
    model = CompressibleModel(Between(torch.relu).eval())
    first, second = model.weights("linear")
    model.encode(first, covering_encoding(first.matrix))
    assert not find_folds(model, [[second]], {"x": np.ones((1, 2, 16), np.float32)}, "cpu")


def covering_encoding(matrix: torch.Tensor) -> GroupedIntegers:
    grid = covering_grid(matrix, 4, 16, symmetric=True)
    return grid.encoding(grid.codes(matrix))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_layer_is_coded_after_its_rows_were_divided(name: str, tmp_path: Path) -> None:
    """So what is stored is what stands in the model, and nothing is stored beside the codes."""
    build, call = MODELS[name]
    module = build({})
    model = CompressibleModel(module)
    context = step_context(module, tmp_path, calibration=[call, call])
    Awq(bits=8, group_size=16, symmetric=False, fold_scales=True).apply(model, context)
    assert all(isinstance(e, GroupedIntegers) and e.input_scales is None for e in model.encodings.values())
    for weight in model.weights():
        if weight.name in model.encodings:
            np.testing.assert_array_equal(weight.matrix.numpy(), model.encodings[weight.name].decode())
    before, after = output_of(build({}), call), output_of(module, call)
    assert np.abs(after - before).max() < 0.05 * np.abs(before).max()


def test_folded_scales_protect_the_weights_of_strong_inputs(tmp_path: Path) -> None:
    """About as well as scales that are stored beside the codes."""
    calls = token_calls(8)
    errors = {}
    for label, knobs in {"unscaled": {"exponents": 0}, "beside": {}, "folded": {"fold_scales": True}}.items():
        module = with_heads_of_their_own({})
        with torch.no_grad():
            for layer in module.model.layers:
                layer.input_layernorm.weight[3] = layer.post_attention_layernorm.weight[5] = 30
        before = [output_of(module, call) for call in calls]
        step = Awq(bits=4, group_size=16, scope="layers", clipping=False, **knobs)
        step.apply(CompressibleModel(module), step_context(module, tmp_path, calibration=calls))
        errors[label] = np.square([output_of(module, c) - b for c, b in zip(calls, before, strict=True)]).mean()
    assert errors["folded"] < 0.5 * errors["unscaled"]
    assert errors["folded"] < 1.3 * errors["beside"]


def test_zeros_of_a_pruned_model_stay_zero_under_folded_scales(tmp_path: Path) -> None:
    module = llama()
    model = CompressibleModel(module)
    context = step_context(module, tmp_path, calibration=token_calls(4))
    Magnitude(sparsity=0.6).apply(model, context)
    zeros = {weight.name: weight.matrix == 0 for weight in model.weights("linear")}
    Awq(bits=8, group_size=16, scope="layers", fold_scales=True).apply(model, context)
    assert all(bool((weight.matrix[zeros[weight.name]] == 0).all()) for weight in model.weights("linear"))
