"""Runs exported graphs on any runtime that takes and gives arrays by name. Imports NumPy and no runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from autocompress.formats.base import Runner
from autocompress.formats.onnx.decoding import CachedDecoder
from autocompress.formats.onnx.generation import GenerationSettings

if TYPE_CHECKING:
    from autocompress.compressible import Inputs

GENERATION = "generation.json"

Arrays = dict[str, npt.NDArray[Any]]


class GraphTensor(Protocol):
    """An input or output of a graph; ``type`` is as ONNX Runtime writes it, such as ``tensor(float)``."""

    name: str
    shape: Sequence[Any]
    type: str


class Session(Protocol):
    """A graph in a runtime; ONNX Runtime's ``InferenceSession`` fits."""

    def get_inputs(self) -> Sequence[Any]:
        """What the graph takes, a `GraphTensor` each."""

    def get_outputs(self) -> Sequence[Any]:
        """What the graph gives, a `GraphTensor` each."""

    def run(self, output_names: list[str], input_feed: Mapping[str, Any]) -> Sequence[Any]:
        """The named outputs' arrays for these inputs."""


class GraphRunner(Runner):
    """One graph; for a causal language model the graph takes a cache, which `forward` leaves empty."""

    def __init__(self, session: Session, folder: Path, device: str) -> None:
        self._session = session
        self._output_names = [output.name for output in session.get_outputs()]
        self._decoder: CachedDecoder | None = None
        self._settings: GenerationSettings | None = None
        if (folder / GENERATION).exists():
            self._settings = read_settings(folder)
            self._decoder = CachedDecoder(session, device)

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


class Seq2SeqGraphRunner(Runner):
    """An encoder that also gives the cross-attention cache, and one decoder for every step."""

    def __init__(self, encoder: Session, decoder: Session, folder: Path, device: str) -> None:
        self._encoder = encoder
        self._encoder_outputs = [output.name for output in encoder.get_outputs()]
        self._decoder = CachedDecoder(decoder, device)
        self._settings = read_settings(folder)

    def forward(self, inputs: Inputs) -> Arrays:
        """Logits for ``decoder_input_ids`` given the encoder's inputs."""
        ids = np.ascontiguousarray(inputs["decoder_input_ids"], np.int64)
        return {"logits": self._decoder.first_step(ids, cross=self._encode_on_host(inputs))}

    def generate(self, inputs: Inputs, max_new_tokens: int, min_new_tokens: int = 0) -> npt.NDArray[Any]:
        """See `Runner.generate`."""
        cross = self._encode(inputs)
        prompt = self._settings.prompt(len(next(iter(inputs.values()))))
        settings = self._settings.limited(max_new_tokens, min_new_tokens, prompt_length=prompt.shape[1])
        return self._decoder.greedy(prompt, settings, cross=cross)

    def _encode(self, inputs: Inputs) -> dict[str, Any]:
        """The cross-attention cache where the decoder wants it."""
        return self._encode_on_host(inputs)

    def _feeds(self, inputs: Inputs) -> Arrays:
        return {wanted.name: _fitting(inputs[wanted.name], wanted.type) for wanted in self._encoder.get_inputs()}

    def _encode_on_host(self, inputs: Inputs) -> Arrays:
        values = self._encoder.run(self._encoder_outputs, self._feeds(inputs))
        return dict(zip(self._encoder_outputs, values, strict=True))


def read_settings(folder: Path) -> GenerationSettings:
    """The generation settings beside the graphs."""
    return GenerationSettings.from_plain(json.loads((folder / GENERATION).read_text("utf-8")))


def _text(inputs: Inputs) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Token ids and the attention mask, if there is one."""
    mask = inputs.get("attention_mask")
    ids = np.ascontiguousarray(inputs["input_ids"], np.int64)
    return ids, None if mask is None else np.ascontiguousarray(mask, np.int64)


_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}


def _fitting(array: npt.NDArray[Any], graph_type: str) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array, dtype=_TYPES.get(graph_type))
