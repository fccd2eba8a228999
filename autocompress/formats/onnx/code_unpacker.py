"""Standard ONNX nodes that unpack codes of a few bits, look their values up, and put kept values among zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from autocompress.encodings import ByteArray, pack_bits
from autocompress.formats.onnx.graph_editor import GraphEditor

BITS_IN_BYTES = (1, 2, 4)
"""Widths of which a byte holds whole codes."""

Array = npt.NDArray[Any]


class CodeUnpacker:
    """Standard ONNX nodes that unpack one weight's codes.

    ONNX Runtime folds them at load and keeps what every node gives until all weights are folded, so the nodes are few
    and what they give is narrow: bytes where bytes do, and 32-bit indices of packed bytes rather than of codes.
    """

    def __init__(self, editor: GraphEditor, name: str) -> None:
        self._editor = editor
        self._name = name

    def put(self, part: str, array: Array) -> str:
        """Store an array as a part of the weight."""
        return self._editor.put(f"{self._name}.{part}", array)

    def floats(self, values: Array, part: str) -> str:
        """Store values in their own type; gives them as float32."""
        stored = self.put(part, values)
        return stored if values.dtype == np.float32 else self.cast(stored, TensorProto.FLOAT)

    def codes(self, codes: ByteArray, bits: int, part: str) -> str:
        """Nodes that give uint8 codes back from planes of 4, 2 and 1 bits, each packed without gaps."""
        if bits == 8:
            return self.put(part, codes)
        return self._in_whole_bytes(codes, lambda padded: self._planes(padded, bits, part))

    def looked_up(self, values: str, n_values: int, codes: ByteArray, bits: int, part: str) -> str:
        """Nodes that give the value of each code, out of a flat tensor of values.

        Codes of 1, 2 and 4 bits are never unpacked: a whole byte of them is looked up in a table of all 256 bytes.
        """
        if bits not in BITS_IN_BYTES:
            return self.gathered(values, self.codes(codes, bits, part))
        table = self.table_of_bytes(values, n_values, bits)
        return self._in_whole_bytes(codes, lambda padded: self._by_bytes(table, padded, bits, part))

    def table_of_bytes(self, values: str, n_values: int, bits: int) -> str:
        """Nodes that give the values of all codes in each of the 256 bytes, shape (256, codes in a byte)."""
        if n_values < 2**bits:
            first = self.constant(np.zeros(2**bits - n_values, np.int32))
            values = self.node("Concat", [values, self.node("Gather", [values, first])], axis=0)
        return self.gathered(values, self._every_byte(bits))

    def gathered(self, values: str, codes: str) -> str:
        """Nodes that give the value of each uint8 code, out of a tensor of values."""
        return self.node("Gather", [values, self.cast(codes, TensorProto.INT32)])

    def picked(self, table: str, codes: str, axis: int) -> str:
        """Nodes that give the value of each uint8 code, out of a table that has one along ``axis`` for each code."""
        return self.node("GatherElements", [table, self.cast(codes, TensorProto.INT32)], axis=axis)

    def scattered(self, kept: str, mask: npt.NDArray[np.bool_], around: str) -> str:
        """Nodes that put values, shape (1, n_kept), where the mask is true, and ``around`` elsewhere.

        Args:
            kept: the values of the kept places in row order.
            mask: the kept places.
            around: one value, shape (1,), or one for each place in row order, shape (1, n_places).
        """
        packed = self.put("mask", pack_bits(mask.astype(np.uint8), 1)[:, None])
        bits = self.constant(np.array([2**bit for bit in range(8)], np.uint8)[None])
        flat = self.shaped(self.node("BitwiseAnd", [packed, bits]), (-1,))
        base = self.node("Expand", [around, self.constant(np.array([1, mask.size], np.int64))])
        places = self.node("NonZero", [flat])
        self._editor.state_shape(places, TensorProto.INT64, (1, int(mask.sum())))
        scattered = self.node("ScatterElements", [base, places, kept], axis=1)
        return self.shaped(scattered, mask.shape)

    def n_divisors(self, divisors: str) -> int:
        """How many divisors an initializer holds: one, or one for each row."""
        return int(self._editor.array(divisors).size)

    def rounded(self, values: str, divisors: str, axis: int) -> str:
        """Nodes that divide, by one divisor or by one for each slice of ``axis``, and round to int8."""
        size = self.n_divisors(divisors)
        flat = self.shaped(divisors, (-1,) if size > 1 else ())
        zeros = self.constant(np.zeros(size if size > 1 else (), np.int8))
        return self.node("QuantizeLinear", [values, flat, zeros], axis=axis)

    def constant(self, array: Array) -> str:
        """A small initializer that all who need the same values share."""
        return self._editor.constant(array)

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """Any other node."""
        return self._editor.weight_node(op, inputs, **attributes)

    def cast(self, source: str, kind: int) -> str:
        """A Cast."""
        return self.node("Cast", [source], to=kind)

    def shaped(self, source: str, shape: tuple[int, ...]) -> str:
        """A Reshape."""
        empty = {"allowzero": 1} if 0 in shape else {}
        return self.node("Reshape", [source, self.constant(np.array(shape, np.int64))], **empty)

    def head(self, source: str, length: int, axis: int) -> str:
        """The first slices along an axis."""
        bounds = [self.constant(np.array([value], np.int64)) for value in (0, length, axis)]
        return self.node("Slice", [source, *bounds])

    def _in_whole_bytes(self, codes: ByteArray, unpacked: Callable[[ByteArray], str]) -> str:
        """Codes of any number, unpacked as so many that they fill whole bytes, whatever their bits."""
        if codes.size % 8 == 0:
            return unpacked(codes)
        padded = np.zeros((1, -(-codes.size // 8) * 8), np.uint8)
        padded[0, : codes.size] = codes.reshape(-1)
        row = self.head(unpacked(padded), codes.size, axis=1)
        return row if codes.shape == (1, codes.size) else self.shaped(row, codes.shape)

    def _planes(self, codes: ByteArray, bits: int, part: str) -> str:
        joined, low = "", 0
        for width in (4, 2, 1):
            if not bits & width:
                continue
            plane = ((codes >> low) & (2**width - 1)).astype(np.uint8)
            given = self._nibbles(plane, part) if width == 4 else self._plane(plane, width, low, f"{part}.bit{low}")
            joined = self.node("BitwiseOr", [joined, given]) if joined else given
            low += width
        return joined

    def _nibbles(self, codes: ByteArray, part: str) -> str:
        """Codes of 4 bits: those of the first half of an axis in the low bits, of the second half in the high bits.

        That takes two bytes for each code while it is folded, which a look-up of whole bytes would take four for.
        """
        axis = next(axis for axis, size in enumerate(codes.shape) if size % 2 == 0)
        low, high = np.split(codes, 2, axis=axis)
        packed = self.put(part, low | high << 4)
        first = self.node("BitwiseAnd", [packed, self.constant(np.array(15, np.uint8))])
        second = self.node("BitShift", [packed, self.constant(np.array(4, np.uint8))], direction="RIGHT")
        return self.node("Concat", [first, second], axis=axis)

    def _plane(self, codes: ByteArray, width: int, low: int, part: str) -> str:
        """Codes of 1 or 2 bits, times ``2**low``."""
        table = self._every_byte(width)
        if low:
            table = self.node("BitShift", [table, self.constant(np.array(low, np.uint8))], direction="LEFT")
        return self._by_bytes(table, codes, width, part)

    def _by_bytes(self, table: str, codes: ByteArray, bits: int, part: str) -> str:
        packed = self.put(part, pack_bits(codes, bits))
        return self.shaped(self.gathered(table, packed), codes.shape)

    def _every_byte(self, bits: int) -> str:
        """The codes in each of the 256 bytes, uint8."""
        every = self.constant(np.arange(256, dtype=np.uint8)[:, None])
        shifts = self.constant(np.arange(0, 8, bits, dtype=np.uint8)[None])
        shifted = self.node("BitShift", [every, shifts], direction="RIGHT")
        return self.node("BitwiseAnd", [shifted, self.constant(np.array(2**bits - 1, np.uint8))])
