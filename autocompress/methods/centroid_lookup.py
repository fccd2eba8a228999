"""Weights looked up from centroids, differentiable: a centroid's gradient is the sum over all its weights."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def looked_up(centroids: Tensor, indices: Tensor) -> Tensor:
    """The centroid of each index, in the indices' shape.

    Args:
        centroids: shape (n,).
        indices: int32.

    Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3.3, equation 3.
    """
    values: Tensor = _lookup().apply(centroids, indices)
    return values


@cache
def _lookup() -> Any:
    """The differentiable function; made when first asked for, because its base class is torch's."""
    import torch
    from torch.autograd.function import once_differentiable

    class Lookup(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, centroids: Tensor, indices: Tensor) -> Tensor:
            ctx.save_for_backward(indices)
            ctx.n_centroids = len(centroids)
            return centroids.index_select(0, indices.reshape(-1)).reshape(indices.shape)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
            (indices,) = ctx.saved_tensors
            # In float64, where millions of values lose no digits; on the CPU: a GPU adds in an order left to chance.
            weights = gradient.reshape(-1).double().cpu()
            sums = torch.bincount(indices.reshape(-1).cpu(), weights=weights, minlength=ctx.n_centroids)
            return sums.to(gradient.device, gradient.dtype), None

    return Lookup
