"""AWQ: inputs of a layer are scaled so that the weights of the strongest ones are rounded most finely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from autocompress.compressible import as_numpy
from autocompress.encodings import GroupedIntegers
from autocompress.encodings.forms import FLOAT16_BYTES
from autocompress.layer_inputs import InputStatistics
from autocompress.methods.calibrated_coding import CalibratedCoding, Readers, Target
from autocompress.methods.integer_coding import (
    Grid,
    closest_grid,
    covering_grid,
    group_errors,
    jointly_closest_grid,
)
from autocompress.methods.scale_folding import find_folds
from autocompress.recipe import Choice, Phase

if TYPE_CHECKING:
    from torch import Tensor

    from autocompress.compressible import CompressibleModel, Inputs
    from autocompress.facts import WeightFact

WEAKEST_INPUT = 1e-4
"""Inputs of a lower mean magnitude, as a share of the largest, count as this weak."""
PASSES_OVER_GROUPS = 2
"""How often each group's range is moved as those of the others are; a third time is worth 2 % of the error."""


class Awq(CalibratedCoding, tag="awq"):
    """Weight-only integer quantization that protects the weights of the strongest inputs.

    Each column of a weight, shape (out_features, in_features), is multiplied by a scale before it is rounded, and the
    layer's input is divided by it: the mean magnitude of that input, to the power of the one of ``exponents``
    steps from 0 to 1 that changes the layers' outputs least. Layers that read the same input (query, key and value)
    share their scales, which are stored beside the codes (`GroupedIntegers.input_scales`), so that any linear layer can
    have them. With ``clipping``, each group's range is then cut to the share of it that changes the group's part of the
    output least, and then moved to where the whole output changes least, group after group, so that groups make good
    each other's errors; every weight stays at its nearest code. Without exponents there are no scales.

    With ``fold_scales`` nothing is stored beside the codes: what comes before a layer is divided by the scales at once,
    and only layers whose predecessor can take that exactly have any. These are the readers of a normalisation that
    nothing else reads, the projection back out of a gated feed-forward block, and that out of an attention without
    grouped queries; see `find_folds`. All others only have their ranges clipped. It takes up to three more passes of
    one sample for each set of layers that read the same input.

    Per 10^6 weights of layers with 1024 inputs, it computes for about 1.1 seconds on one core besides the passes over
    the calibration data, and takes 30 MB; the statistics of each input of a layer group take 4 MB.

    Source: Lin et al. 2023, AWQ, arXiv:2306.00978, section 3.2; clipping as in the authors' published program.
    """

    phase = Phase.QUANTIZE
    summary = "Round weights to 2-8 bit integers, most finely where a layer's inputs are strong"

    clipping: Annotated[bool, Choice(True, False)] = True
    exponents: Annotated[int, Field(ge=0, le=100)] = 20
    fold_scales: Annotated[bool, Choice(True, False)] = False

    def _input_scale_bytes(self, fact: WeightFact) -> int:
        """See `IntegerCoding`: calibration reaches linear layers only."""
        return 0 if self.fold_scales or not self.exponents or fact.kind != "linear" else FLOAT16_BYTES

    def prepare(self, model: CompressibleModel, group: Sequence[Readers], call: Inputs, device: str) -> None:
        """See `CalibratedCoding.prepare`; folds the scales in, where they are to be folded."""
        if not self.fold_scales:
            return
        reached = [readers for readers in group if readers.inputs is not None]
        folds = find_folds(model, [readers.weights for readers in reached], call, device)
        for readers in reached:
            fold, inputs = folds.get(readers.weights[0].name), readers.inputs
            scales = self._scales(readers.targets(model, device), inputs) if fold and inputs else None
            if fold and inputs and scales is not None:
                fold.apply(scales)
                inputs.divide(scales)

    def code(self, targets: Sequence[Target], inputs: InputStatistics) -> list[GroupedIntegers]:
        """See `CalibratedCoding.code`."""
        scales = None if self.fold_scales else self._scales(targets, inputs)
        return [self._code(target, inputs, scales) for target in targets]

    def _scales(self, targets: Sequence[Target], inputs: InputStatistics) -> Tensor | None:
        """The scales at which the layers' outputs change least; None where they change least without any."""
        steps = range(1, self.exponents + 1)
        tried = [None, *(input_scales(inputs.mean_abs, step / self.exponents) for step in steps)]
        return min(tried, key=lambda scales: self._error(targets, inputs, scales))

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
        if not self.clipping:
            return covering_grid(matrix, bits, self.group_size, self.symmetric)
        grid = closest_grid(matrix, bits, self.group_size, self.symmetric, group_errors(gram, self.group_size))
        for _ in range(PASSES_OVER_GROUPS):
            grid = jointly_closest_grid(matrix, grid, gram)
        return grid


def input_scales(mean_abs: Tensor, exponent: float) -> Tensor:
    """Scales of mean magnitudes of shape (in_features,), about one, exactly as float16 holds them; float32."""
    import torch

    largest = mean_abs.max().clamp(min=torch.finfo(torch.float32).tiny)
    scales = (mean_abs / largest).clamp(min=WEAKEST_INPUT) ** exponent
    return (scales / (scales.max() * scales.min()).sqrt()).half().float()


def _times(matrix: Tensor, scales: Tensor | None) -> Tensor:
    return matrix if scales is None else matrix * scales
