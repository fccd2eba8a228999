"""Standard ONNX nodes that decode integers in groups, and pruned ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from autocompress.encodings import GroupedIntegers, SparseIntegers
from autocompress.formats.onnx.code_unpacker import CodeUnpacker

Array = npt.NDArray[Any]


class IntegerDecoder:
    """Standard ONNX nodes that decode one weight of integers in groups.

    A group has few values: they are computed, and for int8 rounded, in a table, and each code picks its own. Codes of
    more bits than a group has columns for are computed with one by one.
    """

    def __init__(self, unpacker: CodeUnpacker) -> None:
        self._unpacker = unpacker
        self._node = unpacker.node

    def rounds_values(self, encoding: GroupedIntegers | SparseIntegers) -> bool:
        """Whether `decoded` takes divisors."""
        integers = _integers(encoding)
        return _fits_table(integers) and integers.input_scales is None

    def decoded(
        self, encoding: GroupedIntegers | SparseIntegers, divisors: str | None, transposed: bool, prefix: str
    ) -> str:
        """Nodes that give the decoded weight: float32, or int8 where there are divisors."""
        integers = _integers(encoding)
        order = _Order(integers, transposed)
        if _fits_table(integers):
            table = self._values(integers, self._every_code(integers, order), order, prefix)
            if divisors is not None:
                table = self._unpacker.rounded(table, divisors, order.row_axis)
            made = self._unpacker.picked(table, self._codes(encoding, order, prefix), order.code_axis)
        else:
            codes = self._unpacker.cast(self._codes(encoding, order, prefix), TensorProto.FLOAT)
            made = self._values(integers, codes, order, prefix)
        return self._by_input(integers, self._matrix(made, order), transposed, prefix)

    def parts(self, encoding: GroupedIntegers) -> tuple[str, str, str, str | None]:
        """Nodes that give what rows are computed from.

        Returns:
            Codes, uint8, shape (rows, groups, columns of a group); zeros, float32, one or for each group; scales,
            float32, for each group; and the input scales, float32, if there are any. A single group has no axis.
        """
        order = _Order(encoding, transposed=False)
        zeros, scales = self._shared(encoding, order, "")
        divisors = None
        if encoding.input_scales is not None:
            divisors = self._unpacker.floats(encoding.input_scales, "input_scales")
        return self._codes(encoding, order, ""), zeros, scales, divisors

    def sparse_codes(self, encoding: SparseIntegers) -> str:
        """Nodes that give the uint8 codes of a whole weight: where nothing is kept, the code that stands for zero."""
        order = _Order(encoding.integers, transposed=False)
        return self._matrix(self._codes(encoding, order, "kept."), order)

    def _codes(self, encoding: GroupedIntegers | SparseIntegers, order: _Order, prefix: str) -> str:
        """The uint8 codes in their groups."""
        integers = _integers(encoding)
        codes = order.grouped(integers.codes)
        if isinstance(encoding, GroupedIntegers):
            return self._unpacker.codes(codes, integers.bits, f"{prefix}codes")
        mask = order.grouped(encoding.mask)
        kept = self._unpacker.codes(codes[mask][None], integers.bits, f"{prefix}codes")
        if integers.zero_points is None:
            around = self._unpacker.constant(np.array([2 ** (integers.bits - 1)], np.uint8))
        else:
            zeros = self._unpacker.codes(order.per_group(integers.zero_points), integers.bits, f"{prefix}zeros")
            extent = self._unpacker.constant(np.array(mask.shape, np.int64))
            around = self._unpacker.shaped(self._node("Expand", [zeros, extent]), (1, -1))
        return self._unpacker.scattered(kept, mask, around)

    def _every_code(self, integers: GroupedIntegers, order: _Order) -> str:
        """All codes along the axis of columns, as floats."""
        codes = np.arange(2**integers.bits, dtype=np.float32)
        shape = [1] * order.rank
        shape[order.code_axis] = -1
        return self._unpacker.constant(codes.reshape(shape))

    def _values(self, integers: GroupedIntegers, codes: str, order: _Order, prefix: str) -> str:
        """What codes stand for, given as floats in their groups."""
        zeros, scales = self._shared(integers, order, prefix)
        return self._node("Mul", [self._node("Sub", [codes, zeros]), scales])

    def _shared(self, integers: GroupedIntegers, order: _Order, prefix: str) -> tuple[str, str]:
        """The zeros and scales of groups, as floats."""
        scales = self._unpacker.floats(order.per_group(integers.scales), f"{prefix}scales")
        if integers.zero_points is None:
            return self._unpacker.constant(np.array(2 ** (integers.bits - 1), np.float32)), scales
        stored = self._unpacker.codes(order.per_group(integers.zero_points), integers.bits, f"{prefix}zeros")
        return self._unpacker.cast(stored, TensorProto.FLOAT), scales

    def _matrix(self, grouped: str, order: _Order) -> str:
        """From groups to a matrix without what filled the last group up."""
        if order.n_groups == 1:
            return grouped
        matrix = self._unpacker.shaped(grouped, order.padded_shape)
        if order.n_padded == order.n_columns:
            return matrix
        return self._unpacker.head(matrix, order.n_columns, axis=0 if order.transposed else 1)

    def _by_input(self, integers: GroupedIntegers, made: str, transposed: bool, prefix: str) -> str:
        if integers.input_scales is None:
            return made
        scales = integers.input_scales[:, None] if transposed else integers.input_scales
        return self._node("Div", [made, self._unpacker.floats(scales, f"{prefix}input_scales")])


@dataclass(frozen=True)
class _Order:
    """The order of axes that codes are stored in: (rows, groups, columns of a group), or (groups, columns, rows).

    A single group has no axis.
    """

    integers: GroupedIntegers
    transposed: bool

    @property
    def n_columns(self) -> int:
        return self.integers.shape[1]

    @property
    def n_groups(self) -> int:
        return int(self.integers.scales.shape[1])

    @property
    def group_size(self) -> int:
        return min(self.integers.group_size, self.n_columns)

    @property
    def n_padded(self) -> int:
        return self.n_groups * self.group_size

    @property
    def padded_shape(self) -> tuple[int, int]:
        rows = self.integers.shape[0]
        return (self.n_padded, rows) if self.transposed else (rows, self.n_padded)

    @property
    def rank(self) -> int:
        return 2 if self.n_groups == 1 else 3

    @property
    def row_axis(self) -> int:
        return self.rank - 1 if self.transposed else 0

    @property
    def code_axis(self) -> int:
        return self.rank - 2 if self.transposed else self.rank - 1

    def grouped(self, matrix: Array) -> Array:
        """A matrix of shape (rows, columns) in this order, the last group filled up with zeros."""
        rows, columns = matrix.shape
        padded = np.zeros((rows, self.n_padded), matrix.dtype)
        padded[:, :columns] = matrix
        return self._ordered(padded.reshape(rows, self.n_groups, self.group_size))

    def per_group(self, values: Array) -> Array:
        """Values of shape (rows, groups) in this order."""
        return self._ordered(values[:, :, None])

    def _ordered(self, array: Array) -> Array:
        array = array[:, 0] if self.n_groups == 1 else array
        return np.moveaxis(array, 0, -1) if self.transposed else array


def _integers(encoding: GroupedIntegers | SparseIntegers) -> GroupedIntegers:
    return encoding.integers if isinstance(encoding, SparseIntegers) else encoding


def _fits_table(integers: GroupedIntegers) -> bool:
    """Whether a group has no more codes than columns, so that all its values take less than its columns' floats."""
    n_codes: int = 2**integers.bits
    return n_codes <= min(integers.group_size, integers.shape[1])
