"""Standard ONNX nodes that decode a weight from its encoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from autocompress.encodings import (
    ByteArray,
    Codebook,
    Dense,
    Encoding,
    GroupedIntegers,
    Sparse,
    SparseIntegers,
    pack_bits,
)
from autocompress.formats.onnx.graph_editor import GraphEditor


class WeightDecoder:
    """Standard ONNX nodes that decode one weight; ONNX Runtime folds them into a plain weight at load."""

    def __init__(self, editor: GraphEditor, name: str) -> None:
        self._editor = editor
        self._node = editor.weight_node
        self._name = name

    def matrix(self, encoding: Encoding, prefix: str = "") -> str:
        """Nodes that give the decoded float32 weight, in the encoding's shape."""
        if isinstance(encoding, Dense):
            return self._float(encoding.values, f"{prefix}values")
        if isinstance(encoding, GroupedIntegers):
            codes = self.codes(encoding.codes, encoding.bits, f"{prefix}codes")
            return self._grouped(encoding, codes, prefix)
        if isinstance(encoding, SparseIntegers):
            return self._grouped(encoding.integers, self.sparse_codes(encoding), prefix)
        if isinstance(encoding, Codebook):
            return self._codebook(encoding, prefix)
        if isinstance(encoding, Sparse):
            return self._sparse(encoding, prefix)
        raise TypeError(f"no ONNX form for the encoding {encoding.kind!r}")

    def codes(self, codes: ByteArray, bits: int, part: str) -> str:
        """Nodes that give uint8 codes back from planes of 4, 2 and 1 bits, each packed without gaps."""
        if bits == 8:
            return self._put(part, codes)
        joined, low = "", 0
        for width in (4, 2, 1):
            if not bits & width:
                continue
            plane = self._plane(((codes >> low) & (2**width - 1)).astype(np.uint8), width, f"{part}.bit{low}")
            if low:
                up = self._editor.constant(np.array(low, np.uint8))
                plane = self._node("BitShift", [plane, up], direction="LEFT")
            joined = self._node("BitwiseOr", [joined, plane]) if joined else plane
            low += width
        return self._shaped(joined, codes.shape)

    def _plane(self, codes: ByteArray, width: int, part: str) -> str:
        packed = self._put(part, pack_bits(codes, width)[:, None])
        shifts = self._editor.constant(np.arange(0, 8, width, dtype=np.uint8)[None, :])
        shifted = self._node("BitShift", [packed, shifts], direction="RIGHT")
        mask = self._editor.constant(np.array(2**width - 1, np.uint8))
        flat = self._shaped(self._node("BitwiseAnd", [shifted, mask]), (-1,))
        return self._head(flat, codes.size, axis=0) if codes.size * width % 8 else flat

    def sparse_codes(self, encoding: SparseIntegers) -> str:
        """Nodes that give the uint8 codes of a whole weight: where nothing is kept, the code that stands for zero."""
        integers = encoding.integers
        mask = self._mask(encoding.mask)
        kept = self.codes(encoding.kept_codes, integers.bits, "kept.codes")
        centre = np.array([2 ** (integers.bits - 1)], np.uint8)
        codes = self._shaped(self._scattered(kept, centre, mask), encoding.shape)
        if integers.zero_points is None:
            return codes
        zeros = self._spread(self.codes(integers.zero_points, integers.bits, "kept.zeros"), integers)
        is_kept = self._shaped(self._node("Cast", [mask], to=TensorProto.BOOL), encoding.shape)
        return self._node("Where", [is_kept, codes, zeros])

    def _grouped(self, encoding: GroupedIntegers, stored: str, prefix: str) -> str:
        codes = self._to_float(stored)
        if encoding.zero_points is None:
            zeros = self._editor.constant(np.array(2 ** (encoding.bits - 1), np.float32))
        else:
            zeros = self._to_float(self.codes(encoding.zero_points, encoding.bits, f"{prefix}zeros"))
            zeros = self._spread(zeros, encoding)
        scales = self._spread(self._float(encoding.scales, f"{prefix}scales"), encoding)
        scaled = self._node("Mul", [self._node("Sub", [codes, zeros]), scales])
        if encoding.input_scales is None:
            return scaled
        return self._node("Div", [scaled, self._float(encoding.input_scales, f"{prefix}input_scales")])

    def _spread(self, per_group: str, encoding: GroupedIntegers) -> str:
        """One value per group to one per column; a single group broadcasts by itself."""
        rows, columns = encoding.shape
        groups, size = encoding.scales.shape[1], encoding.group_size
        if groups == 1:
            return per_group
        column = self._shaped(per_group, (rows, groups, 1))
        extent = self._editor.constant(np.array([rows, groups, size], np.int64))
        spread = self._shaped(self._node("Expand", [column, extent]), (rows, -1))
        return self._head(spread, columns, axis=1) if groups * size != columns else spread

    def _codebook(self, encoding: Codebook, prefix: str) -> str:
        """All codebooks end to end; an index is moved on by the length of those before its own."""
        values = self.centroids(encoding, prefix)
        indices = self._to_int32(self.codes(encoding.indices, encoding.bits, f"{prefix}indices"))
        if encoding.group_size is not None:
            starts = self._shaped(self._book_starts(encoding.centroids.shape, encoding.group_size), (-1,))
            starts = self._head(starts, encoding.indices.size, axis=0)
            indices = self._node("Add", [indices, self._shaped(starts, encoding.shape)])
        return self._node("Gather", [values, indices])

    def centroids(self, encoding: Codebook, prefix: str = "") -> str:
        """Nodes that give what the centroids of all codebooks stand for, float32, flat."""
        values = self._float(encoding.centroids, f"{prefix}centroids")
        if encoding.scales is not None:
            scales = self._shaped(self._float(encoding.scales, f"{prefix}scales"), (-1, 1))
            values = self._node("Mul", [values, scales])
        return self._shaped(values, (-1,))

    def _book_starts(self, centroids: tuple[int, ...], group_size: int) -> str:
        """For each weight the place of its codebook's first centroid, shape (n_groups, group_size)."""
        n_groups, n_centroids = centroids
        bounds = [np.array(bound, np.int32) for bound in (0, n_groups * n_centroids, n_centroids)]
        starts = self._node("Range", [self._editor.constant(bound) for bound in bounds])
        extent = self._editor.constant(np.array([n_groups, group_size], np.int64))
        return self._node("Expand", [self._shaped(starts, (-1, 1)), extent])

    def _sparse(self, encoding: Sparse, prefix: str) -> str:
        kept = self._shaped(self.matrix(encoding.values, f"{prefix}kept."), (-1,))
        mask = self._mask(encoding.mask, prefix)
        return self._shaped(self._scattered(kept, np.zeros(1, np.float32), mask), encoding.shape)

    def _mask(self, mask: npt.NDArray[np.bool_], prefix: str = "") -> str:
        """Nodes that give a flat mask of zeros and ones, int32."""
        return self._to_int32(self.codes(mask.astype(np.uint8).reshape(-1), 1, f"{prefix}mask"))

    def _scattered(self, kept: str, filling: npt.NDArray[Any], mask: str) -> str:
        """Kept values behind the filling; the mask's running count is a kept one's place, others take the filling."""
        count = self._node("CumSum", [mask, self._editor.constant(np.array(0, np.int64))])
        values = self._node("Concat", [self._editor.constant(filling), kept], axis=0)
        return self._node("Gather", [values, self._node("Mul", [count, mask])])

    def _float(self, values: npt.NDArray[Any], part: str) -> str:
        stored = self._put(part, values)
        return stored if values.dtype == np.float32 else self._to_float(stored)

    def _to_float(self, source: str) -> str:
        return self._node("Cast", [source], to=TensorProto.FLOAT)

    def _to_int32(self, source: str) -> str:
        return self._node("Cast", [source], to=TensorProto.INT32)

    def _shaped(self, source: str, shape: tuple[int, ...]) -> str:
        return self._node("Reshape", [source, self._editor.constant(np.array(shape, np.int64))])

    def _head(self, source: str, length: int, axis: int) -> str:
        bounds = [self._editor.constant(np.array([value], np.int64)) for value in (0, length, axis)]
        return self._node("Slice", [source, *bounds])

    def _put(self, part: str, array: npt.NDArray[Any]) -> str:
        return self._editor.put(f"{self._name}.{part}", array)
