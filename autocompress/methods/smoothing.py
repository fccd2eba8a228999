"""SmoothQuant: factors that move the outliers of activations into the weights before both become integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autocompress.compressible import as_numpy
from autocompress.encodings import FloatArray
from autocompress.layer_inputs import InputStatistics, layer_groups, observe

if TYPE_CHECKING:
    from torch import Tensor

    from autocompress.compressible import CompressibleModel, Inputs, Weight

SMALLEST_MAGNITUDE = 1e-5


def smoothing_factors(
    model: CompressibleModel, calls: Sequence[Inputs], alpha: float, device: str
) -> dict[str, FloatArray]:
    """For each linear layer what its inputs are to be divided and its weight's columns multiplied by, shape (in,).

    A feature's factor is ``max|x|**alpha / max|w|**(1 - alpha)``: the larger ``alpha``, the more of the range goes into
    the weights. Layers that read the same tensor share their factors. Keys are the weights' names; layers that no call
    reaches have none.

    Source: Xiao et al. 2022, SmoothQuant, arXiv:2211.10438, equation 4.
    """
    factors: dict[str, FloatArray] = {}
    for group in layer_groups(model.weights("linear")):
        seen = observe(model.module, group, calls, device)
        for statistics, together in _sharing(group, seen):
            factor = as_numpy(_factor(statistics.max_abs, [weight.matrix for weight in together], alpha))
            factors |= {weight.name: factor for weight in together}
    return factors


def _sharing(group: Sequence[Weight], seen: dict[str, InputStatistics]) -> list[tuple[InputStatistics, list[Weight]]]:
    """The weights by the statistics object of their input."""
    shared: dict[int, tuple[InputStatistics, list[Weight]]] = {}
    for weight in group:
        if weight.name in seen:
            statistics = seen[weight.name]
            shared.setdefault(id(statistics), (statistics, []))[1].append(weight)
    return list(shared.values())


def _factor(largest_inputs: Tensor, matrices: Sequence[Tensor], alpha: float) -> Tensor:
    """One for features that are always zero, or whose weights all are."""
    import torch

    largest_weights = torch.stack([matrix.abs().amax(dim=0) for matrix in matrices]).amax(dim=0)
    used = (largest_inputs > 0) & (largest_weights > 0)
    inputs, weights = (values.clamp(min=SMALLEST_MAGNITUDE) for values in (largest_inputs, largest_weights))
    return torch.where(used, inputs**alpha / weights ** (1 - alpha), 1.0)
