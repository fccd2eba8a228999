"""What the tasks share that turn one utterance into its transcript."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.errors import DataError
from autocompress.tasks.base import Metric, Role, Sample, Score
from autocompress.tasks.pretrained import PretrainedTask
from autocompress.tasks.transcripts import references, transcript_score

if TYPE_CHECKING:
    from autocompress.data.rows import Rows
    from autocompress.spec import ModelSpec


class SpeechRecognition(PretrainedTask):
    """Word error rate on normalised transcripts, see `transcripts.normalised`; the character error rate beside it."""

    metric = Metric(name="wer", higher_is_better=False)
    other_metrics = (Metric(name="cer", higher_is_better=False),)
    roles = (
        Role("audio", ("audio", "file", "path", "filename", "file_name", "audio_path", "wav", "clip")),
        Role("text", ("text", "transcript", "transcription", "sentence", "words")),
    )

    def window_samples(self, extractor: Any) -> int | None:
        """How many samples of audio the model hears at most; None where it takes any length.

        Args:
            extractor: the model's feature extractor.
        """
        del extractor
        return None

    @abstractmethod
    def transcript(self, tokenizer: Any, answer: Any) -> str:
        """The words that the model's answer stands for, before normalisation."""

    def samples(self, model: ModelSpec, rows: Rows) -> Sequence[Sample]:
        """See `Task.samples`; the one input is what the model's feature extractor makes of an utterance.

        That is ``input_values`` of shape (1, n_samples), or ``input_features`` of shape (1, n_mels, n_frames).

        Raises:
            DataError: audio that cannot be read or is longer than the model's window, a transcript without a word.
        """
        from autocompress.data.audio import read_audio
        from autocompress.tasks.transformers_models import load_feature_extractor

        extractor = load_feature_extractor(model)
        rate, name = int(extractor.sampling_rate), str(extractor.model_input_names[0])
        window = self.window_samples(extractor)
        samples = []
        for row, (stored, text) in enumerate(zip(rows.columns["audio"], references(rows), strict=True), 1):
            waveform = read_audio(stored, rate, where=f"{rows.source}, row {row}")
            if window is not None and len(waveform) > window:
                seconds = len(waveform) / rate
                raise DataError(
                    f"the audio of row {row} takes {seconds:.1f} s, the model's window {window / rate:.1f} s",
                    where=rows.source,
                    remedy="Cut or remove it.",
                )
            values = extractor(waveform, sampling_rate=rate, return_tensors="np")[name]
            samples.append(Sample({name: np.asarray(values, dtype=np.float32)}, text))
        return samples

    def score(self, model: ModelSpec, answer: Any, target: Any) -> Score:
        """See `transcript_score`."""
        from autocompress.tasks.transformers_models import load_tokenizer

        return transcript_score(self.transcript(load_tokenizer(model), answer), target)
