"""Greedy decoding over one session whose cache goes in as ``past_key_values.*`` and comes out as ``present.*``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from autocompress.formats.onnx.generation import GenerationSettings

LogitsArray = npt.NDArray[np.float32]


class CachedDecoder:
    """A decoder session and its cache, which stays in the runtime's own values between steps.

    The cache of self-attention starts empty and is what the step before gave; the one of cross-attention
    (``past_key_values.*.encoder.*``) is bound once per utterance.
    """

    def __init__(self, session: ort.InferenceSession, device: str) -> None:
        self._session = session
        self._device = device
        names = [wanted.name for wanted in session.get_inputs()]
        self._takes_positions = "position_ids" in names
        self._takes_mask = "attention_mask" in names
        self._cross_names = [name for name in names if name.startswith("past_") and ".encoder." in name]
        self._self_names = [name for name in names if name.startswith("past_") and ".encoder." not in name]
        self._present = [name.replace("past_key_values", "present") for name in self._self_names]
        self._shapes = {wanted.name: wanted.shape for wanted in session.get_inputs()}
        self._types = {wanted.name: wanted.type for wanted in session.get_inputs()}

    def empty_cache(self, batch: int) -> dict[str, npt.NDArray[Any]]:
        """Self-attention's cache before the first token: shape (batch, heads, 0, head size) each."""
        cache = {}
        for name in self._self_names:
            _, heads, _, size = self._shapes[name]
            kind = np.float16 if self._types[name] == "tensor(float16)" else np.float32
            cache[name] = np.zeros((batch, heads, 0, size), kind)
        return cache

    def full_inputs(self, given: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """The inputs of a first step, completed by mask, positions and an empty cache."""
        ids = np.asarray(given["input_ids"], np.int64)
        mask = np.asarray(given.get("attention_mask", np.ones_like(ids)), np.int64)
        completed = {"input_ids": ids, "attention_mask": mask, "position_ids": _positions(mask)}
        return {**self.empty_cache(len(ids)), **completed, **given}

    def logits(self, ids: npt.NDArray[np.int64], cross: Mapping[str, ort.OrtValue]) -> LogitsArray:
        """Logits of shape (batch, length, vocabulary) for a whole answer at once."""
        feeds = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in self.empty_cache(len(ids)).items()}
        feeds |= {name: cross[name.replace("past_key_values", "present")] for name in self._cross_names}
        feeds["input_ids"] = ort.OrtValue.ortvalue_from_numpy(ids)
        (value,) = self._session.run_with_ort_values(["logits"], feeds)
        logits: LogitsArray = value.numpy()
        return logits

    def greedy(
        self,
        prompt: npt.NDArray[np.int64],
        settings: GenerationSettings,
        *,
        cross: Mapping[str, ort.OrtValue] | None = None,
        attention_mask: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Token ids of shape (batch, length), prompt included; finished rows are padded."""
        batch, prompt_length = prompt.shape
        binding = self._session.io_binding()
        for name in self._cross_names:
            assert cross is not None
            binding.bind_ortvalue_input(name, cross[name.replace("past_key_values", "present")])
        cache = [ort.OrtValue.ortvalue_from_numpy(value) for value in self.empty_cache(batch).values()]
        mask = np.ones_like(prompt) if attention_mask is None else np.asarray(attention_mask, np.int64)
        answer, step_ids = prompt, prompt
        running = np.ones(batch, np.bool_)
        while answer.shape[1] < settings.max_length and running.any():
            binding.bind_cpu_input("input_ids", step_ids)
            if self._takes_mask:
                binding.bind_cpu_input("attention_mask", mask)
            if self._takes_positions:
                binding.bind_cpu_input("position_ids", np.ascontiguousarray(_positions(mask)[:, -step_ids.shape[1] :]))
            for name, value in zip(self._self_names, cache, strict=True):
                binding.bind_ortvalue_input(name, value)
            binding.bind_output("logits", "cpu")
            for name in self._present:
                binding.bind_output(name, self._device)
            self._session.run_with_iobinding(binding)
            outputs = binding.get_outputs()
            cache = list(outputs[1:])
            chosen = choose(outputs[0].numpy()[:, -1], answer, prompt_length, settings)
            chosen = np.where(running, chosen, settings.pad_token_id)
            running &= ~np.isin(chosen, settings.eos_token_ids)
            step_ids = chosen[:, None]
            answer = np.concatenate([answer, step_ids], axis=1)
            mask = np.concatenate([mask, np.ones((batch, 1), np.int64)], axis=1)
        return answer


def choose(
    logits: LogitsArray, answer: npt.NDArray[np.int64], prompt_length: int, settings: GenerationSettings
) -> npt.NDArray[np.int64]:
    """The next token of each row: the likeliest that the settings allow; logits have shape (batch, vocabulary)."""
    length = answer.shape[1]
    forced = dict(settings.forced_ids).get(length)
    if forced is not None:
        return np.full(len(answer), forced, np.int64)
    if settings.repetition_penalty != 1.0:
        logits = logits.copy()
        seen = np.take_along_axis(logits, answer, axis=1)
        penalized = np.where(seen < 0, seen * settings.repetition_penalty, seen / settings.repetition_penalty)
        np.put_along_axis(logits, answer, penalized, axis=1)
    barred = list(settings.suppress_tokens)
    if length == prompt_length:
        barred += settings.begin_suppress_tokens
    if length < settings.min_length:
        barred += settings.eos_token_ids
    if barred:
        logits = logits.copy()
        logits[:, barred] = -np.inf
    return logits.argmax(axis=-1)


def _positions(mask: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each token's position, padding on the left not counted."""
    return np.maximum(mask.cumsum(axis=1) - 1, 0)
