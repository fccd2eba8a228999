"""Weight sharing by one-dimensional k-means: a weight is stored as the index of a centroid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight
from autocompress.encodings import Codebook, Encoding, Sparse
from autocompress.facts import ModelFacts, WeightScope
from autocompress.methods.coding import WeightCoding
from autocompress.recipe import Choice, Phase

if TYPE_CHECKING:
    from torch import Tensor

Doubles = npt.NDArray[np.float64]

N_COARSE_BINS = 4096
N_FINE_BINS = 65536
N_REFINEMENTS = 2


class KMeans(WeightCoding, tag="kmeans"):
    """Cluster the values of each weight into ``n_centroids`` and store packed indices and the codebook.

    A weight takes ``log2(n_centroids)`` bits, and its codebook four bytes a centroid. Of a pruned weight only the kept
    values are clustered, so zeros stay zeros at one bit each. ``scope`` is the projections of
    ``attention`` blocks, all linear and convolution ``layers``, or ``all`` weights, embeddings included (half of a
    small text model).

    Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3; the optimal clustering is Wang & Song 2011,
    Ckmeans.1d.dp, The R Journal 3/2, on a histogram.
    """

    phase = Phase.CLUSTER
    summary = "Cluster each weight's values and store packed indices into a codebook"

    n_centroids: Annotated[int, Field(ge=2, le=256), Choice(8, 16, 32, 64, 256)] = 16
    scope: Annotated[WeightScope, Choice("attention", "layers", "all")] = "all"

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if all(weight.n_elements <= self.n_centroids for weight in facts.in_scope(self.scope)):
            return super().refuses(facts) or f"no weight has more than {self.n_centroids} elements"
        return None

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace the values of each weight by their centroids and record a `Codebook`, inside a `Sparse` if pruned.

        Weights of no more elements than centroids stay as they are.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        weights = self.uncoded(model)
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
        assigned, book = cluster(values, self.n_centroids)
        indices = assigned.cpu().numpy()
        if isinstance(pruned, Sparse):
            return Sparse(pruned.mask, Codebook(indices, book[None]))
        fact = weight.fact
        return Codebook(indices.reshape(fact.out_features, fact.in_features), book[None])


def cluster(values: Tensor, n_centroids: int) -> tuple[Tensor, npt.NDArray[np.float32]]:
    """The index of each value's centroid (uint8, the shape of ``values``), and the ascending centroids.

    Least squares: the clustering is optimal on a coarse histogram, and Lloyd's iterations on a fine one make good what
    the coarse bins blurred. There are fewer than ``n_centroids`` centroids where fewer values are distinct.
    """
    import torch

    low, high = values.min(), values.max()
    bin_width = torch.clamp((high - low) / (N_FINE_BINS - 1), min=torch.finfo(torch.float32).tiny)
    bins = ((values - low) / bin_width).round_().int()
    flat = bins.flatten()
    # float64: a sum of millions of float32 values would lose digits. On the CPU: a GPU adds in an order left to chance.
    counts = torch.bincount(flat, minlength=N_FINE_BINS).double().cpu().numpy()
    sums = torch.bincount(flat.cpu(), weights=values.flatten().double().cpu(), minlength=N_FINE_BINS).numpy()
    filled = counts > 0
    points, weights = sums[filled] / counts[filled], counts[filled]
    centroids = _optimal_centroids(*_coarsened(sums, counts), n_centroids)
    for _ in range(N_REFINEMENTS):
        centroids = _cluster_means(points, weights, _nearest(points, centroids))
    index_of_bin = np.zeros(N_FINE_BINS, np.uint8)
    index_of_bin[filled] = _nearest(points, centroids)
    return torch.from_numpy(index_of_bin).to(values.device)[bins], centroids.astype(np.float32)


def _coarsened(sums: Doubles, counts: Doubles) -> tuple[Doubles, Doubles]:
    """Means and weights of the filled coarse bins; all fine ones where they are few enough."""
    if np.count_nonzero(counts) > N_COARSE_BINS:
        sums, counts = (array.reshape(N_COARSE_BINS, -1).sum(axis=1) for array in (sums, counts))
    filled = counts > 0
    return sums[filled] / counts[filled], counts[filled]


def _optimal_centroids(points: Doubles, weights: Doubles, n_centroids: int) -> Doubles:
    """The exact optimum for weighted points in ascending order."""
    if len(points) <= n_centroids:
        return points
    import ckwrap

    return _cluster_means(points, weights, np.asarray(ckwrap.ckmeans(points, n_centroids, weights=weights).labels))


def _cluster_means(points: Doubles, weights: Doubles, labels: npt.NDArray[np.intp]) -> Doubles:
    """The weighted mean of each cluster, ascending; a cluster without points goes."""
    totals = np.bincount(labels, weights=weights)
    sums = np.bincount(labels, weights=weights * points)
    return np.sort(sums[totals > 0] / totals[totals > 0])


def _nearest(points: Doubles, centroids: Doubles) -> npt.NDArray[np.intp]:
    """Index of the nearest of the ascending centroids for each point."""
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, points)


def _mask(encoding: Encoding | None, matrix: Tensor) -> Tensor | None:
    """Which values a pruned weight has kept, on the matrix's device."""
    import torch

    return torch.from_numpy(encoding.mask).to(matrix.device) if isinstance(encoding, Sparse) else None
