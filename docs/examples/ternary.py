"""Ternary weights: every weight becomes minus one, zero or plus one times its row's scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.encodings import GroupedIntegers
from autocompress.facts import WeightScope
from autocompress.methods.coding import WeightCoding
from autocompress.recipe import Phase, Range

if TYPE_CHECKING:
    from torch import Tensor


class Ternary(WeightCoding, tag="ternary"):
    """Two bits a weight, without calibration.

    In each row of a weight, shape (out_features, in_features), weights below ``threshold`` times the row's mean
    magnitude become zero; the others become plus or minus the mean magnitude of those others.

    Source: Li et al. 2016, Ternary Weight Networks, arXiv:1605.04711, section 2.
    """

    phase = Phase.QUANTIZE
    summary = "Round weights to minus one, zero or plus one times a scale per row"

    threshold: Annotated[float, Field(gt=0, lt=2), Range(0.5, 0.9, 0.1)] = 0.7
    scope: WeightScope = "layers"

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace weights by their decoded values and record a `GroupedIntegers` encoding for each."""
        weights = self.uncoded(model)
        for index, weight in enumerate(weights):
            model.encode(weight, ternary(weight.matrix.to(context.device), self.threshold))
            context.progress(index + 1, len(weights))


def ternary(matrix: Tensor, threshold: float) -> GroupedIntegers:
    """A matrix of shape (out_features, in_features) as codes 1, 2, 3 for minus one, zero, plus one."""
    import torch

    magnitudes = matrix.abs()
    kept = magnitudes > threshold * magnitudes.mean(dim=1, keepdim=True)
    scales = (magnitudes * kept).sum(dim=1, keepdim=True) / kept.sum(dim=1, keepdim=True).clamp(min=1)
    codes = (matrix.sign() * kept + 2).to(torch.uint8)
    return GroupedIntegers(codes.cpu().numpy(), bits=2, group_size=matrix.shape[1], scales=scales.cpu().numpy())
