"""Dominance between points whose coordinates are all minimised; the standard library alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def dominates(left: Sequence[float], right: Sequence[float]) -> bool:
    """Whether ``left`` is nowhere worse (all values minimised) and somewhere better."""
    better = False
    for a, b in zip(left, right, strict=True):
        if a > b:
            return False
        better = better or a < b
    return better


def nondominated(points: Mapping[int, Sequence[float]]) -> frozenset[int]:
    """The keys of the points that no other point dominates; equal points do not dominate one another."""
    # In lexicographic order a point can only be dominated by an earlier one, and then by one of the front so far.
    front: list[int] = []
    for number in sorted(points, key=lambda number: tuple(points[number])):
        if not any(dominates(points[other], points[number]) for other in front):
            front.append(number)
    return frozenset(front)
