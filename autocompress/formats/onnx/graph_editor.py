"""Editing an ONNX graph in memory: who uses an initializer, replacing nodes, adding decoded weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

CONTRIB_DOMAIN = "com.microsoft"
LARGEST_INLINE_BYTES = 2**31 - 2**20
"""A protobuf message holds at most 2 GiB; beyond that the weights go into a file beside the graph."""

CONSTANT_PREFIX = "constant/"

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Use:
    """A node that reads an initializer; ``transposed`` where a Transpose node stands between."""

    node: onnx.NodeProto
    index: int
    transposed: bool = False


class GraphEditor:
    """One graph being rewritten. New nodes that make weights come first, so that the order stays topological."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.arrays: dict[str, onnx.TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
        self._weight_nodes: list[onnx.NodeProto] = []
        self._constants = {
            _content(numpy_helper.to_array(tensor)): name
            for name, tensor in self.arrays.items()
            if name.startswith(CONSTANT_PREFIX)
        }
        self._stated: dict[str, onnx.ValueInfoProto] = {}
        self._outputs: dict[str, str] = {}  # of weight nodes without a given one, by what they compute
        self._nodes: list[onnx.NodeProto] = list(model.graph.node)

    def array(self, name: str) -> Array:
        """An initializer's values."""
        array: Array = numpy_helper.to_array(self.arrays[name])
        return array

    def put(self, name: str, array: Array) -> str:
        """Add or replace an initializer; gives its name."""
        self.arrays[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def drop(self, name: str) -> None:
        """Remove an initializer."""
        del self.arrays[name]

    def uses(self, name: str) -> list[Use]:
        """Who reads an initializer, seen through Transpose nodes among the weights."""
        through = [node for node in self._weight_nodes if node.op_type == "Transpose" and node.input[0] == name]
        found = [Use(node, index) for node in self._nodes for index, used in enumerate(node.input) if used == name]
        for transpose in through:
            found += [
                Use(node, index, transposed=True)
                for node in self._nodes
                for index, used in enumerate(node.input)
                if used == transpose.output[0]
            ]
        return found

    def constant(self, array: Array) -> str:
        """A small initializer that all who need the same values share."""
        content = _content(array)
        if content not in self._constants:
            self._constants[content] = self.put(f"{CONSTANT_PREFIX}{len(self._constants)}", array)
        return self._constants[content]

    def share_constants(self) -> None:
        """Turn Constant nodes into initializers, equal ones into one; a graph with subgraphs is left as it is."""
        if any(entry.type == onnx.AttributeProto.GRAPH for node in self._nodes for entry in node.attribute):
            return
        shared: dict[str, str] = {}
        kept = []
        for node in self._nodes:
            tensor = attribute(node, "value", None) if node.op_type == "Constant" else None
            if tensor is None:
                kept.append(node)
            else:
                shared[node.output[0]] = self.constant(numpy_helper.to_array(tensor))
        for node in kept:
            for index, name in enumerate(node.input):
                node.input[index] = shared.get(name, name)
        self._nodes = kept

    def weight_node(self, op: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Add a standard node that computes a weight from initializers, which ONNX Runtime folds at load.

        Many weights take many nodes, so these have no name and, unless ``output`` is given, a short output, which is
        that of an earlier node where that computes the same.
        """
        if output is not None:
            self._weight_nodes.append(helper.make_node(op, inputs, [output], **attributes))
            return output
        computes = repr((op, inputs, sorted(attributes.items())))
        if computes not in self._outputs:
            self._outputs[computes] = self.weight_node(op, inputs, f"weight/{len(self._weight_nodes)}", **attributes)
        return self._outputs[computes]

    def state_shape(self, name: str, kind: int, shape: tuple[int, ...]) -> None:
        """State a node's output's shape where it follows from values: ONNX Runtime folds no node of unknown size."""
        self._stated[name] = helper.make_tensor_value_info(name, kind, shape)

    def replace(self, node: onnx.NodeProto, replacements: list[onnx.NodeProto]) -> None:
        """Put nodes in the place of one."""
        position = next(index for index, other in enumerate(self._nodes) if other is node)
        self._nodes[position : position + 1] = replacements

    @property
    def nodes(self) -> tuple[onnx.NodeProto, ...]:
        """The nodes that are not about weights, in order."""
        return tuple(self._nodes)

    def to_model(self) -> onnx.ModelProto:
        """The edited graph, nodes and initializers that nothing reads left out."""
        graph = self.model.graph
        nodes = self._read_nodes()
        read = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(tensor for name, tensor in self.arrays.items() if name in read)
        graph.value_info.extend(stated for name, stated in self._stated.items() if name in read)
        if any(node.domain == CONTRIB_DOMAIN for node in nodes):
            self._import_contrib()
        return self.model

    def save(self, path: Path) -> None:
        """Write the graph; the same graph gives the same bytes. Nodes lose their names, which only debuggers read."""
        for node in self.to_model().graph.node:
            node.ClearField("name")
        if self.model.ByteSize() < LARGEST_INLINE_BYTES:
            path.write_bytes(self.model.SerializeToString(deterministic=True))
            return
        onnx.save_model(self.model, path, save_as_external_data=True, location=f"{path.name}.data")

    def _read_nodes(self) -> list[onnx.NodeProto]:
        """All nodes whose outputs something reads, in order."""
        read = {output.name for output in self.model.graph.output}
        kept = []
        for node in reversed([*self._weight_nodes, *self._nodes]):
            if read.intersection(node.output):
                read.update(node.input)
                kept.append(node)
        return kept[::-1]

    def _import_contrib(self) -> None:
        if all(imported.domain != CONTRIB_DOMAIN for imported in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(CONTRIB_DOMAIN, 1))


def _content(array: Array) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """A node's attribute."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def is_lookup(use: Use) -> bool:
    """Whether rows of an (out, in) weight are looked up by index."""
    return use.node.op_type == "Gather" and use.index == 0 and not attribute(use.node, "axis", 0) and not use.transposed


def is_linear(use: Use, transposed: bool) -> bool:
    """Whether a linear layer multiplies by the weight; ``transposed`` where the initializer is (in, out)."""
    stored_transposed = transposed != use.transposed
    if use.node.op_type == "MatMul":
        return use.index == 1 and stored_transposed
    if use.node.op_type == "Gemm":
        plain = not attribute(use.node, "transA", 0) and attribute(use.node, "alpha", 1.0) == 1.0
        plain = plain and attribute(use.node, "beta", 1.0) == 1.0
        return plain and use.index == 1 and stored_transposed != bool(attribute(use.node, "transB", 0))
    return False
