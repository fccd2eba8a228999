"""Runs an exported folder on OpenVINO. Imports what deployment needs and no more: NumPy, safetensors and OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from autocompress.errors import ModelError
from autocompress.formats.base import Runner
from autocompress.formats.onnx.graph_runner import GraphRunner, Seq2SeqGraphRunner
from autocompress.formats.openvino.core import core
from autocompress.formats.openvino.precision import can_compute_in
from autocompress.formats.openvino.serialization import option
from autocompress.formats.openvino.stored_weight import StoredWeight, read_packed
from autocompress.formats.openvino.weight_nodes import PACKED_PREFIX, replace_parameter, weight_node

MODEL, ENCODER, DECODER = "model.xml", "encoder_model.xml", "decoder_model.xml"
_ONNX_TYPES = {
    ov.Type.f32: "tensor(float)",
    ov.Type.i64: "tensor(int64)",
    ov.Type.i32: "tensor(int32)",
    ov.Type.boolean: "tensor(bool)",
}


def load(folder: Path, threads: int) -> Runner:
    """The runner of what lies in a folder."""
    packed = read_packed(folder)
    if (folder / DECODER).exists():
        encoder, decoder = (CompiledGraph(folder / name, packed, threads) for name in (ENCODER, DECODER))
        return Seq2SeqGraphRunner(encoder, decoder, folder, "cpu")
    return GraphRunner(CompiledGraph(folder / MODEL, packed, threads), folder, "cpu")


@dataclass(frozen=True)
class GraphTensor:
    """An input or output of a graph; a dimension that is free is None."""

    name: str
    shape: tuple[int | None, ...]
    type: str


class CompiledGraph:
    """One graph compiled for the CPU: a `Session`, see `autocompress.formats.onnx.graph_runner`."""

    def __init__(self, path: Path, packed: Mapping[str, StoredWeight], threads: int) -> None:
        model = core().read_model(path)
        _put_in(packed, model)
        compiled = core().compile_model(model, "CPU", _properties(model, threads))
        self._inputs = [_described(port) for port in compiled.inputs]
        self._outputs = [_described(port) for port in compiled.outputs]
        self._ports = {port.get_any_name(): port for port in compiled.outputs}
        self._request = compiled.create_infer_request()

    def get_inputs(self) -> list[GraphTensor]:
        """What the graph takes."""
        return self._inputs

    def get_outputs(self) -> list[GraphTensor]:
        """What the graph gives."""
        return self._outputs

    def run(self, output_names: list[str], input_feed: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Copies of the named outputs: the request's own memory is written over by the next call."""
        for name, array in input_feed.items():
            self._request.set_tensor(name, ov.Tensor(array, shared_memory=True))
        self._request.infer()
        return [np.array(self._request.get_tensor(self._ports[name]).data) for name in output_names]


def _properties(model: Any, threads: int) -> dict[str, Any]:
    """One stream with a fixed number of threads, and only the precision that the recipe asked for."""
    wanted = option(model, "INFERENCE_PRECISION_HINT")
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Pinned threads of two artifacts that are timed side by side would sit on the same core.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": wanted if can_compute_in(wanted) else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": int(option(model, "DYNAMIC_QUANTIZATION_GROUP_SIZE")),
    }


def _put_in(packed: Mapping[str, StoredWeight], model: Any) -> None:
    """Fill the inputs that stand for packed weights.

    Raises:
        ModelError: a packed weight is not there, or not of the shape that the graph has it in.
    """
    for parameter in model.get_parameters():
        if not parameter.get_friendly_name().startswith(PACKED_PREFIX):
            continue
        name = parameter.get_friendly_name().removeprefix(PACKED_PREFIX)
        weight = packed.get(name)
        if weight is None or tuple(weight.encoding.shape) != tuple(parameter.get_output_shape(0)):
            raise ModelError(f"the packed weight {name} is missing or of another shape")
        replace_parameter(model, parameter, weight_node(weight.runtime_form))
    model.validate_nodes_and_infer_types()


def _described(port: Any) -> GraphTensor:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    return GraphTensor(port.get_any_name(), shape, _ONNX_TYPES.get(port.get_element_type(), ""))
