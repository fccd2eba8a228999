"""What the int8 methods share whose activations are integers too: the format does the work."""

from __future__ import annotations

from dataclasses import replace

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.outline import Outline
from autocompress.recipe import Phase, Step


class IntegerKernels(Step):
    """Int8 weights and activations by the format's own kernels; the model's weights stay as they are until then."""

    phase = Phase.COMPUTE

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        return replace(outline, activation_step=self)

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Ask the format for its kernels, as this step's knobs say.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        model.require_finite()
        model.activation_step = self
        context.progress(1, 1)
