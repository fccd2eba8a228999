"""AWQ: inputs of a layer are scaled so that the weights of the strongest ones are rounded most finely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from autocompress.compressible import as_numpy
from autocompress.encodings import GroupedIntegers
from autocompress.layer_inputs import InputStatistics
from autocompress.methods.calibrated_coding import CalibratedCoding, Target
from autocompress.methods.integer_coding import Grid, closest_grid, covering_grid, group_errors
from autocompress.recipe import Choice, Phase

if TYPE_CHECKING:
    from torch import Tensor

WEAKEST_INPUT = 1e-4
"""Inputs of a lower mean magnitude, as a share of the largest, count as this weak."""


class Awq(CalibratedCoding, tag="awq"):
    """Weight-only integer quantization that protects the weights of the strongest inputs.

    Each column of a weight, shape (out_features, in_features), is multiplied by a scale before it is rounded, and the
    layer's input is divided by it: the mean magnitude of that input, to the power of the one of ``exponents``
    steps from 0 to 1 that changes the layers' outputs least. Layers that read the same input (query, key and value)
    share their scales, which are stored beside the codes (`GroupedIntegers.input_scales`), so that any linear layer can
    have them. With ``clipping``, each group's range is then cut to the share of it that changes the group's part of the
    output least. Without exponents there are no scales.

    Per 10^6 weights of layers with 1024 inputs, it computes for about a second on one core besides the passes over the
    calibration data, and takes 30 MB; the statistics of each input of a layer group take 4 MB.

    Source: Lin et al. 2023, AWQ, arXiv:2306.00978, section 3.2; clipping as in the authors' published program.
    """

    phase = Phase.QUANTIZE
    summary = "Round weights to 2-8 bit integers, most finely where a layer's inputs are strong"

    clipping: Annotated[bool, Choice(True, False)] = True
    exponents: Annotated[int, Field(ge=0, le=100)] = 20

    def code(self, targets: Sequence[Target], inputs: InputStatistics) -> list[GroupedIntegers]:
        """See `CalibratedCoding.code`."""
        steps = range(1, self.exponents + 1)
        tried = [None, *(input_scales(inputs.mean_abs, step / self.exponents) for step in steps)]
        scales = min(tried, key=lambda scales: self._error(targets, inputs, scales))
        return [self._code(target, inputs, scales) for target in targets]

    def _error(self, targets: Sequence[Target], inputs: InputStatistics, scales: Tensor | None) -> float:
        """How much the outputs of all layers change when their weights are rounded at these input scales."""
        total = 0.0
        for target in targets:
            scaled = _times(target.matrix, scales)
            grid = covering_grid(scaled, target.bits, self.group_size, self.symmetric)
            rounded = grid.values(grid.codes(scaled))
            difference = rounded - scaled if scales is None else (rounded - scaled) / scales
            total += inputs.output_error(difference) * len(difference)
        return total

    def _code(self, target: Target, inputs: InputStatistics, scales: Tensor | None) -> GroupedIntegers:
        scaled = _times(target.matrix, scales)
        gram = inputs.gram if scales is None else inputs.gram / scales / scales[:, None]
        grid = self._grid(scaled, target.bits, gram)
        return grid.encoding(grid.codes(scaled), None if scales is None else as_numpy(scales).astype(np.float16))

    def _grid(self, matrix: Tensor, bits: int, gram: Tensor) -> Grid:
        if self.clipping:
            return closest_grid(matrix, bits, self.group_size, self.symmetric, group_errors(gram, self.group_size))
        return covering_grid(matrix, bits, self.group_size, self.symmetric)


def input_scales(mean_abs: Tensor, exponent: float) -> Tensor:
    """Scales of mean magnitudes of shape (in_features,), about one, exactly as float16 holds them; float32."""
    import torch

    largest = mean_abs.max().clamp(min=torch.finfo(torch.float32).tiny)
    scales = (mean_abs / largest).clamp(min=WEAKEST_INPUT) ** exponent
    return (scales / (scales.max() * scales.min()).sqrt()).half().float()


def _times(matrix: Tensor, scales: Tensor | None) -> Tensor:
    return matrix if scales is None else matrix * scales
