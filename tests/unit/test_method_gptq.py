"""GPTQ's codes against the same elimination of columns done naively, and its refinement against its own promise."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import pytest
import torch

from autocompress.layer_inputs import InputStatistics
from autocompress.methods.calibrated_coding import Target
from autocompress.methods.gptq import Coded, Gptq, inverse_factor, refined, round_in_order
from autocompress.methods.integer_coding import covering_grid, round_to_nearest

Doubles = npt.NDArray[np.float64]


def correlated_rows(n_rows: int, n_columns: int, seed: int = 0) -> torch.Tensor:
    """Inputs as layers see them: correlated, and some much stronger than others."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(n_columns // 2, n_columns, generator=random)
    rows = torch.randn(n_rows, n_columns // 2, generator=random) @ mixing
    return rows * torch.randn(n_columns, generator=random).exp()


def statistics_of(rows: torch.Tensor) -> InputStatistics:
    statistics = InputStatistics.empty(rows.shape[1], "cpu")
    statistics.add(rows)
    return statistics


def eliminated_one_by_one(
    weights: Doubles,
    gram: Doubles,
    scales: Doubles,
    zeros: Doubles,
    bits: int,
    order: list[int],
    kept: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    """Optimal brain quantization in a given order: one column, then the inverse of what is left, and so on.

    Frantar & Alistarh 2022, arXiv:2208.11580, equations 2 and 3; ``scales`` and ``zeros`` have the weights' shape.
    """
    weights, inverse = weights.copy(), np.linalg.inv(gram)
    codes = np.zeros(weights.shape, np.int64)
    for column in order:
        code = np.clip(np.rint(weights[:, column] / scales[:, column]) + zeros[:, column], 0, 2**bits - 1)
        code = np.where(kept[:, column], code, zeros[:, column])
        codes[:, column] = code
        error = weights[:, column] - (code - zeros[:, column]) * scales[:, column]
        weights -= np.outer(error, inverse[column]) / inverse[column, column]
        inverse = inverse - np.outer(inverse[:, column], inverse[column]) / inverse[column, column]
    return codes


@pytest.mark.parametrize("columns", [16, 48, 200])
@pytest.mark.parametrize(("bits", "symmetric"), [(2, False), (3, True), (4, False)])
@pytest.mark.parametrize("pruned", [False, True])
def test_codes_are_those_of_columns_eliminated_one_by_one(
    columns: int, bits: int, symmetric: bool, pruned: bool
) -> None:
    random = torch.Generator().manual_seed(columns)
    matrix = torch.randn(6, columns, generator=random)
    kept = torch.rand(6, columns, generator=random) < 0.5 if pruned else torch.ones(6, columns, dtype=torch.bool)
    matrix = matrix * kept
    gram = statistics_of(correlated_rows(3 * columns, columns)).gram
    order = torch.randperm(columns, generator=random)
    grid = covering_grid(matrix, bits, 16, symmetric)
    target = Target(matrix, kept if pruned else None, bits)
    codes = round_in_order(target, grid, order, inverse_factor(gram[order][:, order], damping=0.01))
    damped = gram.double().numpy() + 0.01 * float(gram.diagonal().double().mean()) * np.eye(columns)
    wide = [np.repeat(part.double().numpy(), 16, axis=1)[:, :columns] for part in (grid.scales, grid.zeros)]
    expected = eliminated_one_by_one(matrix.double().numpy(), damped, *wide, bits, order.tolist(), kept.numpy())
    # One value on the edge between two codes may fall to either side, and what follows makes good another error.
    same_rows = (codes.numpy() == expected).all(axis=1)
    assert same_rows.mean() >= 5 / 6
    errors = [(value - wide[1]) * wide[0] - matrix.double().numpy() for value in (codes.numpy(), expected)]
    found, naive = (float(((error @ damped) * error).sum()) for error in errors)
    assert found == pytest.approx(naive, rel=0.02)


def test_the_factor_is_that_of_the_damped_inverse() -> None:
    gram = statistics_of(correlated_rows(20, 24)).gram
    factor = inverse_factor(gram, damping=0.1).double()
    damped = gram.double() + 0.1 * gram.double().diagonal().mean() * torch.eye(24)
    assert torch.equal(factor, factor.triu())
    assert torch.allclose(factor.T @ factor @ damped, torch.eye(24).double(), atol=1e-3)


def test_inputs_that_are_always_zero_take_no_part() -> None:
    rows = correlated_rows(40, 32)
    rows[:, [3, 20]] = 0
    weight = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
    step = Gptq(bits=3, group_size=16, refinements=0)
    (encoding,) = step.code([Target(weight, None, 3)], statistics_of(rows))
    grid = covering_grid(weight, 3, 16, symmetric=True)
    nearest = grid.values(grid.codes(weight))
    assert np.isfinite(encoding.decode()).all()
    assert np.abs(encoding.decode() - weight.numpy())[:, 3].max() <= (nearest - weight).abs().max() * 1.5
    nothing = step.code([Target(weight, None, 3)], statistics_of(torch.zeros(5, 32)))[0]
    np.testing.assert_array_equal(nothing.decode(), nearest.numpy())


def test_weights_do_not_run_away_where_calibration_says_nothing_of_most_directions() -> None:
    furthest = []
    for seed in range(40, 60):
        random = torch.Generator().manual_seed(seed)
        inputs = statistics_of(torch.randn(1, 64, generator=random).repeat(4, 1))
        weight = torch.randn(32, 64, generator=random)
        (encoding,) = Gptq(bits=2, group_size=32).code([Target(weight, None, 2)], inputs)
        furthest.append(float(np.abs(encoding.decode()).max() / weight.abs().max()))
    assert max(furthest) < 2.5


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_on_correlated_inputs_it_errs_much_less_than_rounding(bits: int, symmetric: bool) -> None:
    weight = torch.randn(32, 128, generator=torch.Generator().manual_seed(2))
    inputs = statistics_of(correlated_rows(300, 128))
    target = Target(weight, None, bits)
    plain = target.error(round_to_nearest(weight, bits, 32, symmetric), inputs)
    for ordered in (True, False):
        step = Gptq(bits=bits, group_size=32, symmetric=symmetric, activation_order=ordered)
        assert target.error(step.code([target], inputs)[0], inputs) < 0.3 * plain


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("symmetric", [True, False])
def test_no_refinement_makes_the_output_err_more(symmetric: bool, pruned: bool) -> None:
    random = torch.Generator().manual_seed(3)
    kept = torch.rand(16, 70, generator=random) < 0.5 if pruned else None
    weight = torch.randn(16, 70, generator=random) * (1 if kept is None else kept)
    inputs = statistics_of(correlated_rows(100, 70))
    target = Target(weight, kept, 3)
    grid = covering_grid(weight, 3, 32, symmetric)
    coded = Coded(grid, grid.codes(weight))
    errors = [target.error(coded.grid.encoding(coded.codes), inputs)]
    for _ in range(4):
        coded = refined(coded, target, inputs.gram)
        errors.append(target.error(coded.grid.encoding(coded.codes), inputs))
        if kept is not None:
            assert bool((coded.grid.values(coded.codes)[~kept] == 0).all())
    assert all(after <= before * 1.0001 for before, after in pairwise(errors))
    assert errors[-1] < 0.6 * errors[0]


def test_a_refined_code_is_the_best_of_all_while_the_others_stay() -> None:
    """The last one that was set, against every code that it could have had."""
    weight = torch.randn(8, 16, generator=torch.Generator().manual_seed(4))
    inputs = statistics_of(correlated_rows(60, 16))
    target = Target(weight, None, 2)
    grid = covering_grid(weight, 2, 16, symmetric=False)
    coded = refined(Coded(grid, grid.codes(weight)), target, inputs.gram)
    for row, code in product(range(8), range(4)):
        other = coded.codes.clone()
        other[row, -1] = code
        error = target.error(coded.grid.encoding(other), inputs)
        assert target.error(coded.grid.encoding(coded.codes), inputs) <= error * 1.0001


def test_scales_are_fitted_as_least_squares_would() -> None:
    weight = torch.randn(1, 16, generator=torch.Generator().manual_seed(5)) + 0.3
    rows = correlated_rows(60, 16)
    inputs, target = statistics_of(rows), Target(weight, None, 8)
    grid = covering_grid(weight, 8, 16, symmetric=True)
    coarse = Coded(grid, (weight.sign() + 128).to(torch.uint8))
    refitted = refined(coarse, target, inputs.gram)
    x, w = rows.double().numpy(), weight.double().numpy()
    best = np.linalg.lstsq(x @ np.sign(w).T, x @ w.T, rcond=None)[0].item()
    assert float(refitted.grid.scales) == pytest.approx(best, rel=1e-3)
