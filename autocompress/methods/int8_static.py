"""Int8 weights and activations, the activations' ranges calibrated on data beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.facts import ModelFacts
from autocompress.methods.fake_integers import integer_sensitivities
from autocompress.methods.integer_kernels import IntegerKernels
from autocompress.methods.smoothing import smoothing_factors
from autocompress.outline import Outline
from autocompress.recipe import Choice, When
from autocompress.sensitivity import kept_sensitivities

SENSITIVITY_SAMPLES = 8


MOST_STEM_KERNELS = 3
"""A transformer has no more convolutions than these before its layers."""
KEPT_BY_ROLE = {"feed-forward out": 0.75, "heads out": 0.25}
"""Shares of the most sensitive layers of transformers that are of each role: found with two of them on six models."""


class Int8Static(IntegerKernels, tag="int8_static"):
    """Integer kernels with fixed ranges of the activations; the format calibrates and does the work.

    ``calibration`` says how a range is chosen from ``n_calibration_samples`` samples: the extremes seen (``minmax``),
    the range that loses least information (``entropy``), or that which holds ``percentile`` per cent of the values.
    ``per_channel``: one scale per output channel of a weight instead of one per weight. ``smoothing`` above 0 moves
    outliers of linear layers' inputs into their weights beforehand, the more the larger it is. Of all layers, the
    ``keep_float`` to whose rounding the outputs are most sensitive stay in float.

    Source: Wu et al. 2020, Integer Quantization for Deep Learning Inference, arXiv:2004.09602, sections 3 and 5.1;
    smoothing: Xiao et al. 2022, SmoothQuant, arXiv:2211.10438, section 4.
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

    smoothing: Annotated[float, Field(ge=0, lt=1), Choice(0.0, 0.5, 0.75)] = 0.0
    keep_float: Annotated[int, Field(ge=0, le=1000), Choice(0, 1, 2, 4)] = 0

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if not facts.of_kind("linear", "convolution"):
            return "the model has no linear and no convolution weights"
        if self.smoothing and not facts.of_kind("linear"):
            return "smoothing is for linear layers, and the model has none"
        if self.keep_float >= len(facts.of_kind("linear", "convolution")):
            return f"keep_float {self.keep_float} would leave no layer in integers"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        foreseen = super().foresee(outline)
        left = float(self.keep_float)
        if not left:
            return foreseen
        # Those that lose most are a convolutional model's first ones, and in a transformer mostly those out of a
        # feed-forward block.
        kernels = [group for group in foreseen.weights if group.fact.kind == "convolution"]
        if sum(group.count for group in kernels) > MOST_STEM_KERNELS:
            shares = dict.fromkeys(map(id, kernels), left)
        else:
            shares = {id(group): left * KEPT_BY_ROLE.get(group.role, 0.0) for group in foreseen.weights}
        floats = []
        for group in foreseen.weights:
            taken = min(left, shares.get(id(group), 0.0), group.count)
            left -= taken
            floats.append(replace(group, n_float=taken))
        return replace(foreseen, weights=tuple(floats)).expected()

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Ask the format for its kernels; choose the layers that stay in float and the smoothing.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
            Unsupported: smoothing or sensitivities need calibration data, and there is none.
        """
        super().apply(model, context)
        calls = list(context.calibration())[: self.n_calibration_samples] if self.smoothing or self.keep_float else []
        if self.smoothing:
            model.smoothing = smoothing_factors(model, calls, self.smoothing, context.device)
        if self.keep_float:
            looked_at = calls[:SENSITIVITY_SAMPLES]
            measured = kept_sensitivities(
                model.module,
                calls,
                {"computed in": "int8", "smoothing": self.smoothing},
                context.cache,
                lambda: integer_sensitivities(model, looked_at, model.smoothing, context.device),
            )
            model.float_layers = tuple(sorted(measured, key=lambda name: -measured[name])[: self.keep_float])
