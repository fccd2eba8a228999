"""Floats of a graph stored in half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as ops

SMALLEST = 64
"""Shorter constants stay float32: they save nothing, and masks hold float32's extremes."""


def store_half(model: Any, kind: Any) -> None:
    """Turn float32 constants into ``kind`` (f16 or bf16), converted back where they are read."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != ov.Type.f32:
            continue
        values = node.get_data()
        if values.size < SMALLEST:
            continue
        readers = list(node.output(0).get_target_inputs())
        widened = ops.convert(ops.constant(_halved(values, kind)), np.float32)
        for port in readers:
            port.replace_source_output(widened.output(0))


def _halved(values: Any, kind: Any) -> Any:
    if kind == ov.Type.f16:
        return values.astype(np.float16)
    tensor = ov.Tensor(kind, ov.Shape(values.shape))
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16  # to nearest, ties to even; the weights are finite
    tensor.data.view(np.uint16)[...] = rounded.astype(np.uint16)
    return tensor
