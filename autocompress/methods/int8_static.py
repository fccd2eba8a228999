"""Int8 weights and activations, the activations' ranges calibrated on data beforehand."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autocompress.facts import ModelFacts
from autocompress.methods.integer_kernels import IntegerKernels
from autocompress.recipe import Choice, When


class Int8Static(IntegerKernels, tag="int8_static"):
    """Integer kernels with fixed ranges of the activations; the format calibrates and does the work.

    ``calibration`` says how a range is chosen from ``n_calibration_samples`` samples: the extremes seen (``minmax``),
    the range that loses least information (``entropy``), or that which holds ``percentile`` per cent of the values.
    ``per_channel``: one scale per output channel of a weight instead of one per weight.

    Source: Wu et al. 2020, Integer Quantization for Deep Learning Inference, arXiv:2004.09602, section 3.
    """

    summary = "Int8 weights and activations, ranges calibrated on data"
    needs_calibration = True

    calibration: Annotated[Literal["minmax", "entropy", "percentile"], Choice("minmax", "entropy", "percentile")] = (
        "minmax"
    )
    percentile: Annotated[
        float, Field(ge=90, le=100), Choice(99.9, 99.99, 99.999), When("calibration", "percentile")
    ] = 99.99
    per_channel: Annotated[bool, Choice(True, False)] = True
    n_calibration_samples: Annotated[int, Field(ge=1, le=10_000)] = 64

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if not facts.of_kind("linear", "convolution"):
            return "the model has no linear and no convolution weights"
        return None
