"""Greedy decoding over one session whose cache goes in as ``past_key_values.*`` and comes out as ``present.*``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autocompress.formats.onnx.generation import GenerationSettings

if TYPE_CHECKING:
    from autocompress.formats.onnx.graph_runner import Session

Arrays = dict[str, npt.NDArray[Any]]
Logits = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class CachedDecoder:
    """A decoder session, run step by step.

    The cache of self-attention starts empty and is what the step before gave; the one of cross-attention
    (``past_key_values.*.encoder.*``) stays the same for an utterance. On a GPU the cache never leaves the device: it
    goes round in I/O bindings. On the CPU the runtime's own memory is handed round as NumPy views, which costs less
    than binding anew at every step.
    """

    def __init__(self, session: Session, device: str) -> None:
        self._session = session
        self._device = device
        inputs = {wanted.name: wanted for wanted in session.get_inputs()}
        self._takes_positions = "position_ids" in inputs
        self._takes_mask = "attention_mask" in inputs
        self._cross_names = [name for name in inputs if name.startswith("past_") and ".encoder." in name]
        self._self_names = [name for name in inputs if name.startswith("past_") and ".encoder." not in name]
        self._outputs = ["logits", *(_present(name) for name in self._self_names)]
        self._inputs = inputs

    def empty_cache(self, batch: int) -> Arrays:
        """Self-attention's cache before the first token: shape (batch, heads, 0, head size) each."""
        cache = {}
        for name in self._self_names:
            _, heads, _, size = self._inputs[name].shape
            kind = np.float16 if self._inputs[name].type == "tensor(float16)" else np.float32
            cache[name] = np.zeros((batch, heads, 0, size), kind)
        return cache

    def first_step(self, ids: Ids, mask: Ids | None = None, cross: Mapping[str, Any] | None = None) -> Logits:
        """Logits of shape (batch, length, vocabulary) for a whole text at once, the cache left empty."""
        mask = np.ones_like(ids) if mask is None else mask
        feeds = {**self._step_inputs(ids, mask), **self.empty_cache(len(ids)), **self._cross_inputs(cross)}
        logits: Logits = self._session.run(["logits"], feeds)[0]
        return logits

    def greedy(
        self,
        prompt: Ids,
        settings: GenerationSettings,
        *,
        cross: Mapping[str, Any] | None = None,
        mask: Ids | None = None,
    ) -> Ids:
        """Token ids of shape (batch, length), prompt included; finished rows are padded."""
        batch, prompt_length = prompt.shape
        mask = np.ones_like(prompt) if mask is None else mask
        steps = (_DeviceSteps if self._device == "cuda" else _HostSteps)(self._session, self._outputs)
        steps.start(self._cross_inputs(cross), self.empty_cache(batch))
        answer, latest = prompt, prompt
        ends = np.array(settings.eos_token_ids, np.int64)
        running = np.ones(batch, np.bool_)
        while answer.shape[1] < settings.max_length:
            logits = steps.step(self._step_inputs(latest, mask))
            chosen = np.where(running, choose(logits, answer, prompt_length, settings), settings.pad_token_id)
            latest = chosen[:, None]
            answer = np.concatenate([answer, latest], axis=1)
            running &= (latest != ends).all(axis=1)
            if not running.any():
                break
            if self._takes_mask or self._takes_positions:
                mask = np.concatenate([mask, np.ones_like(latest)], axis=1)
        return settings.answer(answer, prompt_length)

    def _step_inputs(self, ids: Ids, mask: Ids) -> Arrays:
        feeds: Arrays = {"input_ids": ids}
        if self._takes_mask:
            feeds["attention_mask"] = mask
        if self._takes_positions:  # padding on the left counts for nothing
            positions = np.maximum(mask.cumsum(axis=1) - 1, 0)
            feeds["position_ids"] = np.ascontiguousarray(positions[:, -ids.shape[1] :])
        return feeds

    def _cross_inputs(self, cross: Mapping[str, Any] | None) -> dict[str, Any]:
        return {name: cross[_present(name)] for name in self._cross_names} if cross else {}


class _HostSteps:
    """Steps on the CPU; the runtime's outputs are NumPy views of its memory, nothing is copied."""

    def __init__(self, session: Session, outputs: list[str]) -> None:
        self._session = session
        self._outputs = outputs

    def start(self, cross: dict[str, Any], cache: Arrays) -> None:
        """Begin an answer."""
        self._cache_names = list(cache)
        self._feeds = {**cross, **cache}

    def step(self, inputs: Arrays) -> Logits:
        """One step; the last position's logits, shape (batch, vocabulary)."""
        logits, *cache = self._session.run(self._outputs, {**self._feeds, **inputs})
        self._feeds.update(zip(self._cache_names, cache, strict=True))
        last: Logits = logits[:, -1]
        return last


class _DeviceSteps:
    """Steps on a GPU; only token ids and logits cross over."""

    def __init__(self, session: Any, outputs: list[str]) -> None:
        self._session = session
        self._outputs = outputs

    def start(self, cross: dict[str, Any], cache: Arrays) -> None:
        """Begin an answer."""
        import onnxruntime as ort

        self._binding = self._session.io_binding()
        for name, value in cross.items():
            self._binding.bind_ortvalue_input(name, value)
        self._cache = {name: ort.OrtValue.ortvalue_from_numpy(value, "cuda", 0) for name, value in cache.items()}

    def step(self, inputs: Arrays) -> Logits:
        """One step; the last position's logits, shape (batch, vocabulary)."""
        for name, array in inputs.items():
            self._binding.bind_cpu_input(name, array)
        for name, value in self._cache.items():
            self._binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            self._binding.bind_output(name, "cpu" if name == "logits" else "cuda")
        self._session.run_with_iobinding(self._binding)
        logits, *cache = self._binding.get_outputs()
        self._cache = dict(zip(self._cache, cache, strict=True))
        last: Logits = logits.numpy()[:, -1]
        return last


def choose(logits: Logits, answer: Ids, prompt_length: int, settings: GenerationSettings) -> Ids:
    """The next token of each row: the likeliest that the settings allow; logits have shape (batch, vocabulary)."""
    length = answer.shape[1]
    for position, token in settings.forced_ids:
        if position == length:
            return np.full(len(answer), token, np.int64)
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
    chosen: Ids = logits.argmax(axis=-1)
    return chosen


def _present(past: str) -> str:
    return past.replace("past_key_values", "present")
