"""A float graph in OpenVINO whose weights are still open: each stands as an input until its values are put in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from openvino import opset15 as ops
from openvino._offline_transformations import apply_moc_transformations

from autocompress.formats.openvino.core import core
from autocompress.formats.openvino.weight_nodes import PACKED_PREFIX, replace_parameter


class OpenGraph:
    """One graph while its weights are being put in.

    The weights are inputs during the conversion, so that nothing is folded into them and each keeps its name.
    """

    def __init__(self, source: Path, initializers: Collection[str]) -> None:
        proto = onnx.load(source)
        for tensor in list(proto.graph.initializer):
            if tensor.name in initializers:
                value = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
                proto.graph.input.append(value)
                proto.graph.initializer.remove(tensor)
        self.model = core().read_model(proto.SerializeToString())
        apply_moc_transformations(self.model, cf=True, smart_reshape=False)
        self._open = {
            parameter.get_friendly_name(): parameter
            for parameter in self.model.get_parameters()
            if parameter.get_friendly_name() in initializers
        }

    def shape(self, initializer: str) -> list[int]:
        """The shape that the graph wants a weight in."""
        return list(self._open[initializer].get_output_shape(0))

    def uses(self, initializer: str) -> list[Any]:
        """The input ports that read a weight."""
        return list(self._open[initializer].output(0).get_target_inputs())

    def packed_input(self, name: str, shape: Sequence[int]) -> Any:
        """A new input for a matrix that the loader decodes."""
        parameter = ops.parameter(list(shape), np.float32, name=f"{PACKED_PREFIX}{name}")
        self.model.add_parameters([parameter])
        return parameter

    def fill(self, initializer: str, node: Any) -> None:
        """Put a node's output in the place of an open weight."""
        replace_parameter(self.model, self._open.pop(initializer), node)
