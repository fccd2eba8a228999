"""Whether a finalist keeps the quality limit beyond reasonable doubt, judged on data that no choice was made by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocompress.measure.quality import paired_drop
from autocompress.records import Certificate
from autocompress.rounding import MINUS

if TYPE_CHECKING:
    from autocompress.measure.outcomes import Outcomes
    from autocompress.spec import QualityLimit
    from autocompress.tasks.base import Metric

MOST_FINALISTS = 5
FAMILY_LEVEL = 0.95


def certify(
    metric: Metric,
    candidate: Outcomes,
    baseline: Outcomes,
    limit: QualityLimit,
    *,
    n_finalists: int,
    level: float = FAMILY_LEVEL,
    seed: int = 0,
) -> Certificate:
    """Judge one of ``n_finalists`` by its holdout outcomes.

    The finalists must have been chosen, and their number fixed, without the holdout. Each is held to the one-sided
    upper bound of its drop at level ``1 - (1 - level) / n_finalists`` (Bonferroni), so that the chance that any
    certificate is wrong, and with it that of the one handed out, stays below ``1 - level``, whoever is judged first or
    not at all.

    Raises:
        ValueError: more than five finalists, or outcomes of other samples than the original's.
    """
    if not 1 <= n_finalists <= MOST_FINALISTS:
        raise ValueError(f"{n_finalists} finalists, where 1 to {MOST_FINALISTS} may be judged on a holdout")
    each_level = 1 - (1 - level) / n_finalists
    paired = paired_drop(metric, candidate, baseline, seed=seed)
    bound = paired.upper_bound(each_level, limit.relative)
    needed = paired.samples_needed(limit.bound, each_level, limit.relative)
    certified = bound <= limit.bound
    observed = paired.relative_drop if limit.relative else paired.drop

    def told(drop: float) -> str:
        return _told_drop(drop, relative=limit.relative, in_points=metric.is_rate)

    confidence = f"{level:.0%} confidence"
    if certified:
        sentence = (
            f"Certified: with {confidence} the {metric.name} drop is at most {told(bound)}, inside the limit of "
            f"{limit.written} ({paired.n_samples:,} holdout samples)."
        )
    elif needed is None:
        sentence = (
            f"Observed only: on {paired.n_samples:,} holdout samples the {metric.name} drop is {told(observed)}, not "
            f"inside the limit of {limit.written}; more samples are not likely to certify it."
        )
    else:
        sentence = (
            f"Observed only: on {paired.n_samples:,} holdout samples the {metric.name} drop is {told(observed)}, but "
            f"with {confidence} it is only known to be at most {told(bound)} (limit {limit.written}); about "
            f"{needed:,} samples would certify such a drop."
        )
    return Certificate(
        certified=certified,
        upper_bound=bound,
        relative=limit.relative,
        level=each_level,
        n_samples=paired.n_samples,
        samples_needed=needed,
        sentence=sentence,
    )


def _told_drop(drop: float, *, relative: bool, in_points: bool) -> str:
    """A drop as people write it: ``1.2 %`` of the original's value, ``0.8 pp``, or a plain number."""
    told = f"{drop * 100:.2f} %" if relative else f"{drop * 100:.2f} pp" if in_points else f"{drop:.4g}"
    return told.replace("-", MINUS)
