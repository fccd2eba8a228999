"""Int8 weights and activations, the activations' ranges taken anew in every call."""

from __future__ import annotations

from typing import Annotated

from autocompress.facts import ModelFacts
from autocompress.methods.integer_kernels import IntegerKernels
from autocompress.recipe import Choice


class Int8Dynamic(IntegerKernels, tag="int8_dynamic"):
    """Integer kernels for linear layers, without calibration data; the format does the work with its own kernels.

    ``per_channel``: one scale per output channel of a weight instead of one per weight.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 2.
    """

    summary = "Int8 weights and activations, ranges taken at run time"

    per_channel: Annotated[bool, Choice(False, True)] = False

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if not facts.of_kind("linear"):
            return "the model has no linear weights"
        if facts.share("convolution") > facts.share("linear"):
            return "most weights are in convolutions, which run slower with ranges taken at run time; use int8_static"
        return None
