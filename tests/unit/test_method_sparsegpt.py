"""SparseGPT, against optimal brain surgery written out with an explicit inverse for every row and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import MODELS, compressed

from autocompress.compressible import CompressibleModel
from autocompress.encodings import Sparse
from autocompress.layer_inputs import InputStatistics, observe
from autocompress.methods import sparsegpt
from autocompress.methods.sparsegpt import SparseGpt, inverse_factor
from autocompress.methods.wanda import Wanda

DAMPING = 0.01


def correlated(rng: np.random.Generator, n_rows: int, columns: int) -> InputStatistics:
    """Inputs that share a few causes, so that kept weights can make up for lost ones."""
    inputs = InputStatistics.empty(columns, "cpu")
    causes = rng.normal(size=(n_rows, 4)) @ rng.normal(size=(4, columns))
    inputs.add(torch.from_numpy((causes + 0.3 * rng.normal(size=(n_rows, columns))).astype(np.float32)))
    return inputs


def surgery(matrix: np.ndarray, gram: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Lose the weights outside ``keep`` in order; all later columns make up for each by the inverse Hessian."""
    columns = matrix.shape[1]
    hessian = gram + DAMPING * np.diag(gram).mean() * np.eye(columns)
    values = matrix.astype(np.float64).copy()
    for row in range(len(values)):
        for column in range(columns):
            if not keep[row, column]:
                inverse = np.linalg.inv(hessian[column:, column:])
                values[row, column:] -= values[row, column] / inverse[0, 0] * inverse[0]
                values[row, column] = 0
    return values


def costs(values: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """What each weight's loss costs, all columns before its own being fixed."""
    columns = values.shape[1]
    hessian = gram + DAMPING * np.diag(gram).mean() * np.eye(columns)
    diagonal = [np.linalg.inv(hessian[column:, column:])[0, 0] for column in range(columns)]
    return values**2 / np.array(diagonal)


def case(seed: int, rows: int, columns: int) -> tuple[np.ndarray, InputStatistics, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = correlated(rng, 3 * columns, columns)
    return rng.normal(size=(rows, columns)).astype(np.float32), inputs, inputs.gram.double().numpy()


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.7])
def test_values_and_mask_of_one_block_are_those_of_the_formula(sparsity: float) -> None:
    matrix, inputs, gram = case(0, 5, 24)
    found = SparseGpt(sparsity=sparsity).compensated(torch.from_numpy(matrix), inverse_factor(inputs.gram, DAMPING))
    cost = costs(matrix, gram)
    keep = cost > np.sort(cost.ravel())[round(cost.size * sparsity) - 1]
    assert np.array_equal(found.mask.numpy(), keep)
    np.testing.assert_allclose(found.matrix.numpy(), surgery(matrix, gram, keep), atol=1e-4)


def test_later_blocks_choose_among_weights_that_have_made_up_for_earlier_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparsegpt, "BLOCK_COLUMNS", 8)
    matrix, inputs, gram = case(1, 4, 20)
    found = SparseGpt(sparsity=0.5).compensated(torch.from_numpy(matrix), inverse_factor(inputs.gram, DAMPING))
    keep = np.ones_like(matrix, bool)
    for start in range(0, 20, 8):
        block = slice(start, start + 8)
        cost = costs(surgery(matrix, gram, keep), gram)[:, block]
        keep[:, block] = cost > np.sort(cost.ravel())[round(cost.size * 0.5) - 1]
    assert np.array_equal(found.mask.numpy(), keep)
    np.testing.assert_allclose(found.matrix.numpy(), surgery(matrix, gram, keep), atol=1e-4)


@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
def test_each_group_of_a_pattern_is_chosen_when_its_turn_comes(pattern: str) -> None:
    n_kept, width = map(int, pattern.split(":"))
    matrix, inputs, gram = case(2, 4, 22)
    found = SparseGpt(pattern=pattern).compensated(torch.from_numpy(matrix), inverse_factor(inputs.gram, DAMPING))
    keep = np.ones_like(matrix, bool)
    for start in range(0, 22, width):
        group = slice(start, start + width)
        cost = costs(surgery(matrix, gram, keep), gram)[:, group]
        keep[:, group] = np.argsort(np.argsort(-cost)) < n_kept
    assert np.array_equal(found.mask.numpy(), keep)
    np.testing.assert_allclose(found.matrix.numpy(), surgery(matrix, gram, keep), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 12), st.integers(9, 60), st.sampled_from([0.1, 0.3, 0.5, 0.7, "2:4", "4:8"]))
def test_its_output_never_errs_more_than_that_of_wanda_and_magnitude(
    seed: int, rows: int, columns: int, budget: float | str
) -> None:
    knobs = {"pattern": budget} if isinstance(budget, str) else {"sparsity": budget}
    drawn, inputs, _ = case(seed, rows, columns)
    matrix = torch.from_numpy(drawn)
    (found,) = SparseGpt(**knobs).prune([matrix], inputs)
    (wanda,) = Wanda(**knobs).prune([matrix], inputs)
    magnitude = Wanda(**knobs).by_magnitude(matrix)
    error = inputs.output_error(found.matrix - matrix)
    assert error <= inputs.output_error(wanda.matrix - matrix)
    assert error <= inputs.output_error(magnitude.matrix - matrix)
    assert not found.matrix[~found.mask].any()


def test_correlated_inputs_make_it_err_much_less() -> None:
    matrix, inputs, _ = case(3, 32, 64)
    errors = {
        kind.tag: inputs.output_error(kind(sparsity=0.5).prune([torch.from_numpy(matrix)], inputs)[0].matrix - matrix)
        for kind in (Wanda, SparseGpt)
    }
    assert errors["sparsegpt"] < 0.5 * errors["wanda"]


def test_inputs_that_are_always_zero_are_no_obstacle() -> None:
    matrix = torch.from_numpy(case(4, 6, 16)[0])
    inputs = InputStatistics.empty(16, "cpu")
    inputs.add(torch.zeros(10, 16))
    (found,) = SparseGpt(sparsity=0.5).prune([matrix], inputs)
    assert torch.equal(found.mask, SparseGpt(sparsity=0.5).by_magnitude(matrix).mask)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_layer_of_every_model_errs_no_more_than_by_wanda(name: str, tmp_path: Path) -> None:
    build, call = MODELS[name]
    found = compressed(build({}), tmp_path, {"sparsegpt": {"sparsity": 0.5}}, calibration=[call])
    weights = list(CompressibleModel(build({})).in_scope("layers"))
    inputs = observe(build({}), weights[:1], [call], "cpu")
    assert found.encodings.keys() == {weight.name for weight in weights}
    for weight in weights:
        encoding = found.encodings[weight.name]
        assert isinstance(encoding, Sparse)
        assert encoding.mask.mean() == pytest.approx(0.5, abs=0.13)
        if weight.name in inputs:  # the first layer, whose inputs pruning does not change
            (wanda,) = Wanda(sparsity=0.5).prune([weight.matrix], inputs[weight.name])
            error = inputs[weight.name].output_error(torch.from_numpy(encoding.decode()) - weight.matrix)
            assert error <= inputs[weight.name].output_error(wanda.matrix - weight.matrix)
