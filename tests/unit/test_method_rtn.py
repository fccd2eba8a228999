"""Rounding to the nearest code errs by no more than the codes allow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import bert, compressed, resnet

from autocompress.methods.integer_coding import round_to_nearest
from autocompress.methods.rtn import RoundToNearest
from autocompress.model_state import facts_of


@given(
    st.sampled_from([2, 3, 4, 8]), st.sampled_from([16, 32]), st.booleans(), st.integers(1, 70),
    st.floats(1e-6, 1e3), st.integers(0, 99),
)  # fmt: skip
def test_no_value_errs_by_more_than_half_a_step_or_one_at_the_end_that_lacks_a_code(
    bits: int, group_size: int, symmetric: bool, columns: int, size: float, seed: int
) -> None:
    matrix = torch.randn(3, columns, generator=torch.Generator().manual_seed(seed)) * size
    encoding = round_to_nearest(matrix, bits, group_size, symmetric)
    steps = np.abs(np.repeat(encoding.scales.astype(np.float64), group_size, axis=1)[:, :columns])
    largest_error = np.where((encoding.codes == 2**bits - 1) & symmetric, 1.0, 0.5)
    # Scales are rounded to float16, so that the outermost code may fall short of the largest value by that much.
    slack = 2**bits * 2.0**-11
    assert (np.abs(encoding.decode() - matrix.numpy()) <= steps * (largest_error + slack) + 1e-6 * size).all()


@pytest.mark.parametrize("symmetric", [True, False])
def test_codes_are_those_of_the_formula_written_out(symmetric: bool) -> None:
    row = np.array([0.7, -0.35, 0.1, 0.0], np.float32)
    encoding = round_to_nearest(torch.from_numpy(row[None]), 4, 16, symmetric)
    if symmetric:
        step = float(np.float16(-0.7 / 8))
        expected = [round(value / step) + 8 for value in row.tolist()]
    else:
        step = float(np.float16(1.05 / 15))
        zero = round(0.35 / step)
        expected = [min(15, max(0, round(value / step) + zero)) for value in row.tolist()]
        assert encoding.zero_points.tolist() == [[zero]]
    assert encoding.codes.tolist() == [expected]


@pytest.mark.parametrize("symmetric", [True, False])
def test_zeros_of_a_pruned_weight_stay_zero(symmetric: bool, tmp_path: Path) -> None:
    pruned = compressed(bert(), tmp_path, "magnitude")
    zeros = {weight.name: weight.matrix == 0 for weight in pruned.weights("linear")}
    both = compressed(bert(), tmp_path, "magnitude", {"rtn": {"group_size": 32, "symmetric": symmetric}})
    for weight in both.weights("linear"):
        assert bool((weight.matrix[zeros[weight.name]] == 0).all())


def test_bytes_are_bits_and_scales(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"rtn": {"bits": 4, "group_size": 32}})
    encoding = model.encodings["bert.encoder.layer.0.intermediate.dense.weight"]
    assert encoding.packed_bytes == 128 * 64 // 2 + 128 * 2 * 2


def test_weights_narrower_than_a_group_stay_dense(tmp_path: Path) -> None:
    names = compressed(bert(), tmp_path, {"rtn": {"group_size": 128}}).encodings
    assert set(names) == {f"bert.encoder.layer.{index}.output.dense.weight" for index in (0, 1)}


def test_it_is_refused_only_when_every_weight_is_too_narrow() -> None:
    facts = facts_of(resnet(), "any")
    assert RoundToNearest(group_size=64).refuses(facts) is None
    assert "wider than every weight" in RoundToNearest(group_size=256).refuses(facts)


def test_scales_below_half_precision_are_kept_in_full() -> None:
    encoding = round_to_nearest(torch.full((1, 32), 1e-7), 8, 32, True)
    assert encoding.scales.dtype == np.float32
    np.testing.assert_allclose(encoding.decode(), 1e-7, rtol=1e-3)
