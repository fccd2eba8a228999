"""One-dimensional k-means at its optimum: values to the indices of few centroids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Doubles = npt.NDArray[np.float64]
CentroidBits = Literal[8, 16, 32]

N_COARSE_BINS = 4096
N_FINE_BINS = 65536
N_REFINEMENTS = 2
CHUNK = 2**22
"""Values that are binned at once, so that a weight of any size takes little memory beside itself."""
LARGEST_INT8 = 127
CLIPPED_SHARES = tuple(1 - 0.05 * index for index in range(11))
"""Shares of the largest centroid that are tried as the largest integer."""


@dataclass(frozen=True)
class Clusters:
    """Values as indices into centroids.

    Attributes:
        indices: of each value's nearest centroid, uint8, the shape of the values, on their device.
        centroids: ascending, shape (n_centroids,): float32, float16, or int8, to be multiplied by ``scale``.
        scale: of int8 centroids.
    """

    indices: Tensor
    centroids: npt.NDArray[Any]
    scale: np.float32 | None = None


def cluster(values: Tensor, n_centroids: int, bits: CentroidBits = 32) -> Clusters:
    """The clusters of least squared error; centroids are stored in ``bits`` bits, and values go to the nearest stored.

    The clustering is optimal on a coarse histogram, and Lloyd's iterations on a fine one make good what the coarse bins
    blurred. There are fewer than ``n_centroids`` centroids where fewer values, or fewer stored centroids, are distinct.

    Source: Wang & Song 2011, Ckmeans.1d.dp, The R Journal 3/2.
    """
    import torch

    flat = values.reshape(-1)
    bins = _Bins(flat)
    counts, sums = bins.histogram()
    filled = counts > 0
    points, weights = sums[filled] / counts[filled], counts[filled]
    centroids = _optimal_centroids(*_coarsened(sums, counts), n_centroids)
    for _ in range(N_REFINEMENTS):
        centroids = _cluster_means(points, weights, _nearest(points, centroids))
    stored, scale = _stored(centroids, points, weights, bits)
    book = stored.astype(np.float64) * (1.0 if scale is None else float(scale))
    index_of_bin = np.zeros(N_FINE_BINS, np.uint8)
    index_of_bin[filled] = _nearest(points, book)
    table = torch.from_numpy(index_of_bin).to(values.device)
    indices = torch.cat([table[chunk] for chunk in bins])
    return Clusters(indices.reshape(values.shape), stored, scale)


class _Bins:
    """The fine bin of each of the values, shape (n,), computed anew whenever asked for."""

    def __init__(self, values: Tensor) -> None:
        import torch

        self.values = values
        self.low = values.min()
        self.width = torch.clamp((values.max() - self.low) / (N_FINE_BINS - 1), min=torch.finfo(torch.float32).tiny)

    def __iter__(self) -> Iterator[Tensor]:
        import torch

        for chunk in torch.split(self.values, CHUNK):
            yield ((chunk - self.low) / self.width).round_().int()

    def histogram(self) -> tuple[Doubles, Doubles]:
        """How many values are in each bin, and their sum."""
        import torch

        counts, sums = np.zeros(N_FINE_BINS), np.zeros(N_FINE_BINS)
        for bins, chunk in zip(self, torch.split(self.values, CHUNK), strict=True):
            # In float64, where millions of values lose no digits; on the CPU: a GPU adds in an order left to chance.
            bins, chunk = bins.cpu(), chunk.cpu()
            counts += torch.bincount(bins, minlength=N_FINE_BINS).numpy()
            sums += torch.bincount(bins, weights=chunk.double(), minlength=N_FINE_BINS).numpy()
        return counts, sums


def _coarsened(sums: Doubles, counts: Doubles) -> tuple[Doubles, Doubles]:
    """Means and weights of coarse bins; of all fine ones where they are few enough.

    Coarse bins are of such widths that all hold the same integral of the density's cube root: these blur least.

    Source: Panter & Dite 1951, Quantization Distortion in Pulse-Count Modulation, Proc. IRE 39(1).
    """
    (filled,) = np.nonzero(counts)
    sums, counts = sums[filled], counts[filled]
    if len(filled) <= N_COARSE_BINS:
        return sums / counts, counts
    # The density between two filled bins is the latter's count over their distance.
    passed = np.cumsum(np.cbrt(counts * np.diff(filled, prepend=-1) ** 2))
    coarse = np.ceil(passed * (N_COARSE_BINS / passed[-1])).astype(np.intp)
    total_counts, total_sums = np.bincount(coarse, weights=counts), np.bincount(coarse, weights=sums)
    kept = total_counts > 0
    return total_sums[kept] / total_counts[kept], total_counts[kept].astype(np.float64)


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


def _stored(
    centroids: Doubles, points: Doubles, weights: Doubles, bits: CentroidBits
) -> tuple[npt.NDArray[Any], np.float32 | None]:
    """The distinct centroids as they are stored, ascending, and the scale of integers.

    The scale of least squared error is taken: a few far outliers would else make the steps too coarse for the others.
    """
    if bits != 8:
        return np.unique(centroids.astype(np.float16 if bits == 16 else np.float32)), None
    largest = np.abs(centroids).max() / LARGEST_INT8
    scales = [np.float32(largest * share) or np.float32(1) for share in CLIPPED_SHARES]
    grids = [(_as_integers(centroids, scale), scale) for scale in scales]
    return min(grids, key=lambda grid: _squared_error(points, weights, grid[0] * np.float64(grid[1])))


def _as_integers(centroids: Doubles, scale: np.float32) -> npt.NDArray[np.int8]:
    codes = np.rint(centroids / np.float64(scale)).clip(-LARGEST_INT8, LARGEST_INT8)
    return np.unique(codes.astype(np.int8))


def _squared_error(points: Doubles, weights: Doubles, centroids: Doubles) -> float:
    return float((weights * (points - centroids[_nearest(points, centroids)]) ** 2).sum())
