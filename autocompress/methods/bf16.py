"""Brain floating point: weights and arithmetic in bfloat16."""

from __future__ import annotations

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.facts import ModelFacts
from autocompress.recipe import Phase, Step


class BFloat16(Step, tag="bf16"):
    """Store and compute in bfloat16 (8 bits of exponent as float32 has, 7 of fraction).

    Codebooks and the kept values of pruned weights are stored in float16, which has more digits in as many bits.

    Source: Kalamkar et al. 2019, A Study of BFLOAT16 for Deep Learning Training, arXiv:1905.12322.
    """

    phase = Phase.COMPUTE
    summary = "Store and compute in bfloat16"

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        return f"the model is stored in {facts.dtype} already" if facts.dtype in ("bfloat16", "float16") else None

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Turn parameters and persistent buffers into bfloat16, and the encodings' floats into float16.

        Raises:
            Unsupported: a value of an encoding is beyond float16's largest value; the message names the parameter.
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        model.convert("bfloat16")
        context.progress(1, 1)
