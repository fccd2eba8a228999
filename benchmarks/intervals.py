"""Figures over repetitions with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

RESAMPLES = 4000
NORMAL_QUANTILE = 1.959964
Array = npt.NDArray[np.float64]
Interval = tuple[float, float, float]
"""Value, lower and upper end."""


def interval(values: Sequence[float], figure: Callable[..., Array] = np.mean) -> Interval:
    """A figure of the values, by default their mean, and its interval by bootstrap.

    Args:
        values: what is resampled.
        figure: called with an array and ``axis``, as NumPy's are.
    """
    known = np.array(values, np.float64)
    drawn = np.random.default_rng(0).choice(known, (RESAMPLES, len(known)))
    resampled = figure(drawn, axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(figure(known, axis=0)), float(low), float(high)


def percentile(share: float) -> Callable[..., Array]:
    """The figure below which this share (0 to 1) of the values lies, for `interval`."""

    def figure(values: Array, axis: int) -> Array:
        found: Array = np.quantile(values, share, axis=axis)
        return found

    return figure


def proportion(count: int, n: int) -> Interval:
    """A share of n, and its interval.

    Source: Wilson 1927, Journal of the American Statistical Association 22:209-212.
    """
    if not n:
        return float("nan"), 0.0, 1.0
    share, z2 = count / n, NORMAL_QUANTILE**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_QUANTILE / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5
    return share, max(0.0, middle - half), min(1.0, middle + half)


def told_share(count: int, n: int) -> str:
    """A share of n as a table tells it: ``12 % [8, 17]``; a dash where there is nothing to count."""
    if not n:
        return "–"
    share, low, high = (100 * value for value in proportion(count, n))
    digits = 0 if low >= 1 or n < 300 else 1
    return f"{share:.{digits}f} % [{low:.{digits}f}, {high:.{digits}f}]"
