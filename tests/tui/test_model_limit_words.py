"""What limits mean in units, and when they cannot be set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocompress.tui.model.limit_words import limit_meaning, limit_problem, told
from autocompress.tui.model.probe import Baseline, Offer
from autocompress.tui.model.training_cost import told_duration, told_training_cost

ACCURACY = Baseline(
    task="text-classification",
    architecture="Bert",
    n_parameters=22_000_000,
    n_samples={},
    metric="accuracy",
    metric_is_rate=True,
    higher_is_better=True,
    value=0.923,
    size_bytes=90_000_000,
    p50_ms=12.0,
    ram_bytes=None,
    vram_bytes=None,
)
ERRORS = replace(ACCURACY, metric="wer", higher_is_better=False, value=0.05)
PERPLEXITY = replace(ERRORS, metric="perplexity", metric_is_rate=False, value=24.0)


@pytest.mark.parametrize(
    ("name", "text", "baseline", "meaning"),
    [
        ("quality_drop", "1pp", ACCURACY, "accuracy may fall from 92.3 % to 91.3 %"),
        ("quality_drop", "1%", ACCURACY, "accuracy may fall from 92.3 % to 91.4 %"),
        ("quality_drop", "0", ACCURACY, "accuracy may not fall at all from 92.3 %"),
        ("quality_drop", "95pp", ACCURACY, "accuracy may fall from 92.3 % to 0.0 %"),
        ("quality_drop", "1pp", ERRORS, "wer may rise from 5.0 % to 6.0 %"),
        ("quality_drop", "5%", PERPLEXITY, "perplexity may rise from 24.0 to 25.2"),
        ("quality_drop", "1pp", None, "at most 1pp worse than the original"),
        ("size", "0.3x", ACCURACY, "at most 27.0 MB, 3.3× smaller (now 90.0 MB)"),
        ("size", "25MB", ACCURACY, "at most 25.0 MB, 3.6× smaller (now 90.0 MB)"),
        ("size", "2x", ACCURACY, "at most 180 MB; the original has 90.0 MB already"),
        ("size", "0.3x", None, "at most 0.300× the original's"),
        ("latency", "0.5x", ACCURACY, "at most 6.00 ms, 2.0× faster (now 12.0 ms)"),
        ("ram", "2GB", ACCURACY, "at most 2.00 GB"),
        ("ram", "", ACCURACY, "no limit"),
    ],
)
def test_limits_are_told_in_units(name: str, text: str, baseline: Baseline | None, meaning: str) -> None:
    assert limit_problem(name, text, baseline, "cpu") is None
    assert limit_meaning(name, text, baseline) == meaning


@pytest.mark.parametrize(
    ("name", "text", "baseline", "told"),
    [
        ("quality_drop", "a bit", ACCURACY, "write 1%"),
        ("quality_drop", "1pp", PERPLEXITY, "perplexity is no rate"),
        ("size", "0x", ACCURACY, "greater than zero"),
        ("size", "25", ACCURACY, "25MB or 0.3x"),
        ("ram", "0.5x", ACCURACY, "not known"),
        ("vram", "2GB", ACCURACY, "on the CPU"),
    ],
)
def test_limits_that_cannot_be_set_are_refused_with_a_remedy(
    name: str, text: str, baseline: Baseline, told: str
) -> None:
    assert told in (limit_problem(name, text, baseline, "cpu") or "")


def test_figures_carry_their_unit() -> None:
    assert (told("latency", 12.34), told("ram", 2.5e9), told("size", None)) == ("12.3 ms", "2.50 GB", "–")


def test_training_is_told_in_minutes_where_its_samples_are_known() -> None:
    offer = Offer("distil", trains=True, training_samples=9600)
    assert told_training_cost(offer, ACCURACY) == "trains, roughly 6 min a trial"
    assert told_training_cost(offer, None) == "trains, minutes a trial"
    assert [told_duration(seconds) for seconds in (24, 720, 12_600)] == ["24 s", "12 min", "3.5 h"]
