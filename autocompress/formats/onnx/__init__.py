"""The ONNX format: exported once per structure, weights packed into the graph, run by ONNX Runtime."""

from autocompress.formats.onnx.format import OnnxFormat

__all__ = ["OnnxFormat"]
