"""Weights as OpenVINO nodes, executed by OpenVINO and compared with what the encodings decode to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompress.encodings import Codebook, Dense, Encoding, GroupedIntegers, Sparse, SparseIntegers
from autocompress.errors import ModelError

ov = pytest.importorskip("openvino")

from openvino import opset15 as ops  # noqa: E402

from autocompress.formats.openvino.core import core  # noqa: E402
from autocompress.formats.openvino.half_precision import store_half  # noqa: E402
from autocompress.formats.openvino.stored_weight import (  # noqa: E402
    PACKED_FILE,
    StoredWeight,
    read_packed,
    write_packed,
)
from autocompress.formats.openvino.weight_nodes import for_runtime, int8_rows, is_native, weight_node  # noqa: E402

EXACT = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}


def random_integers(
    rows: int, groups: int, size: int, bits: int, symmetric: bool, seed: int = 0, half: bool = False
) -> GroupedIntegers:
    rng = np.random.default_rng(seed)
    return GroupedIntegers(
        codes=rng.integers(0, 2**bits, (rows, groups * size)).astype(np.uint8),
        bits=bits,
        group_size=size,
        scales=rng.normal(size=(rows, groups)).astype(np.float16 if half else np.float32),
        zero_points=None if symmetric else rng.integers(0, 2**bits, (rows, groups)).astype(np.uint8),
    )


def random_codebook(bits: int, books: int = 1, quantized: bool = False) -> Codebook:
    rng = np.random.default_rng(bits)
    count = 2**bits
    centroids = (
        rng.integers(-127, 128, (books, count)).astype(np.int8) if quantized else rng.normal(size=(books, count))
    )
    return Codebook(
        indices=rng.integers(0, count, (12, 10)).astype(np.uint8),
        centroids=centroids if quantized else centroids.astype(np.float32),
        group_size=None if books == 1 else 120 // books,
        scales=rng.random(books).astype(np.float32) if quantized else None,
    )


def executed(node: Any) -> np.ndarray:
    """What OpenVINO computes for a node without inputs."""
    shape = node.get_output_shape(0)
    zeros = ops.parameter(shape, np.float32)
    compiled = core().compile_model(ov.Model([ops.add(zeros, node)], [zeros]), "CPU", EXACT)
    result: np.ndarray = compiled([np.zeros(shape, np.float32)])[0]
    return result


def multiplying_layer(node: Any) -> tuple[str, str]:
    """Type and precision of the weight's constant in what OpenVINO makes of a linear layer, and of the layer itself."""
    inputs = ops.parameter([-1, node.get_output_shape(0)[1]], np.float32)
    model = ov.Model([ops.matmul(inputs, node, transpose_a=False, transpose_b=True)], [inputs])
    compiled = core().compile_model(model, "CPU", EXACT)
    layers = [
        (str(layer.get_rt_info()["layerType"].value), str(layer.get_rt_info()["runtimePrecision"].value))
        for layer in compiled.get_runtime_model().get_ordered_ops()
    ]
    return next(layer for layer in layers if layer[0] == "FullyConnected")


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 9),
    groups=st.integers(1, 3),
    size=st.integers(1, 19),
    bits=st.sampled_from([2, 4, 8]),
    symmetric=st.booleans(),
    half=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_integers_of_any_shape_are_decoded_to_the_bit(
    rows: int, groups: int, size: int, bits: int, symmetric: bool, half: bool, seed: int
) -> None:
    encoding = random_integers(rows, groups, size, bits, symmetric, seed, half)
    assert is_native(encoding)
    np.testing.assert_array_equal(executed(weight_node(encoding)), encoding.decode())


@pytest.mark.parametrize("books", [1, 4])
@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codebooks_are_looked_up_to_the_bit(bits: int, quantized: bool, books: int) -> None:
    encoding = random_codebook(bits, books, quantized)
    assert is_native(encoding)
    np.testing.assert_array_equal(executed(weight_node(encoding)), encoding.decode())


@pytest.mark.parametrize(
    "encoding",
    [
        random_codebook(3),
        random_codebook(5),
        replace(random_codebook(4, books=8), indices=random_codebook(4).indices),  # 15 weights a book, 10 a row
        random_integers(5, 2, 8, 3, symmetric=True),
        replace(random_integers(5, 2, 8, 4, symmetric=True), codes=np.zeros((5, 13), np.uint8)),
        replace(random_integers(5, 2, 8, 4, symmetric=True), input_scales=np.full(16, 2, np.float16)),
        Sparse(np.eye(4, dtype=np.bool_), Dense(np.ones((1, 4), np.float32))),
        SparseIntegers(np.eye(5, 16, dtype=np.bool_), random_integers(5, 2, 8, 3, symmetric=False)),
    ],
    ids=lambda encoding: encoding.kind,
)
def test_what_openvino_has_no_form_for_is_kept_beside_the_graph_and_decoded_at_load(
    tmp_path: Path, encoding: Encoding
) -> None:
    assert not is_native(encoding)
    write_packed({"a.weight": StoredWeight(encoding)}, tmp_path)
    stored = read_packed(tmp_path)["a.weight"]
    np.testing.assert_array_equal(stored.encoding.decode(), encoding.decode())
    np.testing.assert_array_equal(executed(weight_node(stored.runtime_form)), encoding.decode())
    assert (tmp_path / PACKED_FILE).stat().st_size <= encoding.packed_bytes + 1000


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [3, 5, 6, 7])
def test_widened_integers_stand_for_the_same_values(bits: int, symmetric: bool) -> None:
    encoding = random_integers(5, 3, 7, bits, symmetric)
    wider = for_runtime(encoding)
    assert is_native(wider)
    np.testing.assert_array_equal(wider.decode(), encoding.decode())


@pytest.mark.parametrize(
    ("bits", "symmetric", "kept"),
    [(8, True, "i8"), (8, False, "u8"), (4, True, "i4"), (4, False, "u4"), (2, True, "u2"), (2, False, "u2")],
)
@pytest.mark.parametrize(("groups", "size"), [(1, 128), (2, 64), (4, 32)])
def test_linear_layers_multiply_with_the_integers_themselves(
    bits: int, symmetric: bool, kept: str, groups: int, size: int
) -> None:
    node = weight_node(random_integers(64, groups, size, bits, symmetric, half=True))
    assert multiplying_layer(node) == ("FullyConnected", kept)


def test_a_codebook_becomes_plain_floats_when_the_graph_is_compiled() -> None:
    assert multiplying_layer(weight_node(random_codebook(4))) == ("FullyConnected", "f32")


@pytest.mark.parametrize("per_channel", [False, True])
def test_int8_rows_are_rounded_to_the_nearest_code(per_channel: bool) -> None:
    matrix = np.random.default_rng(0).normal(size=(7, 33)).astype(np.float32)
    matrix[2] = 0
    encoding = int8_rows(matrix, per_channel)
    largest = np.abs(matrix).max(axis=1) if per_channel else np.full(7, np.abs(matrix).max())
    assert np.all(np.abs(encoding.decode() - matrix) <= (largest / 127 / 2 * 1.0001)[:, None])
    assert np.all(encoding.decode()[2] == 0)
    assert encoding.codes.min() >= 1


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_long_constants_are_stored_in_half_precision_and_rounded_as_torch_does(kind: str) -> None:
    import torch

    values = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    short = np.array([1 + 2**-20], np.float32)
    inputs = ops.parameter([8, 16], np.float32)
    model = ov.Model([ops.add(ops.multiply(inputs, ops.constant(short)), ops.constant(values))], [inputs])
    store_half(model, getattr(ov.Type, kind))
    kinds = {node.get_element_type() for node in model.get_ops() if node.get_type_name() == "Constant"}
    assert kinds == {getattr(ov.Type, kind), ov.Type.f32}
    given = core().compile_model(model, "CPU", EXACT)([np.zeros((8, 16), np.float32)])[0]
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16}[kind]
    np.testing.assert_array_equal(given, torch.from_numpy(values).to(dtype).float().numpy())


def test_a_damaged_file_of_packed_weights_is_told(tmp_path: Path) -> None:
    write_packed({"a": StoredWeight(random_codebook(3))}, tmp_path)
    path = tmp_path / PACKED_FILE
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelError, match="cannot be read"):
        read_packed(tmp_path)


def test_no_file_is_written_without_packed_weights(tmp_path: Path) -> None:
    write_packed({}, tmp_path)
    assert not list(tmp_path.iterdir())
    assert read_packed(tmp_path) == {}
