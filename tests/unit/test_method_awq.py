"""AWQ against a search over its exponents written out with the layer's real outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tiny_models import bert, llama, step_context, token_calls

from autocompress.compressible import CompressibleModel
from autocompress.encodings import GroupedIntegers
from autocompress.layer_inputs import InputStatistics
from autocompress.methods.awq import Awq
from autocompress.methods.calibrated_coding import Target
from autocompress.methods.integer_coding import closest_grid, covering_grid, group_errors

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
