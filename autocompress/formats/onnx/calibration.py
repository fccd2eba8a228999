"""The ranges of a graph's activations over calibration samples, of any lengths."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

Feeds = dict[str, npt.NDArray[Any]]
Range = tuple[np.float32, np.float32]

N_BINS = 2048
N_LEVELS = 128
"""Magnitudes that uint8 tells apart where the range lies on both sides of zero."""
CANDIDATE_STEP = 16


def activation_ranges(
    model: onnx.ModelProto,
    op_types: Collection[str],
    feeds: Callable[[], Iterator[Feeds]],
    method: str,
    percentile: float,
) -> dict[str, Range]:
    """The least and the largest value to represent, of every float tensor that nodes of these types read or give.

    Args:
        model: the float graph; it is not changed.
        op_types: of the nodes.
        feeds: starts the samples anew, one run of the graph each.
        method: ``minmax``, the extremes; ``percentile``, without the outermost values on either side;
            ``entropy``, the symmetric bound that loses least information (Migacz 2017, 8-bit Inference with TensorRT),
            where it is within the extremes.
        percentile: per cent of the values that ``percentile`` keeps.
    """
    run = _observer(model, op_types)
    extremes: dict[str, Range] = {}
    for inputs in feeds():
        for name, values in run(inputs).items():
            if values.size:
                low, high = extremes.get(name, (np.float32(0), np.float32(0)))
                extremes[name] = (min(low, values.min()), max(high, values.max()))
    if method == "minmax":
        return extremes
    counts = {name: np.zeros(N_BINS, np.int64) for name in extremes}
    for inputs in feeds():
        for name, values in run(inputs).items():
            if values.size:
                counts[name] += np.histogram(values, N_BINS, range=_bounds(extremes[name], method))[0]
    narrowed = {}
    for name, extreme in extremes.items():
        edges = np.linspace(*_bounds(extreme, method), N_BINS + 1, dtype=np.float32)
        quantiles = method == "percentile"
        low, high = _quantiles(counts[name], edges, percentile) if quantiles else _symmetric(counts[name], edges)
        narrowed[name] = (max(extreme[0], low), min(extreme[1], high))
    return narrowed


def _observer(model: onnx.ModelProto, op_types: Collection[str]) -> Callable[[Feeds], Feeds]:
    """Runs a graph for its activations: float tensors that nodes of these types read or give."""
    import onnxruntime as ort

    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    touched = [name for node in graph.node if node.op_type in op_types for name in (*node.input, *node.output)]
    names = [name for name in dict.fromkeys(touched) if name and name not in stored]
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    given = {value.name for value in graph.output}
    kept = {value.name for value in graph.input}
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names if name not in given | kept
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # fused tensors could not be observed
    options.log_severity_level = 3
    session = ort.InferenceSession(observed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [name for name in names if name not in kept]

    def run(inputs: Feeds) -> Feeds:
        values = dict(zip(outputs, session.run(outputs, inputs), strict=True))
        return values | {name: inputs[name] for name in names if name in kept}

    return run


def _bounds(extreme: Range, method: str) -> tuple[float, float]:
    """What the histogram spans: the extremes, or as much on either side of zero."""
    low, high = float(extreme[0]), float(extreme[1])
    if method == "entropy":
        high = max(-low, high)
        low = -high
    return (low, high) if high > low else (low, low + 1e-6)


def _quantiles(counts: npt.NDArray[np.int64], edges: npt.NDArray[np.float32], percentile: float) -> Range:
    share = np.cumsum(counts) / counts.sum()
    outside = (100 - percentile) / 200
    left, right = np.searchsorted(share, [outside, 1 - outside])
    return edges[left], edges[min(right + 1, len(edges) - 1)]


def _symmetric(counts: npt.NDArray[np.int64], edges: npt.NDArray[np.float32]) -> Range:
    """The bound with the least divergence between the clipped magnitudes and their ``N_LEVELS`` levels."""
    half = N_BINS // 2
    magnitudes = (counts[half:] + counts[:half][::-1]).astype(np.float64)
    magnitudes[0] = magnitudes[1]  # exact zeros cost nothing and would drown all else
    candidates = range(N_LEVELS, half + 1, CANDIDATE_STEP)
    divergences = {length: _divergence(magnitudes, length) for length in candidates if magnitudes[:length].any()}
    best = min(divergences, key=lambda length: divergences[length], default=half)
    bound = edges[half + best]
    return np.float32(-bound), bound


def _divergence(magnitudes: npt.NDArray[np.float64], length: int) -> float:
    """Kullback-Leibler divergence when magnitudes from ``length`` bins on are clipped and the others levelled.

    Where values are clipped into a bin that is empty otherwise, the levels count as one value there.
    """
    clipped = magnitudes[:length].copy()
    clipped[-1] += magnitudes[length:].sum()
    level = np.arange(length) * N_LEVELS // length
    filled = magnitudes[:length] > 0
    sums = np.bincount(level, weights=magnitudes[:length], minlength=N_LEVELS)
    n_filled = np.bincount(level, weights=filled, minlength=N_LEVELS)
    levelled = np.where(filled, sums[level] / np.maximum(n_filled[level], 1), 0)
    filled = clipped > 0
    levelled = np.maximum(levelled[filled], 1)
    p, q = clipped[filled] / clipped.sum(), levelled / levelled.sum()
    return float((p * np.log(p / q)).sum())
