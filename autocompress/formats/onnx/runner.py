"""Runs an exported folder on ONNX Runtime. Imports what deployment needs and no more: NumPy and ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from autocompress.errors import EnvironmentProblem
from autocompress.formats.base import Runner
from autocompress.formats.onnx.decoding import CachedDecoder
from autocompress.formats.onnx.generation import GenerationSettings

if TYPE_CHECKING:
    from autocompress.compressible import Inputs

MODEL, ENCODER, DECODER = "model.onnx", "encoder_model.onnx", "decoder_model.onnx"
GENERATION = "generation.json"

Arrays = dict[str, npt.NDArray[Any]]


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


class OnnxRunner(Runner):
    """One graph; for a causal language model the graph takes a cache, which `forward` leaves empty."""

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        self._session = open_session(folder / MODEL, device, threads)
        self._output_names = [output.name for output in self._session.get_outputs()]
        self._decoder: CachedDecoder | None = None
        self._settings: GenerationSettings | None = None
        if (folder / GENERATION).exists():
            self._settings = GenerationSettings.from_plain(json.loads((folder / GENERATION).read_text("utf-8")))
            self._decoder = CachedDecoder(self._session, device)

    def forward(self, inputs: Inputs) -> Arrays:
        """See `Runner.forward`; inputs that the graph does not have are left aside."""
        if self._decoder is not None:
            return {"logits": self._decoder.first_step(*_text(inputs))}
        feeds = {}
        for wanted in self._session.get_inputs():
            if wanted.name in inputs:
                feeds[wanted.name] = _fitting(inputs[wanted.name], wanted.type)
            elif wanted.name == "token_type_ids":
                feeds[wanted.name] = np.zeros(inputs["input_ids"].shape, np.int64)
            else:
                raise KeyError(f"the graph needs an input {wanted.name!r}; given: {sorted(inputs)}")
        return dict(zip(self._output_names, self._session.run(self._output_names, feeds), strict=True))

    def generate(self, inputs: Inputs, max_new_tokens: int, min_new_tokens: int = 0) -> npt.NDArray[Any]:
        """See `Runner.generate`."""
        if self._decoder is None or self._settings is None:
            raise NotImplementedError("the artifact is not a generating model")
        prompt, mask = _text(inputs)
        settings = self._settings.limited(max_new_tokens, min_new_tokens, prompt_length=prompt.shape[1])
        return self._decoder.greedy(prompt, settings, mask=mask)


class OnnxSeq2SeqRunner(Runner):
    """An encoder that also gives the cross-attention cache, and one decoder for every step."""

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        self._device = device
        self._encoder = open_session(folder / ENCODER, device, threads)
        self._encoder_outputs = [output.name for output in self._encoder.get_outputs()]
        self._decoder = CachedDecoder(open_session(folder / DECODER, device, threads), device)
        self._settings = GenerationSettings.from_plain(json.loads((folder / GENERATION).read_text("utf-8")))

    def forward(self, inputs: Inputs) -> Arrays:
        """Logits for ``decoder_input_ids`` given the encoder's inputs."""
        ids = np.ascontiguousarray(inputs["decoder_input_ids"], np.int64)
        return {"logits": self._decoder.first_step(ids, cross=self._encode_on_host(inputs))}

    def generate(self, inputs: Inputs, max_new_tokens: int, min_new_tokens: int = 0) -> npt.NDArray[Any]:
        """See `Runner.generate`."""
        cross = self._encode_on_device(inputs) if self._device == "cuda" else self._encode_on_host(inputs)
        prompt = self._settings.prompt(len(next(iter(inputs.values()))))
        settings = self._settings.limited(max_new_tokens, min_new_tokens, prompt_length=prompt.shape[1])
        return self._decoder.greedy(prompt, settings, cross=cross)

    def _feeds(self, inputs: Inputs) -> Arrays:
        return {wanted.name: _fitting(inputs[wanted.name], wanted.type) for wanted in self._encoder.get_inputs()}

    def _encode_on_host(self, inputs: Inputs) -> Arrays:
        values = self._encoder.run(self._encoder_outputs, self._feeds(inputs))
        return dict(zip(self._encoder_outputs, values, strict=True))

    def _encode_on_device(self, inputs: Inputs) -> dict[str, ort.OrtValue]:
        binding = self._encoder.io_binding()
        for name, array in self._feeds(inputs).items():
            binding.bind_cpu_input(name, array)
        for name in self._encoder_outputs:
            binding.bind_output(name, "cuda")
        self._encoder.run_with_iobinding(binding)
        return dict(zip(self._encoder_outputs, binding.get_outputs(), strict=True))


def _text(inputs: Inputs) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Token ids and the attention mask, if there is one."""
    mask = inputs.get("attention_mask")
    ids = np.ascontiguousarray(inputs["input_ids"], np.int64)
    return ids, None if mask is None else np.ascontiguousarray(mask, np.int64)


_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}


def _fitting(array: npt.NDArray[Any], ort_type: str) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array, dtype=_TYPES.get(ort_type))
