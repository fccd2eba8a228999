"""Prepared samples come back from disk exactly as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autocompress.sample_store import load_samples, save_samples
from autocompress.tasks.base import Sample

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=8)
plain_targets = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
samples = st.builds(Sample, inputs=st.dictionaries(names, arrays, max_size=3), target=st.one_of(plain_targets, arrays))


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)
    else:
        assert (type(found), found) == (type(expected), expected)


@given(st.lists(samples, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_samples_come_back_as_they_were_and_in_order(tmp_path: Path, given_samples: list[Sample]) -> None:
    path = tmp_path / "deep" / "samples.safetensors"
    save_samples(given_samples, path)
    found = load_samples(path)
    assert len(found) == len(given_samples)
    for mine, original in zip(found, given_samples, strict=True):
        assert mine.inputs.keys() == original.inputs.keys()
        for name, array in original.inputs.items():
            assert_same(mine.inputs[name], array)
        assert_same(mine.target, original.target)


@pytest.mark.parametrize("target", [np.int64(3), np.float32(0.5), np.bool_(True)])
def test_a_numpy_scalar_comes_back_as_the_plain_number(tmp_path: Path, target: Any) -> None:
    save_samples([Sample({"x": np.zeros(1)}, target)], tmp_path / "s")
    assert_same(load_samples(tmp_path / "s")[0].target, target.item())


def test_views_and_foreign_byte_orders_keep_their_values(tmp_path: Path) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = {"transposed": whole.T, "strided": whole[::2, ::3], "big_endian": whole.astype(">f4")}
    save_samples([Sample(views, 0)], tmp_path / "s")
    for name, array in load_samples(tmp_path / "s")[0].inputs.items():
        np.testing.assert_array_equal(array, views[name])


def test_more_than_ten_samples_stay_in_numeric_order(tmp_path: Path) -> None:
    save_samples([Sample({"x": np.full(2, number)}, number) for number in range(25)], tmp_path / "s")
    assert [(int(sample.inputs["x"][0]), sample.target) for sample in load_samples(tmp_path / "s")] == [
        (number, number) for number in range(25)
    ]
