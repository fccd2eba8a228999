"""Round-to-nearest weight quantization in groups along the input axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.encodings import GroupedIntegers
from autocompress.facts import ModelFacts, WeightFact, WeightScope
from autocompress.methods.coding import WeightCoding, encode_integers
from autocompress.recipe import Choice, Phase

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_NORMAL_FLOAT16 = 2.0**-14
LARGEST_FLOAT16 = 65504


class RoundToNearest(WeightCoding, tag="rtn"):
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

    bits: Annotated[Literal[2, 3, 4, 8], Choice(3, 4, 8)] = 4
    group_size: Annotated[int, Field(ge=16, le=1024), Choice(32, 64, 128)] = 128
    symmetric: Annotated[bool, Choice(True, False)] = True
    scope: Annotated[WeightScope, Choice("layers", "all")] = "all"

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        weights = facts.in_scope(self.scope)
        if not any(self._is_wide_enough(weight) for weight in weights):
            widest = max((weight.in_features for weight in weights), default=0)
            return f"group_size {self.group_size} is wider than every weight (at most {widest} inputs)"
        return None

    def _is_wide_enough(self, weight: WeightFact) -> bool:
        return weight.in_features >= self.group_size

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace weights by their decoded values and record a `GroupedIntegers` encoding for each.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        weights = [weight for weight in self.uncoded(model) if self._is_wide_enough(weight.fact)]
        for index, weight in enumerate(weights):
            matrix = weight.matrix.to(context.device)
            encode_integers(model, weight, round_to_nearest(matrix, self.bits, self.group_size, self.symmetric))
            context.progress(index + 1, len(weights))


def round_to_nearest(matrix: Tensor, bits: int, group_size: int, symmetric: bool) -> GroupedIntegers:
    """Quantize a matrix of shape (out_features, in_features); the last group of a row may be narrower."""
    import torch
    from torch.nn.functional import pad

    rows, columns = matrix.shape
    # Zeros as padding: they change neither the largest magnitude nor a range that must hold zero anyway.
    groups = pad(matrix, (0, -columns % group_size)).reshape(rows, -1, group_size)
    largest_code = 2**bits - 1
    zero_points: Tensor | None = None
    if symmetric:
        # There is one code more below zero than above: it goes to the value furthest from zero, by a negative scale if
        # that value is positive. With few bits this errs much less than leaving that code unused.
        low, high = groups.amin(dim=2), groups.amax(dim=2)
        scales = _storable(torch.where(-low >= high, low, high) / -(2 ** (bits - 1)))
        centre: float | Tensor = float(2 ** (bits - 1))
    else:
        low, high = groups.amin(dim=2).clamp(max=0), groups.amax(dim=2).clamp(min=0)
        scales = _storable((high - low) / largest_code)
        zero_points = (-low / scales).round().clamp(0, largest_code)
        centre = zero_points[:, :, None]
    codes = (groups / scales[:, :, None]).round_().add_(centre).clamp_(0, largest_code).to(torch.uint8)
    return GroupedIntegers(
        codes=codes.reshape(rows, -1)[:, :columns].contiguous().cpu().numpy(),
        bits=bits,
        group_size=group_size,
        scales=_stored(scales),
        zero_points=None if zero_points is None else zero_points.to(torch.uint8).cpu().numpy(),
    )


def _storable(scales: Tensor) -> Tensor:
    """Scales as they will be stored, so that the codes are chosen for them; 1 for a group of zeros only."""
    import torch

    scales = torch.where(scales != 0, scales, torch.ones_like(scales))
    return scales.half().float() if _fits_float16(scales) else scales


def _stored(scales: Tensor) -> npt.NDArray[np.float16 | np.float32]:
    array = scales.cpu().numpy()
    return array.astype(np.float16) if _fits_float16(scales) else array


def _fits_float16(scales: Tensor) -> bool:
    """Whether float16 holds every scale with all its digits."""
    sizes = scales.abs()
    return bool((sizes >= SMALLEST_NORMAL_FLOAT16).all() and (sizes <= LARGEST_FLOAT16).all())
