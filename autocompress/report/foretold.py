"""How far what was foretold of a run's recipes is from what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from autocompress.facts import ModelFacts
from autocompress.records import Measurement, TrialRecord
from autocompress.rough_figures import rough_ram_bytes
from autocompress.rounding import percent
from autocompress.size_forecast import SizeForecast


def foretold_in_words(records: Iterable[TrialRecord], facts: ModelFacts, device: str) -> str | None:
    """The median and the largest error over the measured trials, as a sentence; None where nothing was foretold.

    What is foretold is worked out again from the recipes and the model's shapes: it isn't kept.
    """
    if not facts.tensors:  # a run of a version that knew less of a model
        return None
    measured = [(record, found) for record in records if (found := record.measurement) and found.size_bytes]
    if not measured:
        return None
    forecast = SizeForecast(facts)
    sizes = {record.number: forecast.of(record.recipe).n_bytes for record, _ in measured}
    by_size = [abs(sizes[record.number] / (found.size_bytes or 1) - 1) for record, found in measured]
    over = f"{len(measured)} trial{'' if len(measured) == 1 else 's'}"
    told = f"Foretold before anything ran, over {over}: size off by {_errors(by_size)}"
    by_ram = [
        abs(rough_ram_bytes(record.recipe, facts, sizes[record.number], device).middle / ram - 1)
        for record, found in measured
        if (ram := _memory(found, device))
    ]
    return f"{told}; memory off by {_errors(by_ram)}." if by_ram else f"{told}."


def _memory(measured: Measurement, device: str) -> int | None:
    if device == "cuda":
        return measured.vram.allocator_peak_bytes if measured.vram else None
    return measured.ram.peak_bytes if measured.ram else None


def _errors(errors: Sequence[float]) -> str:
    return f"{percent(median(errors))} (median), {percent(max(errors))} at most"
