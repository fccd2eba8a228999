"""Speech recognition by an encoder and a decoder, as Whisper does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.tasks.base import Sample
from autocompress.tasks.model_folder import read_config, read_settings
from autocompress.tasks.options import whole_option
from autocompress.tasks.speech_recognition import SpeechRecognition

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec

LONGEST_PROMPT = 4
"""Tokens that Whisper's decoder may be started with: start, language, task, no timestamps."""


class SpeechSeq2Seq(SpeechRecognition):
    """Word error rate of greedy decoding, on normalised transcripts (see `transcripts.normalised`).

    Options: ``max_new_tokens`` (what the generation settings allow) at most decoded; ``timing_new_tokens`` (8) decoded
    by the timed call, no more and no less.
    """

    name = "speech-seq2seq"
    summary = "speech to text, encoder and decoder (Whisper-like); word error rate"
    architectures = ("WhisperForConditionalGeneration",)
    auto_class = "AutoModelForSpeechSeq2Seq"
    generates = True

    def window_samples(self, extractor: Any) -> int | None:
        """Of the window that every utterance is padded to."""
        return int(extractor.n_samples)

    def training_inputs(self, model: ModelSpec, sample: Sample) -> Inputs:
        """See `Task.training_inputs`; the decoder reads the prompt and the transcript, and is to foretell what follows.

        ``decoder_input_ids`` and ``labels`` have shape (1, n_tokens).
        """
        from autocompress.tasks.transformers_models import load_tokenizer

        config = read_config(model)
        tokens = list(load_tokenizer(model)(str(sample.target)).input_ids)
        start, end = config.get("decoder_start_token_id"), config.get("eos_token_id")
        tokens = tokens if tokens[:1] == [start] else [start, *tokens]
        tokens = tokens if tokens[-1:] == [end] else [*tokens, end]
        ids = np.asarray(tokens[: int(config.get("max_target_positions", 448)) + 1], dtype=np.int64)[None]
        return {**sample.inputs, "decoder_input_ids": ids[:, :-1], "labels": ids[:, 1:]}

    def timing_inputs(self, model: ModelSpec, samples: Sequence[Sample]) -> Inputs:
        """The first utterance; every window is as long."""
        del model
        return samples[0].inputs

    def run(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> Any:
        """The decoded token ids, shape (1, n_tokens)."""
        return runner.generate(inputs, _most_new_tokens(model))

    def timed_call(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> None:
        """Encode one window and decode exactly ``timing_new_tokens`` tokens."""
        n_tokens = whole_option(model, "timing_new_tokens", 8)
        runner.generate(inputs, n_tokens, min_new_tokens=n_tokens)

    def transcript(self, tokenizer: Any, answer: Any) -> str:
        """Of the decoded tokens, without the prompt's and the end's."""
        return str(tokenizer.decode(answer[0], skip_special_tokens=True))


def _most_new_tokens(model: ModelSpec) -> int:
    generation = read_settings(model, "generation_config.json")
    positions = int(read_config(model).get("max_target_positions", 448))
    allowed = generation.get("max_new_tokens") or int(generation.get("max_length") or positions) - LONGEST_PROMPT
    return whole_option(model, "max_new_tokens", max(1, min(allowed, positions - LONGEST_PROMPT)))
