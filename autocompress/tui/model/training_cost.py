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
    return f"trains, roughly {told_duration(max(60.0, seconds), digits=1)} a trial"


def told_duration(seconds: float, digits: int = 2) -> str:
    """``24 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{significant(seconds, digits)} s"
    if seconds < 90 * 60:
        return f"{significant(seconds / 60, digits)} min"
    return f"{significant(seconds / 3600, digits)} h"
