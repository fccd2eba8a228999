"""Magnitude pruning: the smallest weights become zero and are not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight, as_numpy
from autocompress.encodings import Dense, Sparse
from autocompress.facts import ModelFacts, WeightScope
from autocompress.recipe import Choice, Phase, Range, Step

if TYPE_CHECKING:
    from torch import Tensor

PRUNED_SCOPE: WeightScope = "layers"


class Magnitude(Step, tag="magnitude"):
    """Unstructured pruning of linear and convolution weights by absolute value, without retraining.

    ``sparsity`` is the share of these weights that becomes zero: of every weight matrix alike (``layer``), or of all of
    them together by one threshold (``global``). What is stored is a bit per weight and the kept values, so a zero costs
    one bit and a kept value one bit more than before. Embeddings stay whole.

    Source: Han et al. 2015, Learning both Weights and Connections for Efficient Neural Networks, arXiv:1506.02626.
    """

    phase = Phase.PRUNE
    summary = "Set the smallest weights to zero and store only the others"

    sparsity: Annotated[float, Field(gt=0, lt=1), Range(0.1, 0.7, 0.1)] = 0.3
    granularity: Annotated[Literal["layer", "global"], Choice("layer", "global")] = "layer"

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        return None if facts.in_scope(PRUNED_SCOPE) else "the model has no linear and no convolution weights"

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Zero the smallest weights and record a `Sparse` encoding for each pruned weight.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        weights = list(model.in_scope(PRUNED_SCOPE))
        matrices = [weight.matrix.to(context.device) for weight in weights]
        for index, (weight, mask) in enumerate(zip(weights, self._masks(matrices), strict=True)):
            model.encode(weight, _sparse(weight, matrices[index], mask))
            context.progress(index + 1, len(weights))

    def _masks(self, matrices: list[Tensor]) -> list[Tensor]:
        """True where a weight is kept, one mask per matrix."""
        import torch

        if self.granularity == "layer":
            return [_keep_largest(matrix.abs().flatten(), self.sparsity).view(matrix.shape) for matrix in matrices]
        kept = _keep_largest(torch.cat([matrix.abs().flatten() for matrix in matrices]), self.sparsity)
        pieces = torch.split(kept, [matrix.numel() for matrix in matrices])
        return [piece.view(matrix.shape) for piece, matrix in zip(pieces, matrices, strict=True)]


def _keep_largest(magnitudes: Tensor, sparsity: float) -> Tensor:
    """A flat mask of the largest magnitudes; the number of kept ones is exact, save that a zero is never kept."""
    n_dropped = round(len(magnitudes) * sparsity)
    if n_dropped == 0:
        return magnitudes > 0
    threshold = magnitudes.kthvalue(n_dropped).values
    kept = magnitudes > threshold
    # Of equal magnitudes at the threshold the first ones are kept, so that ties cannot drop a whole matrix.
    n_missing = len(magnitudes) - n_dropped - int(kept.sum())
    if n_missing > 0 and float(threshold) > 0:
        ties = (magnitudes == threshold).nonzero().flatten()
        kept[ties[:n_missing]] = True
    return kept


def _sparse(weight: Weight, matrix: Tensor, mask: Tensor) -> Sparse:
    """The encoding of the kept values, as a row, in as many bits as the weight is stored in."""
    # NumPy has no bfloat16: a weight stored in 16 bits is kept in float16 either way.
    stored = np.float32 if weight.parameter.element_size() == 4 else np.float16
    kept = as_numpy(matrix[mask]).reshape(1, -1).astype(stored)
    return Sparse(mask.cpu().numpy(), Dense(kept))
