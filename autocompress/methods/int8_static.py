"""Int8 weights and activations, the activations' ranges calibrated on data beforehand."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.facts import ModelFacts
from autocompress.recipe import Choice, Phase, Step, When


class Int8Static(Step, tag="int8_static"):
    """Integer kernels with fixed ranges of the activations; the format calibrates and does the work.

    ``calibration`` says how a range is chosen from ``n_calibration_samples`` samples: the extremes seen (``minmax``),
    the range that loses least information (``entropy``), or that which holds ``percentile`` per cent of the values.
    ``per_channel``: one scale per output channel of a weight instead of one per weight.

    Source: Wu et al. 2020, Integer Quantization for Deep Learning Inference, arXiv:2004.09602, section 3.
    """

    phase = Phase.QUANTIZE
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

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Ask the format for its calibrated int8 kernels.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        model.require_finite()
        model.activation_step = self
        context.progress(1, 1)
