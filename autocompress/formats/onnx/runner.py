"""Runs an exported folder on ONNX Runtime. Imports what deployment needs and no more: NumPy and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

from autocompress.errors import EnvironmentProblem
from autocompress.formats.onnx.graph_runner import GraphRunner, Seq2SeqGraphRunner

if TYPE_CHECKING:
    from autocompress.compressible import Inputs

MODEL, ENCODER, DECODER = "model.onnx", "encoder_model.onnx", "decoder_model.onnx"


def open_session(path: Path, device: str, threads: int) -> ort.InferenceSession:
    """A session on the device, with a fixed number of threads that sleep while they wait.

    Raises:
        EnvironmentProblem: ONNX Runtime fell back to the CPU.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A spinning pool burns a core between calls, which distorts the timing of whatever runs beside it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device == "cuda" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    wanted = ["CUDAExecutionProvider", "CPUExecutionProvider"] if device == "cuda" else ["CPUExecutionProvider"]
    session = ort.InferenceSession(str(path), options, providers=wanted)
    if wanted[0] not in session.get_providers():
        raise EnvironmentProblem(
            "ONNX Runtime was asked for CUDA and fell back to the CPU",
            remedy="Install the GPU runtime alone: pip uninstall onnxruntime; pip install 'autocompress[gpu]'.",
        )
    return session


class OnnxRunner(GraphRunner):
    """One graph on ONNX Runtime."""

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        super().__init__(open_session(folder / MODEL, device, threads), folder, device)


class OnnxSeq2SeqRunner(Seq2SeqGraphRunner):
    """An encoder and a decoder on ONNX Runtime; on a GPU the cross-attention cache stays there."""

    _encoder: ort.InferenceSession

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        encoder, decoder = (open_session(folder / name, device, threads) for name in (ENCODER, DECODER))
        super().__init__(encoder, decoder, folder, device)
        self._device = device

    def _encode(self, inputs: Inputs) -> dict[str, Any]:
        if self._device != "cuda":
            return self._encode_on_host(inputs)
        binding = self._encoder.io_binding()
        for name, array in self._feeds(inputs).items():
            binding.bind_cpu_input(name, array)
        for name in self._encoder_outputs:
            binding.bind_output(name, "cuda")
        self._encoder.run_with_iobinding(binding)
        return dict(zip(self._encoder_outputs, binding.get_outputs(), strict=True))
