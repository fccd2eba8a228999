"""Language modelling: how well the next token is foretold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.errors import DataError
from autocompress.tasks.base import Metric, Role, Sample, Score
from autocompress.tasks.model_folder import read_config
from autocompress.tasks.options import whole_option
from autocompress.tasks.pretrained import PretrainedTask

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec

LARGEST_WINDOW = 1024


class LanguageModelling(PretrainedTask):
    """Perplexity over non-overlapping windows of the joined text; the first token of each is given, not scored.

    The perplexity per word spreads the same loss over words, so that models with different tokenizers compare.
    Options: ``window`` tokens (what tokenizer and model take, at most 1024); ``prompt_tokens`` (64) and ``new_tokens``
    (16) of the timed call, which decodes.
    """

    name = "language-modelling"
    summary = "text; perplexity per token and per word"
    architectures = ("*ForCausalLM", "*LMHeadModel")
    auto_class = "AutoModelForCausalLM"
    metric = Metric(name="token_perplexity", higher_is_better=False, exponential=True, is_rate=False)
    other_metrics = (Metric(name="word_perplexity", higher_is_better=False, exponential=True, is_rate=False),)
    roles = (Role("text", ("text", "content", "document", "sentence", "paragraph", "story")),)
    generates = True

    def samples(self, model: ModelSpec, rows: Rows) -> Sequence[Sample]:
        """One sample per window of the documents joined by line breaks; what is left at the end is dropped.

        Raises:
            DataError: the text is shorter than one window.
        """
        from autocompress.tasks.transformers_models import load_tokenizer

        tokenizer = load_tokenizer(model)
        text = "\n".join(map(str, rows.columns["text"]))
        ids = np.asarray(tokenizer(text, verbose=False)["input_ids"], dtype=np.int64)
        window = whole_option(model, "window", self._usual_window(model, tokenizer.model_max_length))
        n_windows = len(ids) // window
        if n_windows == 0:
            raise DataError(
                f"{len(ids)} tokens of text are less than one window of {window}",
                where=rows.source,
                remedy="Give more text, or a smaller model.options.window.",
            )
        n_words = len(text.split()) / len(ids) * (window - 1)
        mask = np.ones((1, window), dtype=np.int64)
        return [
            Sample({"input_ids": tokens[None], "attention_mask": mask}, {"ids": tokens.tolist(), "words": n_words})
            for tokens in ids[: n_windows * window].reshape(n_windows, window)
        ]

    def _usual_window(self, model: ModelSpec, tokenizer_limit: int) -> int:
        config = read_config(model)
        positions = config.get("max_position_embeddings") or config.get("n_positions") or LARGEST_WINDOW
        return min(int(positions), tokenizer_limit, LARGEST_WINDOW)

    def training_inputs(self, model: ModelSpec, sample: Sample) -> Inputs:
        """See `Task.training_inputs`; the model shifts the labels itself."""
        del model
        return {**sample.inputs, "labels": sample.inputs["input_ids"]}

    def timing_inputs(self, model: ModelSpec, samples: Sequence[Sample]) -> Inputs:
        """A prompt of ``prompt_tokens`` tokens: the first window's, repeated or cut."""
        n_tokens = whole_option(model, "prompt_tokens", 64)
        return {name: np.resize(values, (1, n_tokens)) for name, values in samples[0].inputs.items()}

    def run(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> Any:
        """The logits, shape (1, n_tokens, n_vocabulary)."""
        del model
        return runner.forward(inputs)["logits"]

    def timed_call(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> None:
        """Read the prompt and decode exactly ``new_tokens`` tokens."""
        n_tokens = whole_option(model, "new_tokens", 16)
        runner.generate(inputs, n_tokens, min_new_tokens=n_tokens)

    def score(self, model: ModelSpec, answer: Any, target: Any) -> Score:
        """Negative log-likelihood in nats of all tokens but the first, per token and per word."""
        del model
        from scipy.special import logsumexp

        following = np.asarray(target["ids"][1:])
        logits = np.asarray(answer[0, :-1], dtype=np.float64)
        chosen = logits[np.arange(len(following)), following]
        nats = float((logsumexp(logits, axis=-1) - chosen).sum())
        return {"token_perplexity": (nats, float(len(following))), "word_perplexity": (nats, float(target["words"]))}
