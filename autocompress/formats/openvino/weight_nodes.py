"""Weights as OpenVINO nodes: integers in the pattern that its kernels multiply with, else plain floats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset15 as ops

from autocompress.encodings import ByteArray, Codebook, Dense, Encoding, GroupedIntegers, SparseIntegers, pack_bits
from autocompress.encodings.sparse_integers import zero_codes
from autocompress.formats.openvino.native_types import is_foldable, is_native_integers

UNSIGNED = {2: ov.Type.u2, 4: ov.Type.u4, 8: ov.Type.u8}
SIGNED = {4: ov.Type.i4, 8: ov.Type.i8}
"""Symmetric weights are stored as signed integers, which need no zero point; OpenVINO has no signed pairs of bits."""
LARGEST_CODE = 127
PACKED_PREFIX = "packed/"
"""Inputs of this name are weights that only the loader decodes; what follows is the parameter's name."""


def is_native(encoding: Encoding) -> bool:
    """Whether OpenVINO's own types and operations hold the encoding, so that any OpenVINO reads it."""
    if isinstance(encoding, GroupedIntegers):
        return _fits_kernels(encoding)
    if isinstance(encoding, Codebook):
        return _is_foldable(encoding)
    return isinstance(encoding, Dense)


def for_runtime(encoding: Encoding) -> Encoding:
    """The same values in the form that the runtime computes with best: integers whole, and as wide as kernels want."""
    if isinstance(encoding, SparseIntegers):
        whole = encoding.integers
        return for_runtime(replace(whole, codes=np.where(encoding.mask, whole.codes, zero_codes(whole))))
    if isinstance(encoding, GroupedIntegers) and encoding.bits not in UNSIGNED:
        wider = next(bits for bits in UNSIGNED if bits > encoding.bits)
        if encoding.zero_points is not None:
            return replace(encoding, bits=wider)
        return replace(
            encoding, bits=wider, codes=encoding.codes + np.uint8(2 ** (wider - 1) - 2 ** (encoding.bits - 1))
        )
    return encoding


def int8_rows(matrix: npt.NDArray[np.float32], per_channel: bool = True) -> GroupedIntegers:
    """Symmetric 8-bit codes of a matrix, one scale per row, or one for all rows."""
    largest = np.abs(matrix).max(axis=1 if per_channel else None, keepdims=True)
    scales = np.where(largest > 0, largest / LARGEST_CODE, 1).astype(np.float32)
    codes = np.clip(np.rint(matrix / scales), -LARGEST_CODE, LARGEST_CODE) + 128
    scales = np.ascontiguousarray(np.broadcast_to(scales, (len(matrix), 1)))
    return GroupedIntegers(codes.astype(np.uint8), bits=8, group_size=matrix.shape[1], scales=scales)


def weight_node(encoding: Encoding) -> Any:
    """A node that gives the decoded float32 matrix.

    Integers stay integers up to the kernel where one fits; whatever else is decoded now or, a codebook, at load.
    """
    if isinstance(encoding, GroupedIntegers) and _fits_kernels(encoding):
        return _integers(encoding)
    if isinstance(encoding, Codebook) and _is_foldable(encoding):
        return _codebook(encoding)
    return ops.constant(encoding.decode())


def replace_parameter(model: Any, parameter: Any, node: Any) -> None:
    """Let all that read an input of the model read a node's output instead."""
    for port in parameter.output(0).get_target_inputs():
        port.replace_source_output(node.output(0))
    model.remove_parameter(parameter)


def _fits_kernels(encoding: GroupedIntegers) -> bool:
    whole_groups = encoding.shape[1] == encoding.scales.shape[1] * encoding.group_size
    is_native_type = is_native_integers(encoding.bits, encoding.scales.shape[1], whole_groups)
    return is_native_type and encoding.input_scales is None


def _integers(encoding: GroupedIntegers) -> Any:
    """Convert → Subtract → Multiply → Reshape, as NNCF writes it and the CPU plug-in looks for."""
    rows, columns = encoding.shape
    groups = encoding.scales.shape[1]
    shape = (rows, columns) if groups == 1 else (rows, groups, encoding.group_size)
    per_group = (rows, 1) if groups == 1 else (rows, groups, 1)
    values = _centred(encoding, shape, per_group)
    weight = ops.multiply(values, _floats(encoding.scales.reshape(per_group)))
    return weight if groups == 1 else ops.reshape(weight, ops.constant(np.array([rows, columns])), special_zero=False)


def _centred(encoding: GroupedIntegers, shape: tuple[int, ...], per_group: tuple[int, ...]) -> Any:
    bits, middle = encoding.bits, 2 ** (encoding.bits - 1)
    if encoding.zero_points is None and bits in SIGNED:
        signed = encoding.codes ^ np.uint8(middle)  # two's complement of code minus middle
        return _to_float(_packed(signed, SIGNED[bits], bits, shape))
    zeros = np.full(1, middle, np.uint8) if encoding.zero_points is None else encoding.zero_points
    zeros_shape = (1,) * len(shape) if encoding.zero_points is None else per_group
    codes = _to_float(_packed(encoding.codes, UNSIGNED[bits], bits, shape))
    return ops.subtract(codes, _to_float(_packed(zeros, UNSIGNED[bits], bits, zeros_shape)))


def _is_foldable(encoding: Codebook) -> bool:
    """Whether the indices have a type in OpenVINO, and no row has weights of two codebooks."""
    return is_foldable(encoding.bits, encoding.group_size, encoding.shape)


def _codebook(encoding: Codebook) -> Any:
    """Indices into all codebooks laid end to end; OpenVINO folds the lookup when it compiles."""
    rows, columns = encoding.shape
    indices = ops.convert(_packed(encoding.indices, UNSIGNED[encoding.bits], encoding.bits, encoding.shape), np.int32)
    if encoding.group_size is not None:
        books = np.arange(rows) // (encoding.group_size // columns)
        first = (books * encoding.centroids.shape[1]).astype(np.int32)
        indices = ops.add(indices, ops.constant(first[:, None]))
    centroids = _floats(encoding.centroids)
    if encoding.scales is not None:
        centroids = ops.multiply(centroids, _floats(encoding.scales[:, None]))
    flat = ops.reshape(centroids, ops.constant(np.array([-1])), special_zero=False)
    return ops.gather(flat, indices, ops.constant(0))


def _packed(codes: ByteArray, kind: Any, bits: int, shape: tuple[int, ...]) -> Any:
    tensor = ov.Tensor(kind, ov.Shape(shape))
    tensor.data[...] = pack_bits(codes, bits).view(tensor.data.dtype).reshape(tensor.data.shape)
    return ops.constant(tensor)


def _floats(values: npt.NDArray[Any]) -> Any:
    stored = ops.constant(values)
    return stored if values.dtype == np.float32 else _to_float(stored)


def _to_float(node: Any) -> Any:
    return ops.convert(node, np.float32)
