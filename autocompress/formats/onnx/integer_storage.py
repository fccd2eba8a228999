"""How the integers of int8 kernels are stored: as they are, or in fewer bits from which they are made at load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autocompress.encodings import Codebook, Encoding, GroupedIntegers
from autocompress.formats.onnx.graph_editor import GraphEditor, is_lookup
from autocompress.formats.onnx.packing import fits_kernels, write_weight
from autocompress.formats.onnx.template import Place
from autocompress.formats.onnx.weight_decoder import WeightDecoder

SMALLEST_SAVING_BYTES = 1000
"""Less than this is not worth the nodes that make the integers, which take about as much."""

Int8Matrix = npt.NDArray[np.int8]


@dataclass(frozen=True)
class CodedWeight:
    """A weight in an initializer, and the encoding that an earlier step has given it.

    Attributes:
        name: the parameter's name.
        encoding: what the initializer's values come from.
        places: where the weight stands in the graph; the initializer is the first of them.
        column_factors: what each input column is multiplied by, shape (in_features,), if anything.
    """

    name: str
    encoding: Encoding
    places: Sequence[Place]
    column_factors: npt.NDArray[np.float32] | None = None

    @property
    def factors(self) -> list[npt.NDArray[np.float32]]:
        """What the decoded matrix is multiplied by, one after the other."""
        rows, columns = self.places[0].row_factors, self.column_factors
        by_row = [] if rows is None else [np.array(rows, np.float32)[:, None]]
        return by_row if columns is None else [*by_row, columns[None, :]]

    def values(self) -> npt.NDArray[np.float32]:
        """The initializer's values as a matrix of shape (out_features, in_features)."""
        matrix = self.encoding.decode()
        for factor in self.factors:
            matrix = matrix * factor
        return matrix


def coded_weights(
    name: str,
    encoding: Encoding,
    places: Sequence[Place],
    column_factors: npt.NDArray[np.float32] | None = None,
) -> dict[str, CodedWeight]:
    """A weight by each initializer that holds its values: that of the first place, and those of scaled rows."""
    own = [place for place in places[1:] if place.row_factors is not None]
    shared = [place for place in places if place not in own]
    return {
        together[0].initializer: CodedWeight(name, encoding, together, column_factors)
        for together in [shared, *([place] for place in own)]
    }


class IntegerStorage:
    """Puts the integers of one graph's weights into it, each weight's in the smallest form that gives exactly them.

    Attributes:
        words: what the integers are made from at load, where they aren't stored themselves.
    """

    def __init__(self, editor: GraphEditor, coded: Mapping[str, CodedWeight]) -> None:
        self._editor = editor
        self._coded = coded
        self.words: dict[str, None] = {}

    def put(
        self,
        output: str,
        codes: Int8Matrix,
        scale: str,
        initializer: str,
        *,
        transposed: bool = False,
        shape: Sequence[int] | None = None,
    ) -> str:
        """Give the graph a tensor ``output`` of int8 codes.

        Args:
            output: its name.
            codes: shape (out_features, in_features).
            scale: the name of the initializer that the weight was divided by, of one value or one for each row.
            initializer: where the weight stood.
            transposed: whether the tensor is to have shape (in_features, out_features).
            shape: the tensor's shape, where it isn't the codes' and they aren't transposed.
        """
        made = self._in_fewer_bits(codes, scale, initializer, transposed)
        if made is None:
            return self._editor.put(output, codes.T if transposed else codes.reshape(shape or codes.shape))
        if shape is None or transposed:
            return self._editor.weight_node("Identity", [made], output)
        sizes = self._editor.constant(np.array(shape, np.int64))
        return self._editor.weight_node("Reshape", [made, sizes], output)

    def _in_fewer_bits(self, codes: Int8Matrix, scale: str, initializer: str, transposed: bool) -> str | None:
        """Nodes that make the codes out of less than the codes themselves take; None where nothing smaller does."""
        options: list[tuple[int, str, str]] = []
        coded = self._coded.get(initializer)
        if coded is not None and self._gives(coded, codes, scale):
            before = set(self._editor.arrays)
            made = self._quantized(coded, scale, transposed)
            options.append((self._bytes_since(before), made, coded.encoding.words))
        if np.count_nonzero(codes) + codes.size // 8 + SMALLEST_SAVING_BYTES < codes.size:
            before = set(self._editor.arrays)
            made = WeightDecoder(self._editor, f"{initializer}.int8").kept_integers(codes, transposed=transposed)
            options.append((self._bytes_since(before), made, "a bit mask and the kept int8 codes"))
        smallest = min(options, default=None)
        if smallest is None or smallest[0] + SMALLEST_SAVING_BYTES >= codes.size:
            return None
        self.words[f"weights unpacked at load from {smallest[2]}"] = None
        return smallest[1]

    def _gives(self, coded: CodedWeight, codes: Int8Matrix, scale: str) -> bool:
        """Whether rounding the decoded weight gives exactly these codes."""
        scales = self._editor.array(scale).reshape(-1, 1)
        return np.array_equal(np.rint(coded.values() / scales), codes)

    def _quantized(self, coded: CodedWeight, scale: str, transposed: bool) -> str:
        decoder = WeightDecoder(self._editor, coded.name)
        if not coded.factors:
            return decoder.integers(coded.encoding, scale, transposed=transposed)
        node, current = self._editor.weight_node, decoder.matrix(coded.encoding, transposed=transposed)
        for factor in coded.factors:
            current = node("Mul", [current, self._editor.constant(factor.T if transposed else factor)])
        return decoder.rounded(current, scale, axis=1 if transposed else 0)

    def _bytes_since(self, before: set[str]) -> int:
        added = self._editor.arrays.keys() - before
        return sum(self._editor.array(name).nbytes for name in added)


def keep_encodings(editor: GraphEditor, coded: Mapping[str, CodedWeight]) -> list[str]:
    """Write weights that are looked up or kernels of float convolutions as they are coded, where int8 isn't smaller.

    What is unpacked at load takes no more memory than int8 would, convolutions excepted, which compute in float.

    Returns:
        In words what computes them.
    """
    words: dict[str, None] = {}
    for initializer, weight in coded.items():
        if initializer not in editor.arrays or len(weight.places) > 1:
            continue
        size = int(np.prod(editor.arrays[initializer].dims))
        if weight.encoding.packed_bytes + SMALLEST_SAVING_BYTES < size and _keeps(editor, weight):
            words[write_weight(editor, weight.encoding, weight.places, weight.name)] = None
    return list(words)


def _keeps(editor: GraphEditor, weight: CodedWeight) -> bool:
    uses = editor.uses(weight.places[0].initializer)
    if all(is_lookup(use) for use in uses) and not weight.places[0].transposed:
        encoding = weight.encoding
        integers = isinstance(encoding, GroupedIntegers) and fits_kernels(editor, encoding, weight.places)
        return integers or (isinstance(encoding, Codebook) and encoding.group_size is None)
    return all(use.node.op_type == "Conv" and use.index == 1 for use in uses)
