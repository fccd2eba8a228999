"""Round-to-nearest weight quantization in groups along the input axis."""

from __future__ import annotations

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.methods.coding import encode_integers
from autocompress.methods.integer_coding import IntegerCoding, round_to_nearest
from autocompress.recipe import Phase


class RoundToNearest(IntegerCoding, tag="rtn"):
    """Weight-only integer quantization without calibration.

    Each row of a weight, shape (out_features, in_features), is cut into groups of ``group_size`` input columns; a group
    shares one scale in 16 bits (and one zero point unless ``symmetric``). A convolution's kernel is flattened into the
    input columns. Weights narrower than a group (small stems and heads, where a group would save little and cost much)
    stay dense. A symmetric group's scale is negative where its extreme is positive. Zeros of a pruned weight stay
    exactly zero and are packed as `SparseIntegers` where that is smaller.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 2.1.
    """

    phase = Phase.QUANTIZE
    summary = "Round weights to 2-8 bit integers in groups that share a scale"

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace weights by their decoded values and record a `GroupedIntegers` encoding for each.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        planned = self.planned(model, context)
        for index, (weight, bits) in enumerate(planned):
            matrix = weight.matrix.to(context.device)
            encode_integers(model, weight, round_to_nearest(matrix, bits, self.group_size, self.symmetric))
            context.progress(index + 1, len(planned))
