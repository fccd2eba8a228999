"""Confidence bounds for the difference of two paired proportions (Tango's score interval)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def upper_bound(lost: npt.ArrayLike, gained: npt.ArrayLike, n: npt.ArrayLike, level: float) -> Array:
    """One-sided upper confidence bound of ``(lost - gained) / n``, element by element.

    ``lost`` are the pairs that only the first model got right, ``gained`` those that only the second did, out of ``n``;
    fractions are allowed, for asking what a larger sample of the same kind would give. A two-sided interval at level c
    is made of both bounds at level ``(1 + c) / 2``.

    Source: Tango 1998, Statistics in Medicine 17:891-908, whose score test holds its level where few pairs differ or
    none do; compared with others by Newcombe 1998, Statistics in Medicine 17:2635-2650.
    """
    from scipy.special import ndtri

    lost, gained, n = np.broadcast_arrays(*(np.asarray(count, np.float64) for count in (lost, gained, n)))
    # the score statistic falls as the supposed difference grows: halve between the estimate and 1
    low, high = (lost - gained) / n, np.ones(n.shape)
    critical = -float(ndtri(level))
    for _ in range(60):
        middle = (low + high) / 2
        inside = _score(lost, gained, n, middle) > critical
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    bound: Array = (low + high) / 2
    return bound


def lower_bound(lost: npt.ArrayLike, gained: npt.ArrayLike, n: npt.ArrayLike, level: float) -> Array:
    """One-sided lower confidence bound of ``(lost - gained) / n``; see `upper_bound`."""
    return -upper_bound(gained, lost, n, level)


def _score(lost: Array, gained: Array, n: Array, difference: Array) -> Array:
    """Standardised distance of the observed difference from a supposed one.

    The variance is that at the most likely share of gained pairs given the supposed difference (a root of Tango's
    equation 2).
    """
    a = 2 * n
    b = -lost - gained + (2 * n - lost + gained) * difference
    c = -gained * difference * (1 - difference)
    gained_share = (np.sqrt(np.maximum(b * b - 4 * a * c, 0)) - b) / (2 * a)
    variance = n * (2 * gained_share + difference * (1 - difference))
    distance = lost - gained - n * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        score: Array = np.where(variance > 0, distance / np.sqrt(variance), np.where(distance < 0, -np.inf, 0.0))
    return score
