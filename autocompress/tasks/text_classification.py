"""Text classification: one text, one class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocompress.tasks.base import Role, Sample
from autocompress.tasks.classification import Classification
from autocompress.tasks.labels import label_names, label_numbers
from autocompress.tasks.model_folder import read_config
from autocompress.tasks.options import whole_option

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.spec import ModelSpec


class TextClassification(Classification):
    """Accuracy of the most likely class. Texts are neither padded nor batched, as at deployment.

    Options: ``max_length`` (128) tokens, after which texts are cut; ``timing_tokens`` (32) of the timed call.
    """

    name = "text-classification"
    summary = "one text, one class; accuracy"
    architectures = ("*ForSequenceClassification",)
    auto_class = "AutoModelForSequenceClassification"
    roles = (
        Role("text", ("text", "sentence", "content", "review", "document", "question", "tweet")),
        Role("label", ("label", "labels", "class", "category", "target", "sentiment", "intent")),
    )

    def samples(self, model: ModelSpec, rows: Rows) -> Sequence[Sample]:
        """See `Task.samples`; inputs are token ids of shape (1, n_tokens) and what else the model takes."""
        from autocompress.tasks.transformers_models import forward_names, load_tokenizer

        numbers = label_numbers(rows, label_names(read_config(model)))
        tokenizer, taken = load_tokenizer(model), forward_names(model)
        longest = min(whole_option(model, "max_length", 128), tokenizer.model_max_length)
        samples = []
        for text, number in zip(rows.columns["text"], numbers, strict=True):
            tokens = tokenizer(str(text), truncation=True, max_length=longest)
            inputs = {
                name: np.asarray(values, dtype=np.int64)[None]
                for name, values in tokens.items()
                if taken is None or name in taken
            }
            samples.append(Sample(inputs, number))
        return samples

    def training_inputs(self, model: ModelSpec, sample: Sample) -> Inputs:
        """See `Task.training_inputs`; ``labels`` of shape (1,)."""
        del model
        return {**sample.inputs, "labels": np.array([sample.target], dtype=np.int64)}

    def timing_inputs(self, model: ModelSpec, samples: Sequence[Sample]) -> Inputs:
        """One text of ``timing_tokens`` tokens: the first sample's, repeated or cut."""
        n_tokens = whole_option(model, "timing_tokens", 32)
        return {name: np.resize(values, (1, n_tokens)) for name, values in samples[0].inputs.items()}
