"""Weights into an open graph: each in all its places, stored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from openvino import opset15 as ops

from autocompress.encodings import Dense, FloatArray, GroupedIntegers
from autocompress.formats.openvino.open_graph import OpenGraph
from autocompress.formats.openvino.stored_weight import StoredWeight
from autocompress.formats.openvino.weight_nodes import weight_node

if TYPE_CHECKING:
    from autocompress.formats.onnx.template import Place


def write_weight(graph: OpenGraph, weight: StoredWeight, places: Sequence[Place], name: str) -> StoredWeight:
    """Put a weight into all its places in one graph; gives it as it is stored."""
    if isinstance(weight.encoding, Dense) and weight.int8 is None:
        _write_dense(graph, weight.encoding.decode(), places)
        return weight
    weight = _with_scaled_inputs(graph, weight, places)
    source = weight_node(weight.encoding) if weight.is_native else graph.packed_input(name, weight.encoding.shape)
    for place in places:
        _deliver(graph, source, place)
    return weight


def readers(graph: OpenGraph, places: Sequence[Place]) -> list[Any]:
    """The nodes that compute with a weight."""
    found = [port.get_node() for place in places for port in graph.uses(place.initializer)]
    for index, node in enumerate(found):
        while node.get_type_name() == "Reshape":  # kernels of grouped convolutions
            (node,) = (port.get_node() for port in node.output(0).get_target_inputs())
        found[index] = node
    return found


def _is_linear(port: Any) -> bool:
    return bool(port.get_node().get_type_name() == "MatMul" and port.get_index() == 1)


def _write_dense(graph: OpenGraph, matrix: FloatArray, places: Sequence[Place]) -> None:
    """Plain values; a weight that stands in several places is stored in the first one's orientation."""
    stored: Any = None
    orientation = False
    for place in places:
        shape = graph.shape(place.initializer)
        if place.row_factors is not None:
            factors = np.array(place.row_factors, np.float32)[:, None]
            node = ops.constant((matrix * factors).reshape(shape))
        elif stored is None:
            orientation = place.transposed
            node = stored = ops.constant(np.ascontiguousarray(matrix.T if orientation else matrix.reshape(shape)))
        else:
            node = stored if place.transposed == orientation else _transposed(stored)
        graph.fill(place.initializer, node)


def _with_scaled_inputs(graph: OpenGraph, weight: StoredWeight, places: Sequence[Place]) -> StoredWeight:
    """Let the layers divide their inputs by the weight's input scales, where linear layers are all that read it."""
    encoding = weight.encoding
    if weight.int8 or not isinstance(encoding, GroupedIntegers) or encoding.input_scales is None:
        return weight
    uses = [port for place in places for port in graph.uses(place.initializer)]
    if not all(_is_linear(port) for port in uses):
        return weight
    divisor = ops.constant(encoding.input_scales.astype(np.float32))
    for port in uses:
        inputs = port.get_node().input(0)
        inputs.replace_source_output(ops.divide(inputs.get_source_output(), divisor).output(0))
    return replace(weight, encoding=replace(encoding, input_scales=None))


def _deliver(graph: OpenGraph, source: Any, place: Place) -> None:
    """Bring a decoded matrix into the initializer's place: its factors, its orientation and shape."""
    shape = graph.shape(place.initializer)
    node = source
    if place.row_factors is not None:
        node = ops.multiply(node, ops.constant(np.array(place.row_factors, np.float32)[:, None]))
    if place.transposed:
        node = _transposed(node)
    elif len(shape) > 2:
        node = ops.reshape(node, ops.constant(np.array(shape)), special_zero=False)
    graph.fill(place.initializer, node)


def _transposed(node: Any) -> Any:
    return ops.transpose(node, ops.constant(np.array([1, 0])))
