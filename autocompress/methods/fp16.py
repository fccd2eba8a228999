"""Half precision: weights and arithmetic in float16."""

from __future__ import annotations

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.facts import ModelFacts
from autocompress.recipe import Phase, Step


class Float16(Step, tag="fp16"):
    """Store and compute in float16 (5 bits of exponent, 10 of fraction); codebooks and kept values become float16 too.

    Source: Micikevicius et al. 2018, Mixed Precision Training, arXiv:1710.03740, section 2.
    """

    phase = Phase.COMPUTE
    summary = "Store and compute in float16"

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        return "the model is stored in float16 already" if facts.dtype == "float16" else None

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Turn parameters, persistent buffers and the encodings' floats into float16.

        Raises:
            Unsupported: a weight is beyond float16's largest value; the message names the parameter.
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        model.convert("float16")
        context.progress(1, 1)
