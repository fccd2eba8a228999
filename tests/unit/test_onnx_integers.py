"""Int8 kernels in ONNX graphs: how their integers are stored, smoothing, ranges of activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from autocompress.encodings import Codebook, Dense, Encoding, GroupedIntegers, Sparse, SparseIntegers
from autocompress.formats.onnx.calibration import activation_ranges
from autocompress.formats.onnx.graph_editor import GraphEditor
from autocompress.formats.onnx.int8_dynamic import quantize_dynamic
from autocompress.formats.onnx.int8_static import quantize_static
from autocompress.formats.onnx.integer_storage import coded_weights
from autocompress.formats.onnx.packing import write_weight
from autocompress.formats.onnx.smoothing import divide_inputs, is_smoothable
from autocompress.formats.onnx.template import Place
from autocompress.methods.int8_static import Int8Static

SHAPE = (96, 128)
PLACE = Place("model.onnx", "w", True)


def codebook(rng: np.random.Generator, n_centroids: int, shape: tuple[int, int] = SHAPE) -> Codebook:
    centroids = np.sort(rng.normal(size=(1, n_centroids))).astype(np.float32)
    return Codebook(rng.integers(0, n_centroids, shape).astype(np.uint8), centroids)


def codebooks(rng: np.random.Generator, group_size: int) -> Codebook:
    n_groups = -(-SHAPE[0] * SHAPE[1] // group_size)
    centroids = np.sort(rng.normal(size=(n_groups, 8))).astype(np.float16)
    return Codebook(rng.integers(0, 8, SHAPE).astype(np.uint8), centroids, group_size)


def grouped(rng: np.random.Generator, bits: int, group_size: int = 32, symmetric: bool = True) -> GroupedIntegers:
    groups = (SHAPE[0], -(-SHAPE[1] // group_size))
    scales = rng.random(groups).astype(np.float32) + np.float32(0.01)
    zeros = None if symmetric else rng.integers(0, 2**bits, groups).astype(np.uint8)
    return GroupedIntegers(rng.integers(0, 2**bits, SHAPE).astype(np.uint8), bits, group_size, scales, zeros)


def pruned(rng: np.random.Generator, values: bool) -> Sparse:
    mask = rng.random(SHAPE) < 0.4
    kept = (1, int(mask.sum()))
    return Sparse(mask, codebook(rng, 8, kept) if values else Dense(rng.normal(size=kept).astype(np.float32)))


def encodings() -> dict[str, tuple[Encoding, float]]:
    """Each with the bits that a weight takes in the file."""
    rng = np.random.default_rng(0)
    return {
        "4-bit codebook": (codebook(rng, 16), 4),
        "6-bit codebook": (codebook(rng, 64), 6),
        "int3": (grouped(rng, 3), 3 + 32 / 32),
        "int4": (grouped(rng, 4), 4 + 32 / 32),
        "int4 with zeros": (grouped(rng, 4, 64, symmetric=False), 4 + (32 + 4) / 64),
        "int2 in narrower last groups": (grouped(rng, 2, 48), 2.25 + 32 * 3 / 128),
        "int5 per row": (grouped(rng, 5, 128, symmetric=False), 5 + (32 + 8) / 128),
        "int4 divided by input": (
            replace(grouped(rng, 4), input_scales=rng.uniform(0.5, 2, SHAPE[1]).astype(np.float16)),
            4 + 32 / 32,
        ),
        "pruned int4": (SparseIntegers(rng.random(SHAPE) < 0.4, grouped(rng, 4)), 1 + 4 * 0.4 + 32 / 32),
        "codebooks in a row": (codebooks(rng, SHAPE[1] // 2), 3 + 8 * 16 / 64),
        "codebooks across rows": (codebooks(rng, 300), 3 + 8 * 16 / 300),
        "pruned codebook": (pruned(rng, values=True), 1 + 3 * 0.4),
        "pruned": (pruned(rng, values=False), 1 + 8 * 0.4),
        "int8": (grouped(rng, 8), 8),
    }


def linear_graph(shape: tuple[int, int] = SHAPE) -> onnx.ModelProto:
    """y = x · w, shape (n, in) to (n, out); ``shape`` is (out, in)."""
    weight = numpy_helper.from_array(np.zeros(shape[::-1], np.float32), "w")
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, shape[1]])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, shape[0]])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [given], [output], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def session_of(editor: GraphEditor, path: Path) -> tuple[ort.InferenceSession, Counter[str]]:
    """The session, and the operators that ONNX Runtime is left with."""
    editor.save(path)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimized"))
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    left = onnx.load(options.optimized_model_filepath)
    return session, Counter(node.op_type for node in left.graph.node)


@pytest.mark.parametrize("case", encodings())
@pytest.mark.parametrize("per_channel", [False, True])
def test_integers_from_fewer_bits_are_those_that_would_be_stored(case: str, per_channel: bool, tmp_path: Path) -> None:
    encoding, bits = encodings()[case]
    x = np.random.default_rng(1).normal(size=(5, SHAPE[1])).astype(np.float32)
    results, operators, sizes = [], [], []
    for coded in ({}, coded_weights("layer.weight", encoding, [PLACE])):
        editor = GraphEditor(linear_graph())
        write_weight(editor, Dense(encoding.decode()), [PLACE], "layer.weight")
        words = quantize_dynamic(editor, per_channel=per_channel, coded=coded)
        path = tmp_path / f"{len(sizes)}.onnx"
        session, left = session_of(editor, path)
        results.append(session.run(None, {"x": x})[0])
        operators.append(left)
        sizes.append(path.stat().st_size)
    np.testing.assert_array_equal(results[0], results[1])
    assert operators[0] == operators[1]
    assert set(operators[1]) <= {"DynamicQuantizeMatMul", "DynamicQuantizeLinear", "MatMulIntegerToFloat"}
    n_weights, scales = SHAPE[0] * SHAPE[1], 4 * SHAPE[0]
    assert n_weights * bits / 8 * 0.98 <= sizes[1] <= n_weights * bits / 8 * 1.02 + scales + 4000
    assert any("unpacked at load" in word for word in words) == (bits < 8)


@pytest.mark.parametrize("case", ["4-bit codebook", "int3", "pruned codebook"])
def test_static_kernels_take_the_same_integers_too(case: str, tmp_path: Path) -> None:
    encoding, _ = encodings()[case]
    rng = np.random.default_rng(1)
    samples = [{"x": rng.normal(size=(n, SHAPE[1])).astype(np.float32)} for n in (3, 4)]
    results, sizes = [], []
    for coded in ({}, coded_weights("layer.weight", encoding, [PLACE])):
        editor = GraphEditor(linear_graph())
        write_weight(editor, Dense(encoding.decode()), [PLACE], "layer.weight")
        quantized, _ = quantize_static(editor, Int8Static(), samples, coded, [])
        path = tmp_path / f"{len(sizes)}.onnx"
        session, left = session_of(quantized, path)
        assert "QLinearMatMul" in left
        assert "Round" not in left
        results.append(session.run(None, samples[0])[0])
        sizes.append(path.stat().st_size)
    np.testing.assert_array_equal(results[0], results[1])
    assert sizes[1] < 0.9 * sizes[0]


def test_integers_are_right_where_a_weight_has_the_name_of_its_initializer(tmp_path: Path) -> None:
    """The two forms of it that are compared by size are then stored side by side."""
    encoding = pruned(np.random.default_rng(0), values=True)
    x = np.random.default_rng(1).normal(size=(5, SHAPE[1])).astype(np.float32)
    results = []
    for coded in ({}, coded_weights("w", encoding, [PLACE])):
        editor = GraphEditor(linear_graph())
        write_weight(editor, Dense(encoding.decode()), [PLACE], "w")
        quantize_dynamic(editor, per_channel=True, coded=coded)
        session, _ = session_of(editor, tmp_path / "model.onnx")
        results.append(session.run(None, {"x": x})[0])
    np.testing.assert_array_equal(results[0], results[1])


MOST_BYTES = {"4-bit codebook": (4, 7.5), "int4": (10.5, 10.5), "pruned codebook": (13, 16.8), "int3": (11.5, 11.5)}
"""What all nodes that make a weight give, for each of its values: with one scale, and with one for each row."""


@pytest.mark.parametrize("case", MOST_BYTES)
@pytest.mark.parametrize("per_channel", [False, True])
def test_little_is_held_for_each_weight_while_integers_are_made(case: str, per_channel: bool) -> None:
    """ONNX Runtime keeps all that it folds until the last weight is done."""
    shape = (768, 384)
    rng = np.random.default_rng(0)
    scales = rng.random((768, 6)).astype(np.float32) + np.float32(0.01)
    mask = rng.random(shape) < 0.5
    encoding: Encoding = {
        "4-bit codebook": codebook(rng, 16, shape),
        "int4": GroupedIntegers(rng.integers(0, 16, shape).astype(np.uint8), 4, 64, scales),
        "int3": GroupedIntegers(rng.integers(0, 8, shape).astype(np.uint8), 3, 64, scales),
        "pruned codebook": Sparse(mask, codebook(rng, 16, (1, int(mask.sum())))),
    }[case]
    editor = GraphEditor(linear_graph(shape))
    write_weight(editor, Dense(encoding.decode()), [PLACE], "layer.weight")
    quantize_dynamic(editor, per_channel=per_channel, coded=coded_weights("layer.weight", encoding, [PLACE]))
    assert bytes_made(editor.to_model()) / encoding.decode().size < MOST_BYTES[case][per_channel] + 0.3


def bytes_made(model: onnx.ModelProto) -> int:
    """Bytes of all that nodes give whose inputs are initializers or such nodes' outputs."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    known = {value.name: value.type.tensor_type for value in inferred.graph.value_info}
    constant = {tensor.name for tensor in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if constant.issuperset(node.input) and node.op_type not in ("Identity", "Mul"):
            constant.update(node.output)
            kind = known[node.output[0]]
            n_bytes = helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize
            total += n_bytes * int(np.prod([size.dim_value for size in kind.shape.dim]))
    return total


def test_layers_in_float_are_left_alone(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    samples = [{"x": np.ones((2, SHAPE[1]), np.float32)}]
    editor = GraphEditor(linear_graph())
    write_weight(editor, Dense(matrix), [PLACE], "layer.weight")
    quantized, _ = quantize_static(editor, Int8Static(), samples, {}, ["w"])
    session, left = session_of(quantized, tmp_path / "model.onnx")
    assert left == {"MatMul": 1}
    np.testing.assert_allclose(session.run(None, samples[0])[0], samples[0]["x"] @ matrix.T, rtol=1e-5)


def block_graph(rng: np.random.Generator, residual: bool) -> onnx.ModelProto:
    """A normalisation, two linear layers that read it, and perhaps an addition that reads it too."""
    arrays = {
        "scale": rng.normal(size=8).astype(np.float32),
        "bias": rng.normal(size=8).astype(np.float32),
        "a": rng.normal(size=(8, 6)).astype(np.float32),
        "b": rng.normal(size=(8, 6)).astype(np.float32),
    }
    reader = helper.make_node("ReduceSum", ["h"], ["total"], keepdims=1)
    nodes = [
        helper.make_node("LayerNormalization", ["x", "scale", "bias"], ["h"]),
        helper.make_node("MatMul", ["h", "a"], ["ya"]),
        helper.make_node("MatMul", ["h", "b"], ["yb"]),
        helper.make_node("Add", ["ya", "yb"], ["sum"]),
        reader if residual else helper.make_node("Identity", ["sum"], ["total"]),
        helper.make_node("Add", ["sum", "total"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 6])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("residual", [False, True])
def test_a_smoothed_float_graph_gives_what_it_gave(residual: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.2, 5, 8).astype(np.float32)
    x = rng.normal(size=(4, 8)).astype(np.float32)
    plain = GraphEditor(block_graph(np.random.default_rng(1), residual))
    session, _ = session_of(plain, tmp_path / "plain.onnx")
    expected = session.run(None, {"x": x})[0]
    smoothed = GraphEditor(block_graph(np.random.default_rng(1), residual))
    for name in "ab":
        assert is_smoothable(smoothed, [Place("model.onnx", name, True)])
        smoothed.put(name, smoothed.array(name) * factors[:, None])
    divide_inputs(smoothed, {"a": factors, "b": factors})
    inserted = sum(node.op_type == "Mul" for node in smoothed.nodes)
    assert inserted == (1 if residual else 0)  # without other readers the normalisation takes the factors
    session, _ = session_of(smoothed, tmp_path / "smoothed.onnx")
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, atol=1e-5)


def feeds_of(samples: list[npt.NDArray[np.float32]]) -> Any:
    def feeds() -> Iterator[dict[str, npt.NDArray[Any]]]:
        yield from ({"x": sample} for sample in samples)

    return feeds


def test_ranges_are_those_of_all_samples_whatever_their_lengths() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(size=(n, SHAPE[1])).astype(np.float32) for n in (30, 50, 40)]
    together = np.concatenate(samples)
    extremes = activation_ranges(linear_graph(), ["MatMul"], feeds_of(samples), "minmax", 99.99)
    assert set(extremes) == {"x", "y"}
    assert extremes["x"] == (together.min(), together.max())
    held = activation_ranges(linear_graph(), ["MatMul"], feeds_of(samples), "percentile", 99.0)["x"]
    np.testing.assert_allclose(held, np.quantile(together, [0.005, 0.995]), atol=0.02)


def test_entropy_cuts_a_lone_outlier_off_but_keeps_an_even_spread() -> None:
    rng = np.random.default_rng(0)
    even = rng.uniform(-1, 1, size=(400, SHAPE[1])).astype(np.float32)
    low, high = activation_ranges(linear_graph(), ["MatMul"], feeds_of([even]), "entropy", 99.99)["x"]
    assert low < -0.9
    assert high > 0.9
    outlying = rng.normal(size=(400, SHAPE[1])).astype(np.float32)
    outlying[0, 0] = 40
    low, high = activation_ranges(linear_graph(), ["MatMul"], feeds_of([outlying]), "entropy", 99.99)["x"]
    assert low == outlying.min()
    assert 4 < high < 30
