"""Int8 weights and activations, the activations' ranges taken anew in every call."""

from __future__ import annotations

from typing import Annotated

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.facts import ModelFacts
from autocompress.recipe import Choice, Phase, Step


class Int8Dynamic(Step, tag="int8_dynamic"):
    """Integer kernels for linear layers, without calibration data; the format does the work with its own kernels.

    ``per_channel``: one scale per output channel of a weight instead of one per weight.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 2.
    """

    phase = Phase.QUANTIZE
    summary = "Int8 weights and activations, ranges taken at run time"

    per_channel: Annotated[bool, Choice(False, True)] = False

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if not facts.of_kind("linear"):
            return "the model has no linear weights"
        if facts.share("convolution") > facts.share("linear"):
            return "most weights are in convolutions, which run slower with ranges taken at run time; use int8_static"
        return None

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Ask the format for its dynamic int8 kernels.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        model.require_finite()
        model.activation_step = self
        context.progress(1, 1)
