"""Magnitude pruning: the smallest weights become zero and are not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.methods.sparsity import Pruned, Pruning, sparse_encoding
from autocompress.recipe import Choice, When

if TYPE_CHECKING:
    from torch import Tensor


class Magnitude(Pruning, tag="magnitude"):
    """Unstructured pruning of linear and convolution weights by absolute value, without retraining.

    ``sparsity`` is the share of these weights that becomes zero: of every weight matrix alike (``layer``), or of all of
    them together by one threshold (``global``). What is stored is a bit per weight and the kept values, so a zero costs
    one bit and a kept value one bit more than before. Embeddings stay whole. ``pattern`` N:M keeps at most N of M
    consecutive inputs of a row instead, which no kernel here is faster for.

    Source: Han et al. 2015, Learning both Weights and Connections for Efficient Neural Networks, arXiv:1506.02626.
    """

    summary = "Set the smallest weights to zero and store only the others"

    granularity: Annotated[Literal["layer", "global"], Choice("layer", "global"), When("pattern", "unstructured")] = (
        "layer"
    )

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Zero the smallest weights and record a `Sparse` encoding for each pruned weight.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        weights = self.to_prune(model)
        matrices = [weight.matrix.to(context.device) for weight in weights]
        for index, (weight, pruned) in enumerate(zip(weights, self._pruned(matrices), strict=True)):
            model.encode(weight, sparse_encoding(weight, pruned.matrix, pruned.mask))
            context.progress(index + 1, len(weights))

    def _pruned(self, matrices: list[Tensor]) -> list[Pruned]:
        import torch

        if self.granularity == "layer" or self.pattern != "unstructured":
            return [self.by_magnitude(matrix) for matrix in matrices]
        together = self.by_magnitude(torch.cat([matrix.flatten() for matrix in matrices])[None])
        pieces = torch.split(together.mask[0], [matrix.numel() for matrix in matrices])
        masks = [piece.view(matrix.shape) for piece, matrix in zip(pieces, matrices, strict=True)]
        return [Pruned(matrix, mask) for matrix, mask in zip(matrices, masks, strict=True)]
