"""What training costs, as far as one call of the original tells; and durations as words."""

from __future__ import annotations

from autocompress.rounding import significant
from autocompress.tui.model.probe import Baseline, Offer

CALLS_PER_TRAINED_SAMPLE = 3
"""Forwards and back: about three times the arithmetic of a call."""


def told_training_cost(offer: Offer, baseline: Baseline | None) -> str:
    """``trains, roughly 4 min a trial``; without a figure where the samples or a call's time are not known."""
    if offer.training_samples is None or baseline is None or baseline.p50_ms is None:
        return "trains, minutes a trial"
    seconds = offer.training_samples * CALLS_PER_TRAINED_SAMPLE * baseline.p50_ms / 1000
    minutes = max(1, float(significant(seconds / 60, 1)))
    return f"trains, roughly {minutes:.0f} min a trial"


def told_duration(seconds: float) -> str:
    """``24 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{significant(seconds, 2)} s"
    if seconds < 90 * 60:
        return f"{significant(seconds / 60, 2)} min"
    return f"{significant(seconds / 3600, 2)} h"
