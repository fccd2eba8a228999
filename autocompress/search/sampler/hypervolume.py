"""Hypervolume of a front, and by how much an uncertain point is expected to enlarge it; all values are minimised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from autocompress.dominance import nondominated

Array = NDArray[np.float64]

LARGEST_EXPONENT = 50.0


@dataclass(frozen=True)
class Boxes:
    """Disjoint boxes that fill what a front leaves undominated below the reference point.

    Attributes:
        low, high: their corners, shape (n_boxes, n_values); ``low`` may be minus infinity.
    """

    low: Array
    high: Array


def front_of(points: Array) -> Array:
    """The points, shape (n, n_values), that no other dominates; of equal ones the first."""
    unique = np.unique(points, axis=0)
    kept = nondominated({index: tuple(point) for index, point in enumerate(unique.tolist())})
    return unique[sorted(kept)]


def hypervolume(points: Array, reference: Sequence[float]) -> float:
    """Volume of what the points, shape (n, n_values), dominate and that dominates the reference point."""
    corner = np.asarray(reference, dtype=float)
    inside = points[(points < corner).all(axis=1)] if len(points) else points.reshape(0, len(corner))
    return _volume(front_of(inside), corner) if len(inside) else 0.0


def _volume(front: Array, corner: Array) -> float:
    """By slices along the last value: in each, the front of those that begin before it."""
    if len(corner) == 1:
        return max(0.0, float(corner[0] - front[:, 0].min()))
    ordered = front[np.argsort(front[:, -1], kind="stable")]
    ends = np.append(ordered[1:, -1], corner[-1])
    total = 0.0
    for index, end in enumerate(ends):
        thickness = end - ordered[index, -1]
        if thickness > 0:
            total += thickness * _volume(ordered[: index + 1, :-1], corner[:-1])
    return total


def undominated(points: Array, reference: Sequence[float]) -> Boxes:
    """What the points, shape (n, n_values), leave undominated below the reference point, in boxes.

    Their number grows with n to the power of n_values - 1: meant for two or three values and fronts of at most some
    dozens.
    """
    corner = np.asarray(reference, dtype=float)
    inside = points[(points < corner).all(axis=1)] if len(points) else points.reshape(0, len(corner))
    boxes = _undominated(front_of(inside) if len(inside) else inside, corner)
    return Boxes(np.array([low for low, _ in boxes]), np.array([high for _, high in boxes]))


def _undominated(front: Array, corner: Array) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    if len(corner) == 1:
        end = min([float(corner[0]), *front[:, 0].tolist()])
        return [((-np.inf,), (end,))]
    ordered = front[np.argsort(front[:, -1], kind="stable")]
    edges = [-np.inf, *ordered[:, -1].tolist(), float(corner[-1])]
    boxes = []
    for index in range(len(edges) - 1):
        low, high = edges[index], edges[index + 1]
        if high > low:
            active = ordered[:index, :-1]
            slices = _undominated(front_of(active) if len(active) else active, corner[:-1])
            boxes += [((*a, low), (*b, high)) for a, b in slices]
    return boxes


@dataclass(frozen=True)
class Belief:
    """What is believed of one value of many points: a normal distribution of it, or of log(value + shift).

    Attributes:
        mean, deviation: shape (n_points,), on the scale on which it is normal.
        shift: None where the value itself is normal.
        floor: a value below which all are equally good; minus infinity where less is always better.
    """

    mean: Array
    deviation: Array
    shift: float | None = None
    floor: float = -math.inf

    def below(self, limits: Array) -> Array:
        """Probability of a value of at most each limit, shape (n_points, n_limits)."""
        return np.asarray(ndtr(self._standardised(limits)))

    def shortfall(self, limits: Array) -> Array:
        """Expectation of how far the value stays below each limit (zero beyond it), shape (n_points, n_limits).

        Not farther than down to the floor.
        """
        if math.isinf(self.floor):
            return self._shortfall(limits)
        return self._shortfall(np.maximum(limits, self.floor)) - self._shortfall(np.array([self.floor]))

    def _shortfall(self, limits: Array) -> Array:
        finite = np.where(np.isneginf(limits), 0.0, limits)
        standard = self._standardised(limits)
        if self.shift is None:
            density = np.exp(-(standard**2) / 2) / np.sqrt(2 * np.pi)
            mean = (finite[None, :] - self.mean[:, None]) * ndtr(standard)
            expected = mean + self.deviation[:, None] * density
        else:
            # A put option's price, by the formula of Black and Scholes.
            reach = np.maximum(finite + self.shift, 0.0)[None, :] * ndtr(standard)
            exponent = (self.mean + self.deviation**2 / 2)[:, None] + log_ndtr(standard - self.deviation[:, None])
            expected = reach - np.exp(np.minimum(exponent, LARGEST_EXPONENT))
        return np.where(np.isneginf(limits)[None, :], 0.0, np.maximum(expected, 0.0))

    def _standardised(self, limits: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = limits if self.shift is None else np.log(np.maximum(limits + self.shift, 0.0))
        return (scaled[None, :] - self.mean[:, None]) / self.deviation[:, None]

    def draw(self, generator: np.random.Generator) -> Array:
        """One value of each point, the floor where it is lower."""
        drawn = self.mean + self.deviation * generator.standard_normal(len(self.mean))
        return np.asarray(np.maximum(drawn if self.shift is None else np.exp(drawn) - self.shift, self.floor))


def expected_improvement(boxes: Boxes, beliefs: Sequence[Belief], limits: Sequence[float]) -> Array:
    """By how much each point is expected to enlarge the hypervolume, exactly; shape (n_points,).

    The values of a point are taken as independent. In a box, a point dominates the product of what lies between its
    values and the box's far corner, so the expectation is a sum over boxes of products of expectations.

    Args:
        boxes: what the front leaves undominated.
        beliefs: of each value.
        limits: a point with a value beyond its limit adds nothing; infinite where there is none.
    """
    product: Array | None = None
    for value, (belief, limit) in enumerate(zip(beliefs, limits, strict=True)):
        edges, place = np.unique(np.concatenate([boxes.low[:, value], boxes.high[:, value]]), return_inverse=True)
        capped = np.minimum(edges, limit)
        expected = belief.shortfall(capped)
        if np.isfinite(limit):
            # Beyond the limit the box goes on, but only values inside the limit count.
            expected = expected + np.maximum(edges - limit, 0.0)[None, :] * belief.below(np.array([limit]))
        low, high = place[: len(boxes.low)], place[len(boxes.low) :]
        extent = np.maximum(expected[:, high] - expected[:, low], 0.0)
        product = extent if product is None else product * extent
    assert product is not None
    return np.asarray(product.sum(axis=1))
