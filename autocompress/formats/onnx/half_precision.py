"""Float graphs in half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph computing in float16, inputs and outputs still float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True)
    OnnxModel(converted).topological_sort()  # the converter appends its casts at the end
    return converted
