"""How fast and how near the optimum weights are clustered, and what Huffman's codes save of the indices.

The optimum of a weight of so many values can't be computed; the one of its sorted values in bins of 1/65536 of their
range is the reference, found by dynamic programming up to 64 centroids.

Run: python benchmarks/clustering.py [--values 1e6 1e7] [--models minilm-sst2 books-llama-small]
Models are folders under $AUTOCOMPRESS_ASSETS/models. Seconds are of one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import ckwrap
import numpy as np
import torch
from safetensors.torch import load_file

from autocompress.clustering import N_FINE_BINS, Clusters, cluster
from autocompress.encodings import huffman_coded, huffman_decoded, pack_bits

CENTROIDS = (16, 64, 256)
LARGEST_PROVEN = 64
SMALLEST_WEIGHT = 2000
"""Elements below which a weight matters for no file's size."""


def heavy_tailed(n_values: int) -> torch.Tensor:
    """Values spread as weights are: Student's t with four degrees of freedom, times 0.03."""
    random = np.random.default_rng(0)
    return torch.from_numpy(random.standard_t(4, size=n_values).astype(np.float32) * np.float32(0.03))


def squared_error(values: torch.Tensor, clusters: Clusters) -> float:
    """Sum over all values, a piece at a time."""
    centroids = torch.from_numpy(clusters.centroids)
    pieces = zip(values.split(2**24), clusters.indices.split(2**24), strict=True)
    return sum(float((piece - centroids[indices.int()]).double().square().sum()) for piece, indices in pieces)


def optimal_error(values: torch.Tensor, n_centroids: int) -> float:
    """The least squared error of clusters of whole bins, beside what the bins themselves hold."""
    array = values.numpy()
    low, high = float(array.min()), float(array.max())
    bins = ((array - low) * ((N_FINE_BINS - 1) / (high - low)) + 0.5).astype(np.int32)
    counts = np.bincount(bins, minlength=N_FINE_BINS).astype(np.float64)
    sums = np.bincount(bins, weights=array, minlength=N_FINE_BINS)
    squares = np.bincount(bins, weights=array.astype(np.float64) ** 2, minlength=N_FINE_BINS)
    filled = counts > 0
    points = sums[filled] / counts[filled]
    labels = np.asarray(ckwrap.ckmeans(points, n_centroids, weights=counts[filled]).labels)
    totals = np.bincount(labels, weights=counts[filled])
    means = np.bincount(labels, weights=sums[filled]) / totals
    return float(squares.sum() - (totals * means**2).sum())


def clustering_rows(sizes: list[int]) -> Iterator[str]:
    """A table row for each number of values and of centroids."""
    for n_values in sizes:
        values = heavy_tailed(n_values)
        for n_centroids in CENTROIDS:
            start = time.perf_counter()
            clusters = cluster(values, n_centroids)
            seconds = time.perf_counter() - start
            over = ""
            if n_centroids <= LARGEST_PROVEN:
                excess = squared_error(values, clusters) / optimal_error(values, n_centroids) - 1
                over = f"{100 * excess:+.4f} %"
            yield f"| {n_values:.0e} | {n_centroids} | {seconds:.2f} | {over} |"


def coding_rows(model: Path) -> Iterator[str]:
    """A table row for each number of centroids: bytes of all indices of the model, packed and Huffman-coded."""
    tensors = [tensor for file in sorted(model.glob("*.safetensors")) for tensor in load_file(file).values()]
    weights = [tensor.float() for tensor in tensors if tensor.dim() >= 2 and tensor.numel() >= SMALLEST_WEIGHT]
    for n_centroids in CENTROIDS:
        bits = (n_centroids - 1).bit_length()
        packed = [pack_bits(cluster(weight, n_centroids).indices.numpy(), bits) for weight in weights]
        streams = [huffman_coded(part) for part in packed]
        start = time.perf_counter()
        for stream in streams:
            if stream is not None:
                huffman_decoded(stream)
        seconds = time.perf_counter() - start
        n_packed = sum(part.size for part in packed)
        n_coded = sum(
            part.size if stream is None else stream.size for part, stream in zip(packed, streams, strict=True)
        )
        share = n_coded / n_packed
        yield f"| {model.name} | {n_centroids} | {n_packed:,} | {n_coded:,} | {share:.3f} | {seconds:.2f} |"


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=float, nargs="*", default=[1e6, 1e7, 1e8])
    parser.add_argument("--models", nargs="*", default=["minilm-sst2", "books-llama-small", "fsdd-whisper-small"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| values | centroids | seconds | error over the optimum |\n|---|---|---|---|")
    for row in clustering_rows([int(size) for size in arguments.values]):
        print(row, flush=True)
    models = Path(os.environ.get("AUTOCOMPRESS_ASSETS", "assets")) / "models"
    print(
        "\n| model | centroids | packed bytes | Huffman-coded | share | seconds to decode |\n|---|---|---|---|---|---|"
    )
    for name in arguments.models:
        for row in coding_rows(models / name):
            print(row, flush=True)


if __name__ == "__main__":
    main()
