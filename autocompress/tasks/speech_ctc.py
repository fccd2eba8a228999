"""Speech recognition by connectionist temporal classification, as Wav2Vec2 does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.tasks.base import Sample, Score, Task
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

AUTO_CLASS = "AutoModelForCTC"


class SpeechCtc(Task):
    """Word error rate of the most likely character per frame, on normalised transcripts.

    One utterance at a time needs no attention mask. Option: ``timing_milliseconds`` (2000) of audio in the timed call,
    for models that take waveforms.

    Source: Graves et al. 2006, Connectionist temporal classification, section 3.2 (best path decoding).
    """

    name = "speech-ctc"
    summary = "speech to text, CTC (Wav2Vec2-like); word error rate"
    metric = WORD_ERROR_RATE
    other_metrics = (CHARACTER_ERROR_RATE,)
    roles = SPEECH_ROLES

    def claims(self, config: Mapping[str, Any]) -> bool:
        """See `Task.claims`."""
        return any(name.endswith("ForCTC") for name in config.get("architectures") or ())

    def load_model(self, model: ModelSpec) -> nn.Module:
        """See `Task.load_model`."""
        from autocompress.tasks.transformers_models import load_pretrained

        return load_pretrained(model, AUTO_CLASS)

    def rebuild(self, model: ModelSpec, overrides: Mapping[str, int]) -> nn.Module:
        """See `Task.rebuild`."""
        from autocompress.tasks.transformers_models import rebuild_pretrained

        return rebuild_pretrained(model, AUTO_CLASS, overrides)

    def samples(self, model: ModelSpec, rows: Rows) -> Sequence[Sample]:
        """See `Task.samples`; inputs are ``input_values`` of shape (1, n_samples), or the model's features."""
        from autocompress.data.audio import read_audio
        from autocompress.tasks.transformers_models import load_feature_extractor

        extractor = load_feature_extractor(model)
        rate, name = int(extractor.sampling_rate), str(extractor.model_input_names[0])
        samples = []
        for row, (stored, text) in enumerate(zip(rows.columns["audio"], references(rows), strict=True), 1):
            waveform = read_audio(stored, rate, where=f"{rows.source}, row {row}")
            values = extractor(waveform, sampling_rate=rate, return_tensors="np")[name]
            samples.append(Sample({name: np.asarray(values, dtype=np.float32)}, text))
        return samples

    def timing_inputs(self, model: ModelSpec, samples: Sequence[Sample]) -> Inputs:
        """``timing_milliseconds`` of audio: the first utterance, repeated or cut."""
        from autocompress.tasks.transformers_models import load_feature_extractor

        ((name, values),) = samples[0].inputs.items()
        if values.ndim != 2:  # features, not a waveform
            return {name: values}
        rate = int(load_feature_extractor(model).sampling_rate)
        n_samples = rate * whole_option(model, "timing_milliseconds", 2000) // 1000
        return {name: np.resize(values, (1, n_samples))}

    def run(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> Any:
        """The logits, shape (1, n_frames, n_characters)."""
        del model
        return runner.forward(inputs)["logits"]

    def score(self, model: ModelSpec, answer: Any, target: Any) -> Score:
        """See `transcript_score`."""
        from autocompress.tasks.transformers_models import load_tokenizer

        return transcript_score(load_tokenizer(model).decode(np.argmax(answer[0], axis=-1)), target)
