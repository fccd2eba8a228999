"""Dynamic int8: weights quantized here, activations quantized by ONNX Runtime as they come."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper

from autocompress.formats.onnx.graph_editor import GraphEditor, Use, is_linear, is_lookup
from autocompress.formats.onnx.integer_storage import CodedWeight, IntegerStorage, keep_encodings
from autocompress.formats.onnx.packing import with_bias

FEWEST_ELEMENTS = 1024
"""Smaller tables are not worth the nodes."""
LARGEST_CODE = 127
NONE_CODED: Mapping[str, CodedWeight] = {}


def quantize_dynamic(
    editor: GraphEditor,
    *,
    per_channel: bool,
    coded: Mapping[str, CodedWeight] = NONE_CODED,
    in_float: Collection[str] = (),
) -> list[str]:
    """Give every linear layer int8 weights and int8 arithmetic; embeddings and convolutions int8 storage.

    A linear layer's activations are quantized per tensor to uint8 (DynamicQuantizeLinear) and multiplied in integers
    (MatMulInteger). Convolutions compute in float: ONNX Runtime's dynamic integer convolution is slower than that.

    Args:
        editor: the float graph.
        per_channel: a scale for each output channel instead of one for the weight.
        coded: by initializer the weights that an earlier step has coded: they are stored as they are coded, where that
            is smaller, and become the same integers at load.
        in_float: the initializers that are left as they are.

    Returns:
        In words what computes.
    """
    kept = keep_encodings(editor, coded)
    storage = IntegerStorage(editor, coded)
    quantizer = _DynamicQuantizer(editor, storage, per_channel)
    for name in [name for name in editor.arrays if name not in in_float]:
        quantizer.quantize(name)
    return ["int8 (dynamic, MatMulInteger)", *storage.words, *kept]


def quantize_storage(editor: GraphEditor, coded: Mapping[str, CodedWeight], in_float: Collection[str]) -> list[str]:
    """Store embeddings and convolutions' kernels as int8 with a scale per row; nothing computes in integers.

    Those of ``coded`` stay as they are coded, where that is smaller, and those ``in_float`` as they are.

    Returns:
        In words what computes those.
    """
    kept = keep_encodings(editor, coded)
    quantizer = _DynamicQuantizer(editor, IntegerStorage(editor, coded), per_channel=True)
    for name in [name for name in editor.arrays if name not in in_float]:
        uses = editor.uses(name)
        if not any(is_linear(use, transposed) for use in uses for transposed in (False, True)):
            quantizer.quantize(name)
    return kept


class _DynamicQuantizer:
    """Quantizes initializers one by one; the activations of layers that share an input are quantized once."""

    def __init__(self, editor: GraphEditor, storage: IntegerStorage, per_channel: bool) -> None:
        self._editor = editor
        self._storage = storage
        self._per_channel = per_channel
        self._quantized_inputs: dict[str, tuple[str, str, str]] = {}

    def quantize(self, name: str) -> None:
        """Quantize an initializer if every reader can take it."""
        tensor = self._editor.arrays[name]
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2 or np.prod(tensor.dims) < FEWEST_ELEMENTS:
            return
        uses = self._editor.uses(name)
        if uses and all(use.node.op_type == "Conv" and use.index == 1 for use in uses):
            self._store_kernel(name)
            return
        for transposed in (False, True):
            lookups = [use for use in uses if is_lookup(use) and not transposed]
            linears = [use for use in uses if is_linear(use, transposed)]
            if uses and len(lookups) + len(linears) == len(uses):
                self._quantize_matrix(name, transposed, lookups, linears)
                return

    def _quantize_matrix(self, name: str, transposed: bool, lookups: list[Use], linears: list[Use]) -> None:
        """``transposed`` where the initializer is (in, out); so are the codes, unless rows are looked up."""
        values = self._editor.array(name)
        matrix = values.T if transposed else values
        codes, scales = symmetric_int8(matrix, per_row=self._per_channel or bool(lookups))
        scale = self._editor.put(f"{name}.scale", scales)
        if lookups:
            stored = self._storage.put(f"{name}.int8", codes, scale, name)
            multiplied = stored
            if linears:
                multiplied = self._editor.weight_node("Transpose", [stored], perm=[1, 0])
            for use in lookups:
                self._lookup(use, stored, scale)
        else:
            multiplied = self._storage.put(f"{name}.int8", codes, scale, name, transposed=True)
        for use in linears:
            self._linear(use, multiplied, scale)
        self._editor.drop(name)

    def _lookup(self, use: Use, codes: str, scales: str) -> None:
        name, ids = use.node.output[0], use.node.input[1]
        column = f"{scales}.column"
        if column not in self._editor.arrays:
            self._editor.put(column, self._editor.array(scales)[:, None])
        nodes = [
            helper.make_node("Gather", [codes, ids], [f"{name}.codes"], name=f"{name}.codes"),
            helper.make_node("Cast", [f"{name}.codes"], [f"{name}.float"], name=f"{name}.float", to=TensorProto.FLOAT),
            helper.make_node("Gather", [column, ids], [f"{name}.scale"], name=f"{name}.scale"),
            helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name], name=f"{name}.rows"),
        ]
        self._editor.replace(use.node, nodes)

    def _linear(self, use: Use, codes: str, scale: str) -> None:
        node = use.node
        out = node.output[0]
        product = f"{out}.product" if len(node.input) > 2 else out
        nodes: list[NodeProto] = []
        source = node.input[0]
        if source not in self._quantized_inputs:
            parts = (f"{source}.uint8", f"{source}.uint8_scale", f"{source}.uint8_zero")
            nodes.append(helper.make_node("DynamicQuantizeLinear", [source], list(parts), name=f"{source}.quantize"))
            self._quantized_inputs[source] = parts
        values, value_scale, value_zero = self._quantized_inputs[source]
        nodes += [
            helper.make_node("MatMulInteger", [values, codes, value_zero], [f"{out}.int32"], name=f"{out}.multiply"),
            helper.make_node("Cast", [f"{out}.int32"], [f"{out}.cast"], name=f"{out}.cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [value_scale, scale], [f"{out}.scale"], name=f"{out}.scale"),
            helper.make_node("Mul", [f"{out}.cast", f"{out}.scale"], [product], name=f"{out}.rescale"),
            *with_bias(node, product),
        ]
        self._editor.replace(node, nodes)

    def _store_kernel(self, name: str) -> None:
        """A convolution's kernel: int8 in the file, float from load on."""
        values = self._editor.array(name)
        codes, scales = symmetric_int8(values.reshape(len(values), -1), per_row=True)
        scale = self._editor.put(f"{name}.scale", scales.reshape(-1, *[1] * (values.ndim - 1)))
        stored = self._storage.put(f"{name}.int8", codes, scale, name, shape=values.shape)
        self._editor.drop(name)
        floats = self._editor.weight_node("Cast", [stored], to=TensorProto.FLOAT)
        self._editor.weight_node("Mul", [floats, scale], name)


def symmetric_int8(
    matrix: npt.NDArray[np.float32], *, per_row: bool
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Codes from -127 to 127 of an (out, in) matrix, and their scales: shape (out,), or () for the whole matrix."""
    largest = np.abs(matrix).max(axis=1) if per_row else np.abs(matrix).max()
    scales = np.maximum(np.asarray(largest, np.float32) / LARGEST_CODE, np.finfo(np.float32).tiny)
    codes = np.rint(matrix / (scales[:, None] if per_row else scales))
    return codes.astype(np.int8), scales.astype(np.float32)
