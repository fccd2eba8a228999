"""The OpenVINO format: weights packed into OpenVINO's own graphs, run by its CPU plug-in."""

from autocompress.formats.openvino.format import OpenVinoFormat

__all__ = ["OpenVinoFormat"]
