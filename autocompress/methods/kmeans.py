"""Weight sharing by one-dimensional k-means: a weight is stored as the index of a centroid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight
from autocompress.encodings import Codebook, Encoding, Sparse
from autocompress.facts import KINDS_IN_SCOPE, ModelFacts, WeightScope
from autocompress.recipe import Choice, Phase, Step

if TYPE_CHECKING:
    from torch import Tensor

N_BINS = 4096
N_REFINEMENTS = 2


class KMeans(Step, tag="kmeans"):
    """Cluster the values of each weight into ``n_centroids`` and store packed indices and the codebook.

    A weight takes ``log2(n_centroids)`` bits, and its codebook four bytes a centroid. Of a pruned weight only the kept
    values are clustered, so zeros stay zeros at one bit each. ``scope`` is linear and convolution ``layers``, or
    ``all`` weights, embeddings included (half of a small text model).

    Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3; the optimal clustering is Wang & Song 2011,
    Ckmeans.1d.dp, The R Journal 3/2, on a histogram of 4096 bins.
    """

    phase = Phase.CLUSTER
    summary = "Cluster each weight's values and store packed indices into a codebook"
    conflicts = frozenset({"rtn", "int8_weight_only", "int8_dynamic", "int8_static"})

    n_centroids: Annotated[int, Field(ge=2, le=256), Choice(8, 16, 32, 64, 256)] = 16
    scope: Annotated[WeightScope, Choice("layers", "all")] = "all"

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        weights = facts.of_kind(*KINDS_IN_SCOPE[self.scope])
        if not weights:
            return f"the model has no weights in the scope {self.scope!r}"
        if all(weight.n_elements <= self.n_centroids for weight in weights):
            return f"no weight has more than {self.n_centroids} elements"
        return None

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace the values of each weight by their centroids and record a `Codebook`, inside a `Sparse` if pruned.

        Weights of no more elements than centroids stay as they are.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        weights = list(model.weights(*KINDS_IN_SCOPE[self.scope]))
        for index, weight in enumerate(weights):
            matrix = weight.matrix.to(context.device)
            pruned = model.encodings.get(weight.name)
            mask = _mask(pruned, matrix)
            values = matrix.reshape(1, -1) if mask is None else matrix[mask].reshape(1, -1)
            if values.numel() > self.n_centroids:
                model.encode(weight, self._encode(weight, values, pruned))
            context.progress(index + 1, len(weights))

    def _encode(self, weight: Weight, values: Tensor, pruned: Encoding | None) -> Encoding:
        """Cluster ``values``, shape (1, n)."""
        centroids = optimal_centroids(values.flatten(), self.n_centroids)
        indices = _nearest(values, centroids).byte().cpu().numpy()
        book = centroids.cpu().numpy()
        if isinstance(pruned, Sparse):
            return Sparse(pruned.mask, Codebook(indices, book))
        fact = weight.fact
        return Codebook(indices.reshape(fact.out_features, fact.in_features), book)


def optimal_centroids(values: Tensor, n_centroids: int) -> Tensor:
    """At most ``n_centroids`` centroids of flat ``values``, ascending, by least squares; fewer if fewer are distinct.

    The clustering is optimal on a histogram; what the bins blur is made good by Lloyd's iterations on the values.
    """
    import torch

    low, high = values.min(), values.max()
    span = torch.clamp(high - low, min=torch.finfo(torch.float32).tiny)
    bins = ((values - low) / span * (N_BINS - 1)).round().long()
    counts = torch.bincount(bins, minlength=N_BINS)
    # float64: a sum of millions of float32 values would lose digits.
    sums = torch.bincount(bins, weights=values.double(), minlength=N_BINS)
    filled = counts > 0
    weights = counts[filled].double().cpu().numpy()
    means = sums[filled].cpu().numpy() / weights
    centroids = torch.from_numpy(_cluster(means, weights, n_centroids)).float().to(values.device)
    for _ in range(N_REFINEMENTS):
        centroids = _cluster_means(values, centroids)
    return centroids


def _cluster(
    points: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], n_clusters: int
) -> npt.NDArray[np.float64]:
    """The exact optimum for weighted points in ascending order: the means of their clusters."""
    if len(points) <= n_clusters:
        return points
    import ckwrap

    labels = np.asarray(ckwrap.ckmeans(points, n_clusters, weights=weights).labels)
    totals = np.bincount(labels, weights=weights)
    return np.sort(np.bincount(labels, weights=weights * points)[totals > 0] / totals[totals > 0])


def _cluster_means(values: Tensor, centroids: Tensor) -> Tensor:
    """One of Lloyd's iterations: the mean of the values nearest to each centroid; a centroid without any goes."""
    import torch

    labels = _nearest(values, centroids)
    counts = torch.bincount(labels, minlength=len(centroids))
    sums = torch.bincount(labels, weights=values.double(), minlength=len(centroids))
    return (sums[counts > 0] / counts[counts > 0]).float()


def _nearest(values: Tensor, centroids: Tensor) -> Tensor:
    """Index of the nearest centroid for each value; the centroids ascend."""
    import torch

    return torch.bucketize(values, (centroids[1:] + centroids[:-1]) / 2)


def _mask(encoding: Encoding | None, matrix: Tensor) -> Tensor | None:
    """Which values a pruned weight has kept, on the matrix's device."""
    import torch

    return torch.from_numpy(encoding.mask).to(matrix.device) if isinstance(encoding, Sparse) else None
