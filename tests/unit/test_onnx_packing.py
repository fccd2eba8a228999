"""Every encoding, through a real ONNX Runtime session, against its own decode()."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from autocompress.encodings import (
    Codebook,
    Dense,
    Encoding,
    GroupedIntegers,
    Sparse,
    SparseIntegers,
    packed_length,
    packed_zeros,
)
from autocompress.formats.onnx.graph_editor import GraphEditor
from autocompress.formats.onnx.packing import write_weight
from autocompress.formats.onnx.template import Place

GRAPH = "model.onnx"


def grouped(
    rng: np.random.Generator, shape: tuple[int, int], bits: int, group_size: int, symmetric: bool, half: bool = False
) -> GroupedIntegers:
    groups = -(-shape[1] // group_size)
    scales = rng.random((shape[0], groups)).astype(np.float16 if half else np.float32) + np.float16(0.01)
    codes = rng.integers(0, 2**bits, shape).astype(np.uint8)
    zeros = None if symmetric else rng.integers(0, 2**bits, (shape[0], groups)).astype(np.uint8)
    return GroupedIntegers(codes, bits, group_size, scales, zeros)


def codebook(
    rng: np.random.Generator, shape: tuple[int, int], n_centroids: int, group_size: int | None = None, bits: int = 32
) -> Codebook:
    n_groups = 1 if group_size is None else -(-shape[0] * shape[1] // group_size)
    books = np.sort(rng.normal(size=(n_groups, n_centroids)), axis=1)
    indices = rng.integers(0, n_centroids, shape).astype(np.uint8)
    if bits == 8:
        return Codebook(indices, np.rint(books * 30).astype(np.int8), group_size, rng.random(n_groups, np.float32))
    return Codebook(indices, books.astype(np.float16 if bits == 16 else np.float32), group_size)


def sparse(rng: np.random.Generator, shape: tuple[int, int], n_centroids: int | None = None) -> Sparse:
    mask = rng.random(shape) < 0.4
    kept = (1, int(mask.sum()))
    values: Encoding = Dense(rng.normal(size=kept).astype(np.float32))
    return Sparse(mask, codebook(rng, kept, n_centroids) if n_centroids else values)


def editor_for(
    op: str, dims: tuple[int, ...], inputs: dict[str, tuple[int, int | None]], **attributes: int
) -> GraphEditor:
    weight = numpy_helper.from_array(np.zeros(dims, np.float32), "w")
    order = {"Gather": ["w", "x"]}.get(op, ["x", "w"])
    node = helper.make_node(op, order, ["y"], name="layer", **attributes)
    given = [helper.make_tensor_value_info(name, kind, [None] * rank) for name, (kind, rank) in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", given, [output], [weight])
    return GraphEditor(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))


def run(editor: GraphEditor, tmp_path, feeds: dict[str, npt.NDArray]) -> tuple[npt.NDArray, int]:
    path = tmp_path / GRAPH
    editor.save(path)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0], path.stat().st_size


def looked_up(encoding: Encoding, tmp_path) -> tuple[npt.NDArray, int, str]:
    """The whole weight, read through a Gather of all its rows."""
    editor = editor_for("Gather", encoding.shape, {"x": (TensorProto.INT64, 1)})
    words = write_weight(editor, encoding, [Place(GRAPH, "w", False)], "layer.weight")
    rows, size = run(editor, tmp_path, {"x": np.arange(encoding.shape[0])})
    return rows, size, words


def multiplied(encoding: Encoding, tmp_path) -> tuple[npt.NDArray, str]:
    """The weight's transpose, read through a MatMul with the identity."""
    rows, columns = encoding.shape
    editor = editor_for("MatMul", (columns, rows), {"x": (TensorProto.FLOAT, 2)})
    words = write_weight(editor, encoding, [Place(GRAPH, "w", True)], "layer.weight")
    product, _ = run(editor, tmp_path, {"x": np.eye(columns, dtype=np.float32)})
    return product, words


ENCODINGS = {
    **{
        f"int{bits}-group{group}-{'symmetric' if symmetric else 'zeros'}": (bits, group, symmetric)
        for bits in (2, 3, 4, 8)
        for group in (32, 64, 128, 96)
        for symmetric in (True, False)
    },
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_grouped_integers_look_up_exactly_what_they_decode_to(case: str, tmp_path) -> None:
    bits, group, symmetric = ENCODINGS[case]
    encoding = grouped(np.random.default_rng(0), (20, 192), bits, group, symmetric)
    rows, size, words = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())
    assert encoding.packed_bytes <= size <= encoding.packed_bytes + 3000
    assert ("GatherBlockQuantized" in words) == (bits != 3 and group in (32, 64))


@pytest.mark.parametrize("case", ENCODINGS)
def test_grouped_integers_multiply_close_to_what_they_decode_to(case: str, tmp_path) -> None:
    bits, group, symmetric = ENCODINGS[case]
    encoding = grouped(np.random.default_rng(0), (24, 192), bits, group, symmetric)
    product, words = multiplied(encoding, tmp_path)
    if "MatMulNBits" in words:
        assert np.abs(product - encoding.decode().T).max() < 0.01 * np.abs(encoding.decode()).max()
    else:
        np.testing.assert_array_equal(product, encoding.decode().T)
    assert ("MatMulNBits" in words) == (bits != 3 and group != 96)


@pytest.mark.parametrize("n_centroids", [2, 3, 4, 8, 16, 17, 32, 64, 128, 256])
def test_a_codebook_decodes_exactly_and_takes_its_packed_size(n_centroids: int, tmp_path) -> None:
    encoding = codebook(np.random.default_rng(1), (37, 101), n_centroids)
    rows, size, words = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())
    assert encoding.packed_bytes <= size <= encoding.packed_bytes + 3000
    assert "unpacking at load" in words


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("group_size", [None, 101, 4 * 101, 37, 37 * 101, 5000])
def test_codebooks_of_groups_decode_exactly_whatever_they_hold(
    bits: int, group_size: int | None, tmp_path: Path
) -> None:
    encoding = codebook(np.random.default_rng(1), (37, 101), 11, group_size, bits)
    rows, size, _ = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())
    assert encoding.packed_bytes <= size <= encoding.packed_bytes + 3500


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_kept_values_of_a_pruned_weight_decode_from_codebooks_of_groups(bits: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mask = rng.random((37, 101)) < 0.4
    encoding = Sparse(mask, codebook(rng, (1, int(mask.sum())), 16, 300, bits))
    rows, _, _ = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())


@pytest.mark.parametrize("n_centroids", [None, 16, 8])
def test_a_sparse_weight_decodes_exactly_and_takes_its_packed_size(n_centroids: int | None, tmp_path) -> None:
    encoding = sparse(np.random.default_rng(2), (37, 101), n_centroids)
    rows, size, _ = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())
    assert encoding.packed_bytes <= size <= encoding.packed_bytes + 3500


def pruned(
    rng: np.random.Generator, shape: tuple[int, int], bits: int, group_size: int, symmetric: bool, density: float = 0.4
) -> SparseIntegers:
    packed = packed_zeros(grouped(rng, shape, bits, group_size, symmetric), rng.random(shape) < density)
    assert isinstance(packed, SparseIntegers)
    return packed


@pytest.mark.parametrize("case", ENCODINGS)
def test_pruned_integers_look_up_exactly_what_they_decode_to(case: str, tmp_path) -> None:
    encoding = pruned(np.random.default_rng(0), (20, 192), *ENCODINGS[case])
    rows, size, words = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())
    assert encoding.packed_bytes <= size <= encoding.packed_bytes + 6500
    assert "mask" in words


@pytest.mark.parametrize("case", ENCODINGS)
def test_pruned_integers_multiply_as_they_do_with_a_code_for_every_zero(case: str, tmp_path) -> None:
    """The same kernel takes them, at the same rounding of the activations."""
    encoding = pruned(np.random.default_rng(0), (24, 192), *ENCODINGS[case])
    product, words = multiplied(encoding, tmp_path)
    expected, plain_words = multiplied(encoding.integers, tmp_path)
    np.testing.assert_array_equal(product, expected)
    assert ("MatMulNBits" in words) == ("MatMulNBits" in plain_words)


@settings(max_examples=25, deadline=None)
@given(
    bits=st.integers(1, 8),
    rows=st.integers(1, 9),
    columns=st.integers(1, 70),
    group=st.integers(1, 80),
    symmetric=st.booleans(),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_pruned_integers_of_any_width_decode_exactly(
    bits: int, rows: int, columns: int, group: int, symmetric: bool, density: float, seed: int, tmp_path_factory
) -> None:
    rng = np.random.default_rng(seed)
    integers = grouped(rng, (rows, columns), bits, group, symmetric)
    encoding = SparseIntegers(rng.random((rows, columns)) < density, integers)
    given_rows, _, _ = looked_up(encoding, tmp_path_factory.mktemp("any"))
    np.testing.assert_array_equal(given_rows, encoding.decode())


@pytest.mark.parametrize("density", [0.0, 1.0])
def test_a_sparse_weight_may_keep_nothing_or_everything(density: float, tmp_path) -> None:
    mask = np.full((5, 7), bool(density))
    encoding = Sparse(mask, Dense(np.ones((1, int(mask.sum())), np.float32)))
    rows, _, _ = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())


def test_int8_per_output_channel_decodes_exactly(tmp_path) -> None:
    encoding = grouped(np.random.default_rng(3), (24, 96), 8, 96, True)
    product, _ = multiplied(encoding, tmp_path)
    np.testing.assert_array_equal(product, encoding.decode().T)


@pytest.mark.parametrize("bits", [3, 4])
def test_half_precision_scales_are_stored_as_such_and_used_in_float32(bits: int, tmp_path) -> None:
    encoding = grouped(np.random.default_rng(4), (20, 64), bits, 32, True, half=True)
    rows, size, _ = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())
    assert size <= encoding.packed_bytes + 3000


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize(("bits", "symmetric"), [(4, True), (2, False), (8, False)])
def test_input_scales_divide_what_the_kernel_multiplies(bits: int, symmetric: bool, half: bool, tmp_path) -> None:
    rng = np.random.default_rng(8)
    scales = np.exp(rng.normal(size=100)).astype(np.float16 if half else np.float32)
    encoding = replace(grouped(rng, (24, 100), bits, 32, symmetric), input_scales=scales)
    product, words = multiplied(encoding, tmp_path)
    assert "MatMulNBits" in words
    assert np.abs((product - encoding.decode().T) * scales[:, None]).max() < 0.01 * np.abs(encoding.decode()).max()


@pytest.mark.parametrize("bits", [3, 4])
def test_input_scales_divide_a_weight_that_is_unpacked_at_load(bits: int, tmp_path) -> None:
    rng = np.random.default_rng(9)
    scales = np.exp(rng.normal(size=96)).astype(np.float16)
    encoding = replace(grouped(rng, (24, 96), bits, 32, False), input_scales=scales)
    rows, _, words = looked_up(encoding, tmp_path)
    np.testing.assert_array_equal(rows, encoding.decode())
    assert "unpacking at load" in words


def test_float16_values_in_a_float32_graph_are_stored_as_such(tmp_path) -> None:
    values = np.random.default_rng(0).normal(size=(24, 40)).astype(np.float16)
    rows, size, words = looked_up(Dense(values), tmp_path)
    np.testing.assert_array_equal(rows, values.astype(np.float32))
    assert values.nbytes <= size <= values.nbytes + 1000
    assert words.startswith("float16 weights")


def test_a_convolution_kernel_keeps_its_shape_and_the_folded_factors(tmp_path) -> None:
    rng = np.random.default_rng(5)
    encoding = codebook(rng, (4, 27), 16)
    factors = tuple(rng.random(4).tolist())
    editor = editor_for("Conv", (4, 3, 3, 3), {"x": (TensorProto.FLOAT, 4)})
    write_weight(editor, encoding, [Place(GRAPH, "w", False, factors)], "conv.weight")
    impulse = np.zeros((1, 3, 3, 3), np.float32)
    impulse[0, 1, 1, 1] = 1
    product, _ = run(editor, tmp_path, {"x": impulse})
    expected = encoding.decode().reshape(4, 3, 3, 3)[:, 1, 1, 1] * np.array(factors, np.float32)
    np.testing.assert_allclose(product.reshape(4), expected, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["dense", "grouped", "codebook", "int3"])
def test_a_weight_shared_by_embedding_and_head_is_stored_once(encoding: str, tmp_path) -> None:
    rng = np.random.default_rng(6)
    shape = (300, 64)
    made: dict[str, Encoding] = {
        "dense": Dense(rng.normal(size=shape).astype(np.float32)),
        "grouped": grouped(rng, shape, 4, 32, False),
        "codebook": codebook(rng, shape, 16),
        "int3": grouped(rng, shape, 3, 32, True),
    }
    weight = made[encoding]
    arrays = [np.zeros(shape, np.float32), np.zeros(shape[::-1], np.float32)]
    graph = helper.make_graph(
        [helper.make_node("Gather", ["e", "ids"], ["h"]), helper.make_node("MatMul", ["h", "o"], ["y"])],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for array, name in zip(arrays, "eo", strict=True)],
    )
    editor = GraphEditor(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))
    write_weight(editor, weight, [Place(GRAPH, "e", False), Place(GRAPH, "o", True)], "shared")
    product, size = run(editor, tmp_path, {"ids": np.arange(5)})
    decoded = weight.decode()
    np.testing.assert_allclose(product, decoded[:5] @ decoded.T, atol=0.02 * np.abs(decoded[:5] @ decoded.T).max())
    assert size <= weight.packed_bytes + 3500


@settings(max_examples=25, deadline=None)
@given(
    bits=st.integers(1, 8),
    rows=st.integers(1, 9),
    columns=st.integers(1, 70),
    group=st.integers(1, 80),
    symmetric=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_width_and_group_decodes_exactly(
    bits: int, rows: int, columns: int, group: int, symmetric: bool, seed: int, tmp_path_factory
) -> None:
    encoding = grouped(np.random.default_rng(seed), (rows, columns), bits, group, symmetric)
    given_rows, size, _ = looked_up(encoding, tmp_path_factory.mktemp("any"))
    np.testing.assert_array_equal(given_rows, encoding.decode())
    assert size <= packed_length(rows * columns, bits) + encoding.scales.nbytes * 2 + 3500


def test_the_same_weight_gives_the_same_bytes(tmp_path) -> None:
    made = []
    for _ in range(2):
        encoding = sparse(np.random.default_rng(7), (20, 30), 16)
        editor = editor_for("Gather", encoding.shape, {"x": (TensorProto.INT64, 1)})
        write_weight(editor, encoding, [Place(GRAPH, "w", False)], "layer.weight")
        editor.save(tmp_path / GRAPH)
        made.append(io.BytesIO((tmp_path / GRAPH).read_bytes()).getvalue())
    assert made[0] == made[1]


@pytest.mark.parametrize("kind", ["packed", "3-bit indices", "int3", "int3 per row", "int5 with zeros", "half"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_rows_are_looked_up_by_ids_of_any_shape(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made: dict[str, Encoding] = {
        "packed": codebook(rng, (20, 36), 11),
        "3-bit indices": codebook(rng, (20, 36), 8),
        "int3": grouped(rng, (20, 40), 3, 16, True),
        "int3 per row": grouped(rng, (20, 40), 3, 40, True),
        "int5 with zeros": grouped(rng, (20, 40), 5, 16, False),
        "half": replace(grouped(rng, (20, 40), 3, 8, True), input_scales=rng.random(40, np.float32) + np.float32(0.5)),
    }
    encoding = made[kind]
    like = np.float16 if kind == "half" else np.float32
    weight = numpy_helper.from_array(np.zeros(encoding.shape, like), "w")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["w", "ids"], ["y"])],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [None] * len(shape))],
        [helper.make_tensor_value_info("y", weight.data_type, None)],
        [weight],
    )
    editor = GraphEditor(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))
    words = write_weight(editor, encoding, [Place(GRAPH, "w", False)], "layer.weight")
    ids = rng.integers(0, 20, shape)
    rows, _ = run(editor, tmp_path, {"ids": np.array(ids)})
    np.testing.assert_array_equal(rows, encoding.decode()[ids].astype(like))
    assert "float" not in words
