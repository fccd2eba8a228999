"""Weights of which a graph only looks up rows: coded in memory, and decoded row by row as they are looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from autocompress.encodings import Codebook, GroupedIntegers, pack_bits
from autocompress.formats.onnx.code_unpacker import BITS_IN_BYTES
from autocompress.formats.onnx.graph_editor import GraphEditor
from autocompress.formats.onnx.template import Place
from autocompress.formats.onnx.weight_decoder import WeightDecoder


class _RowNodes:
    """The nodes that take the place of one look-up."""

    def __init__(self, ids: str, rows: str) -> None:
        self.ids = ids
        self.nodes: list[NodeProto] = []
        self._rows = rows

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node; gives its output, which the last node's is renamed from."""
        output = f"{self._rows}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def in_rows(self, values: str, width: str) -> str:
        """Values of shape (ids, n, m) as rows, shape (ids, n · m)."""
        shape = self.add("Concat", [self.add("Shape", [self.ids]), width], axis=0)
        return self.add("Reshape", [values, shape])

    def finished(self) -> list[NodeProto]:
        """The nodes, of which the last gives the rows."""
        self.nodes[-1].output[0] = self._rows
        return self.nodes


def write_codebook_lookups(editor: GraphEditor, encoding: Codebook, places: Sequence[Place], name: str) -> str:
    """Look up rows of indices, packed where that leaves them whole, and then their centroids; gives in words how."""
    decoder = WeightDecoder(editor, name)
    kind = editor.arrays[places[0].initializer].data_type
    centroids = editor.weight_node("Cast", [decoder.centroids(encoding)], to=kind)
    columns = encoding.shape[1]
    if encoding.bits not in BITS_IN_BYTES or columns * encoding.bits % 8:
        indices = decoder.codes(encoding.indices, encoding.bits, "indices")

        def rows_of_bytes(rows: _RowNodes) -> None:
            codes = rows.add("Cast", [rows.add("Gather", [indices, rows.ids])], to=TensorProto.INT32)
            rows.add("Gather", [centroids, codes])

        _replace_lookups(editor, places, rows_of_bytes)
        return "bytes after unpacking at load"
    packed = editor.put(f"{name}.indices", np.stack([pack_bits(row, encoding.bits) for row in encoding.indices]))
    table = decoder.table_of_bytes(centroids, encoding)
    width = editor.constant(np.array([columns], np.int64))

    def packed_rows(rows: _RowNodes) -> None:
        codes = rows.add("Cast", [rows.add("Gather", [packed, rows.ids])], to=TensorProto.INT32)
        rows.in_rows(rows.add("Gather", [table, codes]), width)

    _replace_lookups(editor, places, packed_rows)
    return "unpacked row by row"


def write_integer_lookups(editor: GraphEditor, encoding: GroupedIntegers, places: Sequence[Place], name: str) -> str:
    """Look up rows of codes, a byte each from load on, and what their groups share; gives in words how."""
    codes, zeros, scales, divisors = WeightDecoder(editor, name).integer_parts(encoding)
    columns, n_groups, kind = (
        encoding.shape[1],
        encoding.scales.shape[1],
        editor.arrays[places[0].initializer].data_type,
    )
    n_padded = columns if n_groups == 1 else n_groups * encoding.group_size
    width, end, start, last = (editor.constant(np.array([number], np.int64)) for number in (n_padded, columns, 0, -1))

    def rows_of_integers(rows: _RowNodes) -> None:
        values = rows.add("Cast", [rows.add("Gather", [codes, rows.ids])], to=TensorProto.FLOAT)
        of_groups = zeros if encoding.zero_points is None else rows.add("Gather", [zeros, rows.ids])
        centred = rows.add("Sub", [values, of_groups])
        values = rows.add("Mul", [centred, rows.add("Gather", [scales, rows.ids])])
        if n_groups > 1:
            values = rows.in_rows(values, width)
        if n_padded > columns:
            values = rows.add("Slice", [values, start, end, last])
        if divisors is not None:
            values = rows.add("Div", [values, divisors])
        if kind != TensorProto.FLOAT:
            rows.add("Cast", [values], to=kind)

    _replace_lookups(editor, places, rows_of_integers)
    return "bytes after unpacking at load"


def _replace_lookups(editor: GraphEditor, places: Sequence[Place], write: Callable[[_RowNodes], None]) -> None:
    for place in places:
        for use in editor.uses(place.initializer):
            rows = _RowNodes(use.node.input[1], use.node.output[0])
            write(rows)
            editor.replace(use.node, rows.finished())
        editor.drop(place.initializer)
