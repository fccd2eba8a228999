"""Speech recognition by an encoder and a decoder, as Whisper does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.errors import DataError
from autocompress.tasks.base import Sample, Score, Task
from autocompress.tasks.model_folder import read_config, read_settings
from autocompress.tasks.options import whole_option
from autocompress.tasks.transcripts import (
    CHARACTER_ERROR_RATE,
    SPEECH_ROLES,
    WORD_ERROR_RATE,
    references,
    transcript_score,
)

if TYPE_CHECKING:
    from torch import nn

    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec

AUTO_CLASS = "AutoModelForSpeechSeq2Seq"
LONGEST_PROMPT = 4
"""Tokens that Whisper's decoder may be started with: start, language, task, no timestamps."""


class SpeechSeq2Seq(Task):
    """Word error rate of greedy decoding, on normalised transcripts (see `transcripts.normalised`).

    Options: ``max_new_tokens`` (what the generation settings allow) at most decoded; ``timing_new_tokens`` (8) decoded
    by the timed call, no more and no less.
    """

    name = "speech-seq2seq"
    summary = "speech to text, encoder and decoder (Whisper-like); word error rate"
    metric = WORD_ERROR_RATE
    other_metrics = (CHARACTER_ERROR_RATE,)
    roles = SPEECH_ROLES
    generates = True

    def claims(self, config: Mapping[str, Any]) -> bool:
        """See `Task.claims`."""
        return any(name == "WhisperForConditionalGeneration" for name in config.get("architectures") or ())

    def load_model(self, model: ModelSpec) -> nn.Module:
        """See `Task.load_model`."""
        from autocompress.tasks.transformers_models import load_pretrained

        return load_pretrained(model, AUTO_CLASS)

    def rebuild(self, model: ModelSpec, overrides: Mapping[str, int]) -> nn.Module:
        """See `Task.rebuild`."""
        from autocompress.tasks.transformers_models import rebuild_pretrained

        return rebuild_pretrained(model, AUTO_CLASS, overrides)

    def samples(self, model: ModelSpec, rows: Rows) -> Sequence[Sample]:
        """See `Task.samples`; inputs are ``input_features`` of shape (1, n_mels, n_frames), padded to the window."""
        from autocompress.data.audio import read_audio
        from autocompress.tasks.transformers_models import load_feature_extractor

        extractor = load_feature_extractor(model)
        rate, window = int(extractor.sampling_rate), int(extractor.n_samples)
        samples = []
        for row, (stored, text) in enumerate(zip(rows.columns["audio"], references(rows), strict=True), 1):
            where = f"{rows.source}, row {row}"
            waveform = read_audio(stored, rate, where)
            if len(waveform) > window:
                seconds = len(waveform) / rate
                raise DataError(
                    f"the audio of row {row} takes {seconds:.1f} s, the model's window {window / rate:.1f} s",
                    where=rows.source,
                    remedy="Cut or remove it.",
                )
            features = extractor(waveform, sampling_rate=rate, return_tensors="np")["input_features"]
            samples.append(Sample({"input_features": np.asarray(features, dtype=np.float32)}, text))
        return samples

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

    def score(self, model: ModelSpec, answer: Any, target: Any) -> Score:
        """See `transcript_score`."""
        from autocompress.tasks.transformers_models import load_tokenizer

        return transcript_score(load_tokenizer(model).decode(answer[0], skip_special_tokens=True), target)


def _most_new_tokens(model: ModelSpec) -> int:
    generation = read_settings(model, "generation_config.json")
    positions = int(read_config(model).get("max_target_positions", 448))
    allowed = generation.get("max_new_tokens") or int(generation.get("max_length") or positions) - LONGEST_PROMPT
    return whole_option(model, "max_new_tokens", max(1, min(allowed, positions - LONGEST_PROMPT)))
