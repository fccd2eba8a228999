"""Speech recognition by connectionist temporal classification, as Wav2Vec2 does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.tasks.base import Sample
from autocompress.tasks.options import whole_option
from autocompress.tasks.speech_recognition import SpeechRecognition

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec


class SpeechCtc(SpeechRecognition):
    """Word error rate of the most likely character per frame, on normalised transcripts.

    One utterance at a time needs no attention mask. Option: ``timing_milliseconds`` (2000) of audio in the timed call,
    for models that take waveforms.

    Source: Graves et al. 2006, Connectionist temporal classification, section 3.2 (best path decoding).
    """

    name = "speech-ctc"
    summary = "speech to text, CTC (Wav2Vec2-like); word error rate"
    architectures = ("*ForCTC",)
    auto_class = "AutoModelForCTC"

    def training_inputs(self, model: ModelSpec, sample: Sample) -> Inputs:
        """See `Task.training_inputs`; ``labels`` are the transcript's tokens, shape (1, n_tokens)."""
        from autocompress.tasks.transformers_models import load_tokenizer

        tokens = load_tokenizer(model)(str(sample.target)).input_ids
        return {**sample.inputs, "labels": np.asarray(tokens, dtype=np.int64)[None]}

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

    def transcript(self, tokenizer: Any, answer: Any) -> str:
        """Of the most likely character of each frame; the tokenizer joins repeats and drops blanks."""
        return str(tokenizer.decode(np.argmax(answer[0], axis=-1)))
