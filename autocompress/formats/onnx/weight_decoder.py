"""Standard ONNX nodes that decode a weight from its encoding, as floats or rounded to int8."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from autocompress.encodings import ByteArray, Codebook, Dense, Encoding, GroupedIntegers, Sparse, SparseIntegers
from autocompress.formats.onnx.code_unpacker import CodeUnpacker
from autocompress.formats.onnx.graph_editor import GraphEditor
from autocompress.formats.onnx.integer_decoder import IntegerDecoder


class WeightDecoder:
    """Standard ONNX nodes that decode one weight; ONNX Runtime folds them into a plain weight at load.

    Where weights share few values, it is these that are computed, and for int8 rounded, before the weights are looked
    up: what ONNX Runtime holds for each weight meanwhile is then hardly more than an index and the result.
    """

    def __init__(self, editor: GraphEditor, name: str) -> None:
        self._unpacker = CodeUnpacker(editor, name)
        self._integers = IntegerDecoder(self._unpacker)
        self._node = self._unpacker.node

    def matrix(self, encoding: Encoding, *, transposed: bool = False) -> str:
        """Nodes that give the decoded float32 weight, in the encoding's shape, or transposed."""
        return self._made(encoding, None, transposed, "")

    def integers(self, encoding: Encoding, divisors: str, *, transposed: bool = False) -> str:
        """Nodes that give the decoded weight divided and rounded to int8.

        Args:
            encoding: the weight's.
            divisors: the initializer of one divisor or of one for each row.
            transposed: whether the result is to be transposed.
        """
        return self._made(encoding, divisors, transposed, "")

    def kept_integers(self, codes: npt.NDArray[np.int8], *, transposed: bool = False) -> str:
        """Nodes that give int8 codes, of which those that aren't zero are stored, in the codes' shape or transposed."""
        ordered = codes.T if transposed else codes
        kept = self._unpacker.put("kept", ordered[ordered != 0][None])
        return self._unpacker.scattered(kept, ordered != 0, self._unpacker.constant(np.zeros(1, np.int8)))

    def rounded(self, values: str, divisors: str, axis: int) -> str:
        """Nodes that divide floats, by one divisor or by one for each slice of ``axis``, and round to int8."""
        return self._unpacker.rounded(values, divisors, axis)

    def codes(self, codes: ByteArray, bits: int, part: str) -> str:
        """Nodes that give uint8 codes."""
        return self._unpacker.codes(codes, bits, part)

    def integer_parts(self, encoding: GroupedIntegers) -> tuple[str, str, str, str | None]:
        """See `IntegerDecoder.parts`."""
        return self._integers.parts(encoding)

    def sparse_codes(self, encoding: SparseIntegers) -> str:
        """Nodes that give the uint8 codes of a whole weight: where nothing is kept, the code that stands for zero."""
        return self._integers.sparse_codes(encoding)

    def centroids(self, encoding: Codebook, prefix: str = "") -> str:
        """Nodes that give what the centroids stand for, float32, flat for one codebook, else a row for each."""
        values = self._unpacker.floats(encoding.centroids, f"{prefix}centroids")
        if encoding.scales is not None:
            scales = self._unpacker.shaped(self._unpacker.floats(encoding.scales, f"{prefix}scales"), (-1, 1))
            values = self._node("Mul", [values, scales])
        return self._unpacker.shaped(values, (-1,)) if len(encoding.centroids) == 1 else values

    def table_of_bytes(self, centroids: str, encoding: Codebook) -> str:
        """Nodes that give the centroids of all indices in each of the 256 bytes, shape (256, indices in a byte)."""
        return self._unpacker.table_of_bytes(centroids, encoding.centroids.shape[1], encoding.bits)

    def _made(self, encoding: Encoding, divisors: str | None, transposed: bool, prefix: str) -> str:
        """The decoded weight, as floats or, if there are divisors, as int8."""
        if divisors is None or self._rounds_values(encoding, divisors):
            return self._decoded(encoding, divisors, transposed, prefix)
        rounded = self._unpacker.rounded(self._decoded(encoding, None, False, prefix), divisors, axis=0)
        return self._turned(rounded, transposed)

    def _rounds_values(self, encoding: Encoding, divisors: str) -> bool:
        """Whether `_decoded` can round what weights share, before it looks the weights up."""
        one_divisor = self._unpacker.n_divisors(divisors) == 1
        if isinstance(encoding, Codebook):
            whole_runs = encoding.group_size is not None and encoding.shape[1] % encoding.group_size == 0
            return one_divisor or whole_runs or len(encoding.centroids) == 1
        if isinstance(encoding, Sparse):
            return one_divisor or _has_spare_code(encoding.values)
        if isinstance(encoding, (GroupedIntegers, SparseIntegers)):
            return self._integers.rounds_values(encoding)
        return False

    def _decoded(self, encoding: Encoding, divisors: str | None, transposed: bool, prefix: str) -> str:
        if isinstance(encoding, Dense):
            return self._turned(self._unpacker.floats(encoding.values, f"{prefix}values"), transposed)
        if isinstance(encoding, GroupedIntegers):
            return self._integers.decoded(encoding, divisors, transposed, prefix)
        if isinstance(encoding, SparseIntegers):
            return self._integers.decoded(encoding, divisors, transposed, f"{prefix}kept.")
        if isinstance(encoding, Sparse):
            return self._sparse(encoding, divisors, transposed)
        if isinstance(encoding, Codebook) and len(encoding.centroids) == 1:
            return self._codebook(encoding, divisors, transposed, prefix)
        if isinstance(encoding, Codebook):
            return self._turned(self._codebooks(encoding, divisors, prefix), transposed)
        raise TypeError(f"no ONNX form for the encoding {encoding.kind!r}")

    def _codebook(self, encoding: Codebook, divisors: str | None, transposed: bool, prefix: str) -> str:
        """One codebook: whole bytes of indices are looked up, unless each row has a divisor of its own."""
        book, n_values = self.centroids(encoding, prefix), encoding.centroids.shape[1]
        indices, part = encoding.indices.T if transposed else encoding.indices, f"{prefix}indices"
        if divisors is not None and self._unpacker.n_divisors(divisors) > 1:
            codes = self._unpacker.codes(indices, encoding.bits, part)
            return self._rounded_by_row(book, n_values, codes, divisors, transposed)
        values = book if divisors is None else self._unpacker.rounded(book, divisors, axis=0)
        return self._unpacker.looked_up(values, n_values, indices, encoding.bits, part)

    def _rounded_by_row(self, book: str, n_values: int, codes: str, divisors: str, transposed: bool) -> str:
        """The value of each uint8 code, rounded to int8 by its row's divisor."""
        rows = self._unpacker.n_divisors(divisors)
        column = self._unpacker.shaped(book, (-1, 1) if transposed else (1, -1))
        shape = (n_values, rows) if transposed else (rows, n_values)
        table = self._node("Expand", [column, self._unpacker.constant(np.array(shape, np.int64))])
        table = self._unpacker.rounded(table, divisors, axis=1 if transposed else 0)
        return self._unpacker.picked(table, codes, axis=0 if transposed else 1)

    def _codebooks(self, encoding: Codebook, divisors: str | None, prefix: str) -> str:
        """A codebook for each run of weights."""
        table, n_runs, n_weights = self.centroids(encoding, prefix), len(encoding.centroids), encoding.indices.size
        if divisors is not None:
            by_row = self._unpacker.shaped(table, (self._unpacker.n_divisors(divisors), -1))
            table = self._unpacker.shaped(self._unpacker.rounded(by_row, divisors, axis=0), encoding.centroids.shape)
        indices = np.zeros((n_runs, encoding.group_size or n_weights), np.uint8)
        indices.reshape(-1)[:n_weights] = encoding.indices.reshape(-1)
        made = self._unpacker.picked(table, self._unpacker.codes(indices, encoding.bits, f"{prefix}indices"), axis=1)
        if indices.size > n_weights:
            made = self._unpacker.head(self._unpacker.shaped(made, (-1,)), n_weights, axis=0)
        return self._unpacker.shaped(made, encoding.shape)

    def _sparse(self, encoding: Sparse, divisors: str | None, transposed: bool) -> str:
        """Kept values among zeros; where they are looked up and can be later, their codes among a code for zero."""
        values = encoding.values
        one_divisor = divisors is not None and self._unpacker.n_divisors(divisors) == 1
        if one_divisor or not _has_spare_code(values):
            kept = self._unpacker.shaped(self._made(values, divisors, False, "kept."), (1, -1))
            zero = self._unpacker.constant(np.zeros(1, np.float32 if divisors is None else np.int8))
            return self._turned(self._unpacker.scattered(kept, encoding.mask, zero), transposed)
        n_values = values.centroids.shape[1]
        zero = self._unpacker.constant(np.zeros(1, np.float32))
        book = self._node("Concat", [self.centroids(values, "kept."), zero], axis=0)
        kept = self._unpacker.codes(values.indices.reshape(1, -1), values.bits, "kept.indices")
        spare = self._unpacker.constant(np.array([n_values], np.uint8))
        codes = self._turned(self._unpacker.scattered(kept, encoding.mask, spare), transposed)
        if divisors is None:
            return self._unpacker.gathered(book, codes)
        return self._rounded_by_row(book, n_values + 1, codes, divisors, transposed)

    def _turned(self, matrix: str, transposed: bool) -> str:
        return self._node("Transpose", [matrix], perm=[1, 0]) if transposed else matrix


def _has_spare_code(values: Encoding) -> TypeGuard[Codebook]:
    """Whether weights share one codebook that leaves a byte for a value that isn't in it."""
    return isinstance(values, Codebook) and len(values.centroids) == 1 and values.centroids.shape[1] < 2**8
