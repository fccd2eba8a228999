"""How much quality was lost against the original, judged on the same samples, and how surely that is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from autocompress.measure import paired_difference
from autocompress.measure.outcomes import Outcomes
from autocompress.records import Estimate, Quality

if TYPE_CHECKING:
    from autocompress.tasks.base import Metric

Array = npt.NDArray[np.float64]
RESAMPLES = 4000
LARGEST_BATCH = 4_000_000
"""Draws held in memory at a time."""
MOST_SAMPLES_NEEDED = 10**9
HOPELESS = 1e30
"""Stands for a candidate's answer that is not a number: as bad as can be, and sums stay finite."""


def compare(
    metric: Metric,
    candidate: Outcomes,
    baseline: Outcomes,
    part: Literal["search", "holdout"],
    *,
    other_metrics: Sequence[Metric] = (),
    level: float = 0.95,
    seed: int = 0,
) -> Quality:
    """The candidate's figure and its drop against the original, with two-sided intervals; see `PairedDrop`.

    Raises:
        ValueError: the two were not judged on the same samples.
    """
    paired = paired_drop(metric, candidate, baseline, seed=seed)
    tail = (1 + level) / 2
    drop, relative = (
        Estimate(value=value, low=paired.lower_bound(tail, kind), high=paired.upper_bound(tail, kind), level=level)
        for value, kind in ((paired.drop, False), (paired.relative_drop, True))
    )
    return Quality(
        metric=metric.name,
        value=paired.candidate_value,
        higher_is_better=metric.higher_is_better,
        n_samples=len(candidate),
        part=part,
        drop=drop,
        relative_drop=relative,
        others={other.name: other.value(*candidate.by_metric[other.name]) for other in other_metrics},
    )


def paired_drop(metric: Metric, candidate: Outcomes, baseline: Outcomes, *, seed: int = 0) -> PairedDrop:
    """The drop with the statistics that fit the metric's outcomes.

    Raises:
        ValueError: the two were not judged on the same samples.
    """
    new, old = candidate.by_metric[metric.name], baseline.by_metric[metric.name]
    if len(new[0]) != len(old[0]) or not len(new[0]):
        raise ValueError(f"{len(new[0])} samples of the candidate against {len(old[0])} of the original")
    if not metric.exponential and _right_or_wrong(*new) and _right_or_wrong(*old):
        return ProportionDrop.of(metric, new, old)
    worst = -HOPELESS if metric.higher_is_better else HOPELESS
    new = (np.nan_to_num(new[0], nan=worst, posinf=HOPELESS, neginf=-HOPELESS), new[1])
    return BootstrapDrop.of(metric, new, old, np.random.default_rng(seed))


def _right_or_wrong(numerators: Array, denominators: Array) -> bool:
    return bool(np.all(denominators == 1) and np.all((numerators == 0) | (numerators == 1)))


@dataclass(frozen=True)
class PairedDrop(ABC):
    """What was lost against the original: positive means worse, whichever direction the metric has."""

    candidate_value: float
    baseline_value: float
    n_samples: int
    drop: float

    @property
    def relative_drop(self) -> float:
        """The drop over the original's value; infinite where that is zero and something was lost."""
        if self.drop == 0:
            return 0.0
        return self.drop / self.baseline_value if self.baseline_value else float(np.copysign(np.inf, self.drop))

    @abstractmethod
    def lower_bound(self, level: float, relative: bool) -> float:
        """One-sided lower confidence bound of the drop, or of the relative drop."""

    @abstractmethod
    def upper_bound(self, level: float, relative: bool) -> float:
        """One-sided upper confidence bound of the drop, or of the relative drop."""

    @abstractmethod
    def samples_needed(self, limit: float, level: float, relative: bool) -> int | None:
        """Roughly how many samples bring the upper bound inside ``limit``, if they are like those seen.

        None where no number would: the observed drop is not inside the limit, or only by less than a billion samples
        can tell.
        """


@dataclass(frozen=True)
class ProportionDrop(PairedDrop):
    """Of a metric that is 0 or 1 for every sample, such as accuracy: Tango's interval of the discordant pairs.

    Relative bounds take the original's value as known: its own uncertainty counts only times the drop.
    """

    lost: int
    gained: int

    @classmethod
    def of(cls, metric: Metric, new: tuple[Array, Array], old: tuple[Array, Array]) -> ProportionDrop:
        """Count the samples that only one of the two got right."""
        sign = 1 if metric.higher_is_better else -1
        change = sign * (old[0] - new[0])
        lost, gained = int((change > 0).sum()), int((change < 0).sum())
        n = len(change)
        return cls(metric.value(*new), metric.value(*old), n, (lost - gained) / n, lost, gained)

    def lower_bound(self, level: float, relative: bool) -> float:
        """See `PairedDrop.lower_bound`."""
        return self._scaled(
            float(paired_difference.lower_bound(self.lost, self.gained, self.n_samples, level)), relative
        )

    def upper_bound(self, level: float, relative: bool) -> float:
        """See `PairedDrop.upper_bound`."""
        return self._scaled(
            float(paired_difference.upper_bound(self.lost, self.gained, self.n_samples, level)), relative
        )

    def samples_needed(self, limit: float, level: float, relative: bool) -> int | None:
        """See `PairedDrop.samples_needed`; the shares of discordant pairs are taken to stay."""
        limit = limit * self.baseline_value if relative else limit
        if self.drop >= limit:
            return None
        lost_share, gained_share = self.lost / self.n_samples, self.gained / self.n_samples

        def inside(n: int) -> bool:
            return float(paired_difference.upper_bound(lost_share * n, gained_share * n, n, level)) <= limit

        too_few, enough = 0, 1
        while not inside(enough):
            too_few, enough = enough, enough * 2
            if enough > MOST_SAMPLES_NEEDED:
                return None
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            too_few, enough = (too_few, middle) if inside(middle) else (middle, enough)
        return enough

    def _scaled(self, bound: float, relative: bool) -> float:
        if not relative:
            return bound
        return bound / self.baseline_value if self.baseline_value else float(np.copysign(np.inf, bound))


@dataclass(frozen=True)
class BootstrapDrop(PairedDrop):
    """Of any other ratio, such as a word error rate or a perplexity: bootstrap over samples, both models together.

    Where errors are counted, two made-up samples join the draw, one in the candidate's favour and one against it, as
    large as samples that differ are on average: without them a handful of samples that happen to agree would look like
    certainty. They are the counterpart of what Agresti and Min 2005, Statistics in Medicine 24:729-740, add to
    proportions. Bounds are quantiles of the resampled drops, taken further out for few samples as by Hesterberg 2015,
    The American Statistician 69:371-386, section 5.
    """

    resampled_drops: Array
    resampled_relative_drops: Array

    @classmethod
    def of(
        cls, metric: Metric, new: tuple[Array, Array], old: tuple[Array, Array], rng: np.random.Generator
    ) -> BootstrapDrop:
        """Draw samples again and again; 4,000 resamples."""
        sign = 1 if metric.higher_is_better else -1
        with np.errstate(over="ignore"):
            candidate_value, baseline_value = metric.value(*new), metric.value(*old)
        columns = np.stack([*new, *old], axis=1)
        drawn_from = columns if metric.exponential else np.concatenate([columns, _made_up_pair(columns)])
        sums = _resampled_sums(drawn_from, rng)
        sums = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)]  # a draw without any reference word says nothing
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            new_values, old_values = sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 3]
            if metric.exponential:
                new_values, old_values = np.exp(new_values), np.exp(old_values)
            drops = sign * (old_values - new_values)
            relative = np.where(drops == 0, 0.0, drops / old_values)
        return cls(
            candidate_value,
            baseline_value,
            len(columns),
            sign * (baseline_value - candidate_value),
            np.sort(drops),
            np.sort(relative),
        )

    def lower_bound(self, level: float, relative: bool) -> float:
        """See `PairedDrop.lower_bound`."""
        return self._quantile(1 - self._further_out(level), relative) if self.n_samples > 1 else -np.inf

    def upper_bound(self, level: float, relative: bool) -> float:
        """See `PairedDrop.upper_bound`."""
        return self._quantile(self._further_out(level), relative) if self.n_samples > 1 else np.inf

    def samples_needed(self, limit: float, level: float, relative: bool) -> int | None:
        """See `PairedDrop.samples_needed`; the bound's distance is taken to shrink as one over the square root of n."""
        drop = self.relative_drop if relative else self.drop
        if not drop < limit:
            return None
        excess = max(self.upper_bound(level, relative) - drop, 0.0)
        if not np.isfinite(excess):
            return None
        needed = int(np.ceil(self.n_samples * (excess / (limit - drop)) ** 2))
        return max(needed, 1) if needed <= MOST_SAMPLES_NEEDED else None

    def _further_out(self, level: float) -> float:
        from scipy.special import ndtr, stdtrit

        n = self.n_samples
        return float(ndtr((n / (n - 1)) ** 0.5 * stdtrit(n - 1, level)))

    def _quantile(self, share: float, relative: bool) -> float:
        resampled = self.resampled_relative_drops if relative else self.resampled_drops
        return float(np.quantile(resampled, share, method="higher" if share > 0.5 else "lower"))


def _made_up_pair(columns: Array) -> Array:
    """Two average samples, shape (2, 4): in one the candidate makes an error more, in the other the original does."""
    mean = columns.mean(axis=0)
    change = np.abs(columns[:, 0] - columns[:, 2])
    error = max(1.0, float(change[change > 0].mean())) if change.any() else 1.0
    pair: Array = mean + error * np.array([[1, 0, 0, 0], [0, 0, 1, 0]])
    return pair


def _resampled_sums(columns: Array, rng: np.random.Generator) -> Array:
    """Column sums of ``RESAMPLES`` draws with replacement, shape (RESAMPLES, n_columns)."""
    n = len(columns)
    batch = max(1, LARGEST_BATCH // n)
    sums = []
    for start in range(0, RESAMPLES, batch):
        rows = min(batch, RESAMPLES - start)
        drawn = rng.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        sums.append(counts @ columns)
    return np.concatenate(sums)
