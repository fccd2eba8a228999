"""Weights into a graph: each encoding in the smallest form that ONNX Runtime can compute with or decode at load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper

from autocompress.encodings import (
    ByteArray,
    Codebook,
    Dense,
    Encoding,
    GroupedIntegers,
    SparseIntegers,
    pack_bits,
)
from autocompress.formats.onnx.graph_editor import CONTRIB_DOMAIN, GraphEditor, Use, is_linear, is_lookup
from autocompress.formats.onnx.kernels import kernels_take
from autocompress.formats.onnx.lookups import write_codebook_lookups, write_integer_lookups
from autocompress.formats.onnx.template import Place
from autocompress.formats.onnx.weight_decoder import WeightDecoder

INT8_ACTIVATIONS = 4
"""Accuracy level of MatMulNBits that multiplies integers; at lower levels it is slower than a float MatMul."""


def write_weight(editor: GraphEditor, encoding: Encoding, places: Sequence[Place], name: str) -> str:
    """Put a weight into all its places in one graph, stored once; gives in words what computes it."""
    if isinstance(encoding, Dense) and not _is_half_of(editor, encoding, places):
        return _write_dense(editor, encoding.decode(), places)
    if isinstance(encoding, GroupedIntegers) and fits_kernels(editor, encoding, places):
        return _write_for_kernels(editor, encoding, _stored_blobs(editor, encoding, name), places, name)
    if isinstance(encoding, SparseIntegers) and fits_kernels(editor, encoding.integers, places):
        words = _write_for_kernels(editor, encoding.integers, _sparse_blobs(editor, encoding, name), places, name)
        return f"bit mask and codes of kept values, unpacked at load to {words}"
    if isinstance(encoding, Codebook) and encoding.group_size is None and _is_looked_up(editor, places):
        return f"{encoding.words}, {write_codebook_lookups(editor, encoding, places, name)}"
    if isinstance(encoding, GroupedIntegers) and _is_looked_up(editor, places):
        return f"{encoding.words}, {write_integer_lookups(editor, encoding, places, name)}"
    transposed = places[0].transposed
    decoded = WeightDecoder(editor, name).matrix(encoding, transposed=transposed)
    for place in places:
        _deliver(editor, decoded, transposed, place)
    return f"{encoding.words}, float after unpacking at load"


def _is_half_of(editor: GraphEditor, encoding: Dense, places: Sequence[Place]) -> bool:
    """Whether 16 bits are stored of a weight that the graph computes with in 32."""
    kind = helper.tensor_dtype_to_np_dtype(editor.arrays[places[0].initializer].data_type)
    return bool(encoding.values.dtype.itemsize < np.dtype(kind).itemsize)


def _write_dense(editor: GraphEditor, matrix: npt.NDArray[np.float32], places: Sequence[Place]) -> str:
    """Plain values; a weight that stands in several places is stored in the first one's orientation."""
    first = places[0]
    kind = helper.tensor_dtype_to_np_dtype(editor.arrays[first.initializer].data_type)
    for place in places:
        like = editor.arrays[place.initializer]
        if place is first or place.row_factors is not None:
            factors = np.array(place.row_factors or [1.0], np.float32)[:, None]
            values = matrix if place.row_factors is None else matrix * factors
            editor.put(place.initializer, (values.T if place.transposed else values.reshape(like.dims)).astype(kind))
        elif place.transposed == first.transposed:
            editor.drop(place.initializer)
            editor.weight_node("Identity", [first.initializer], place.initializer)
        else:
            editor.drop(place.initializer)
            editor.weight_node("Transpose", [first.initializer], place.initializer, perm=[1, 0])
    return str(kind)


def fits_kernels(editor: GraphEditor, encoding: GroupedIntegers, places: Sequence[Place]) -> bool:
    """Whether every reader of the weight can be replaced by a kernel for grouped integers; see `kernels_take`."""
    if not kernels_take(encoding.bits, encoding.group_size, encoding.scales.shape[1]):
        return False
    whole_groups = encoding.shape[1] % encoding.group_size == 0
    for place in places:
        if place.row_factors is not None:
            return False
        for use in editor.uses(place.initializer):
            lookup = is_lookup(use) and not place.transposed and whole_groups and encoding.input_scales is None
            if not lookup and not is_linear(use, place.transposed):
                return False
    return True


def _blob_shape(encoding: GroupedIntegers) -> tuple[int, int, int]:
    """What the kernels want codes packed to: rows, groups, bytes of a group."""
    return encoding.shape[0], encoding.scales.shape[1], encoding.group_size * encoding.bits // 8


def _stored_blobs(editor: GraphEditor, encoding: GroupedIntegers, name: str) -> str:
    """Codes packed for the kernels, groups that are narrower than the others filled up with zeros."""
    rows, groups, _ = _blob_shape(encoding)
    padded = np.zeros((rows, groups * encoding.group_size), np.uint8)
    padded[:, : encoding.shape[1]] = encoding.codes
    return editor.put(f"{name}.codes", pack_bits(padded, encoding.bits).reshape(_blob_shape(encoding)))


def _sparse_blobs(editor: GraphEditor, encoding: SparseIntegers, name: str) -> str:
    """Nodes that give what `_stored_blobs` would store, from the mask and the codes of kept values."""
    integers, per_byte = encoding.integers, 8 // encoding.integers.bits
    codes = WeightDecoder(editor, name).sparse_codes(encoding)
    missing = -integers.shape[1] % integers.group_size
    if missing:
        codes = editor.weight_node("Pad", [codes, editor.constant(np.array([0, 0, 0, missing], np.int64))])
    bytewise = editor.constant(np.array([*_blob_shape(integers), per_byte], np.int64))
    codes = editor.weight_node("Reshape", [codes, bytewise])
    joined = ""
    for slot in range(per_byte):
        code = editor.weight_node("Gather", [codes, editor.constant(np.array(slot, np.int64))], axis=3)
        if slot:
            up = editor.constant(np.array(slot * integers.bits, np.uint8))
            code = editor.weight_node("BitShift", [code, up], direction="LEFT")
        joined = editor.weight_node("BitwiseOr", [joined, code]) if joined else code
    return joined


def _write_for_kernels(
    editor: GraphEditor, encoding: GroupedIntegers, blobs: str, places: Sequence[Place], name: str
) -> str:
    """Replace the readers by MatMulNBits and GatherBlockQuantized, which share the same packed codes."""
    rows, columns = encoding.shape
    _, groups, blob = _blob_shape(encoding)
    inputs = [blobs]
    kind = editor.arrays[places[0].initializer].data_type
    inputs.append(_floats(editor, f"{name}.scales", encoding.scales, kind))
    input_scales = None
    if encoding.input_scales is not None:
        input_scales = _floats(editor, f"{name}.input_scales", encoding.input_scales, kind)
    if encoding.zero_points is not None:
        inputs.append(editor.put(f"{name}.zeros", _packed_rows(encoding.zero_points, encoding.bits)))
    attributes = {"bits": encoding.bits, "block_size": encoding.group_size}
    words = {}
    flat = ""
    for place in places:
        for use in editor.uses(place.initializer):
            if is_lookup(use):
                if not flat:
                    shape = editor.constant(np.array([rows, groups * blob]))
                    flat = editor.weight_node("Reshape", [inputs[0], shape])
                _lookup(editor, use, [flat, use.node.input[1], *inputs[1:]], attributes)
                words["lookup"] = f"int{encoding.bits} weights, GatherBlockQuantized block {encoding.group_size}"
            else:
                _linear(editor, use, inputs, {**attributes, "K": columns, "N": rows}, input_scales)
                words["linear"] = (
                    f"int{encoding.bits} weights × int8 activations, MatMulNBits block {encoding.group_size}"
                )
        editor.drop(place.initializer)
    return words.get("linear") or words.get("lookup") or "unused"


def _is_looked_up(editor: GraphEditor, places: Sequence[Place]) -> bool:
    """Whether every reader looks up rows of the weight."""
    uses = [use for place in places for use in editor.uses(place.initializer)]
    return all(is_lookup(use) for use in uses) and not any(place.transposed or place.row_factors for place in places)


def _floats(editor: GraphEditor, name: str, values: npt.NDArray[Any], kind: int) -> str:
    """Values in the type that they are stored in, given in the graph's type ``kind``."""
    stored = editor.put(name, values)
    same = helper.np_dtype_to_tensor_dtype(values.dtype) == kind
    return stored if same else editor.weight_node("Cast", [stored], to=kind)


def _packed_rows(codes: ByteArray, bits: int) -> ByteArray:
    """Codes packed row by row, every row starting at a whole byte."""
    return np.stack([pack_bits(row, bits) for row in codes])


def _lookup(editor: GraphEditor, use: Use, inputs: list[str], attributes: dict[str, int]) -> None:
    axes = {"gather_axis": 0, "quantize_axis": 1}
    new = helper.make_node(
        "GatherBlockQuantized", inputs, use.node.output, name=use.node.name, domain=CONTRIB_DOMAIN, **attributes, **axes
    )
    editor.replace(use.node, [new])


def _linear(
    editor: GraphEditor, use: Use, inputs: list[str], attributes: dict[str, int], input_scales: str | None
) -> None:
    """A MatMulNBits, of the activation divided by ``input_scales`` where there are any."""
    node = use.node
    activation, divide = node.input[0], []
    if input_scales is not None:
        activation = f"{node.output[0]}.divided"
        divide = [helper.make_node("Div", [node.input[0], input_scales], [activation], name=f"{node.name}.divide")]
    product = f"{node.output[0]}.product" if len(node.input) > 2 else node.output[0]
    multiply = helper.make_node(
        "MatMulNBits",
        [activation, *inputs],
        [product],
        name=node.name,
        domain=CONTRIB_DOMAIN,
        accuracy_level=INT8_ACTIVATIONS,
        **attributes,
    )
    editor.replace(node, [*divide, multiply, *with_bias(node, product)])


def with_bias(gemm: Any, product: str) -> list[Any]:
    """The addition that a Gemm does beside its product; nothing for a node without a bias."""
    if len(gemm.input) < 3:
        return []
    return [helper.make_node("Add", [product, gemm.input[2]], gemm.output, name=f"{gemm.name}.bias")]


def _deliver(editor: GraphEditor, decoded: str, transposed: bool, place: Place) -> None:
    """Bring a decoded matrix into the initializer's place: its factors, its orientation and shape, its type."""
    like = editor.arrays[place.initializer]
    name, current = place.initializer, decoded
    if place.row_factors is not None:
        factors = np.array(place.row_factors, np.float32)[:, None]
        current = editor.weight_node(
            "Mul", [current, editor.put(f"{name}.factors", factors.T if transposed else factors)]
        )
    if place.transposed != transposed:
        current = editor.weight_node("Transpose", [current], perm=[1, 0])
    elif len(like.dims) > 2:
        current = editor.weight_node("Reshape", [current, editor.constant(np.array(like.dims, np.int64))])
    editor.drop(name)
    editor.weight_node("Cast", [current], name, to=like.data_type)
