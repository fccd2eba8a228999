"""How far what was foretold of a run's recipes is from what was measured.

What is foretold is worked out again from the recipes, the model's shapes and the machine's speed when the search began:
it isn't kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

from autocompress.jobs import Prepared
from autocompress.recipe import Recipe
from autocompress.records import Measurement, TrialRecord
from autocompress.report.numbers import megabytes
from autocompress.rough_figures import Rough, rough_latency_ms, rough_ram_bytes
from autocompress.rounding import percent, significant
from autocompress.size_forecast import SizeForecast


class ForetoldFigures(NamedTuple):
    """What was foretold of a recipe; ``memory_bytes`` is of the device where the search runs on one."""

    size_bytes: float
    memory_bytes: Rough
    latency_ms: Rough | None


class Foreteller:
    """Foretells again what was foretold in a run.

    Args:
        prepared: what the run knows of model and machine.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, prepared: Prepared, device: str) -> None:
        self._prepared, self._device = prepared, device
        self._sizes = SizeForecast(prepared.facts)

    @property
    def why_no_latency(self) -> str | None:
        """Why no latency was foretold; None where it was."""
        if self._prepared.call_flops is None:
            return "latency was not: the model's operations could not be counted without its data"
        return None if self._prepared.speed else "latency was not: the run did not keep the machine's speed"

    def of(self, recipe: Recipe) -> ForetoldFigures:
        """One recipe's figures; no latency where its work is not known, or the run did not keep the machine's speed."""
        known, size_bytes = self._prepared, self._sizes.of(recipe).n_bytes
        memory = rough_ram_bytes(recipe, known.facts, size_bytes, self._device)
        latency = rough_latency_ms(recipe, known.facts, known.call_flops, known.speed) if known.speed else None
        return ForetoldFigures(size_bytes, memory, latency)

    def memory_of(self, measured: Measurement) -> float | None:
        """The measured figure that the foretold memory is of."""
        if self._device == "cuda":
            return measured.vram.allocator_peak_bytes if measured.vram else None
        return measured.ram.peak_bytes if measured.ram else None

    def plain(self, recipe: Recipe) -> dict[str, Any]:
        """As JSON data; spans are pairs."""
        figures = self.of(recipe)
        return {
            "size_bytes": round(figures.size_bytes),
            "memory_bytes": [round(end) for end in figures.memory_bytes],
            "latency_ms": list(figures.latency_ms) if figures.latency_ms else None,
        }

    def words(self, record: TrialRecord) -> str:
        """What was foretold of a trial, beside what was measured."""
        figures, measured = self.of(record.recipe), record.measurement or Measurement()
        memory, latency = figures.memory_bytes, figures.latency_ms
        told = [
            _beside(f"{megabytes(figures.size_bytes)} MB", _scaled(measured.size_bytes, 1e6)),
            _beside(f"{_span(memory, 1e6)} MB of memory", _scaled(self.memory_of(measured), 1e6)),
        ]
        if latency is not None:
            p50_ms = measured.latency.p50_ms if measured.latency else None
            told.append(_beside(f"{_span(latency)} ms a call", p50_ms))
        elif self.why_no_latency:
            told.append(self.why_no_latency)
        return f"Foretold before it ran: {', '.join(told)}."


def foreteller(prepared: Prepared | None, device: str) -> Foreteller | None:
    """None where nothing was foretold: model and data were not read yet, or by a version that knew less of a model."""
    return Foreteller(prepared, device) if prepared and prepared.facts.tensors else None


def errors_in_words(records: Iterable[TrialRecord], foretell: Foreteller) -> str | None:
    """The median and the largest error over the measured trials, as a sentence; None where nothing was measured."""
    measured = [(foretell.of(record.recipe), found) for record in records if (found := record.measurement)]
    sizes = [(figures.size_bytes, found.size_bytes) for figures, found in measured if found.size_bytes]
    memories = [
        (figures.memory_bytes.middle, memory) for figures, found in measured if (memory := foretell.memory_of(found))
    ]
    latencies = [
        (figures.latency_ms.middle, found.latency.p50_ms)
        for figures, found in measured
        if found.latency and figures.latency_ms
    ]
    if not sizes:
        return None
    told = [f"size off by {_errors(sizes)}"]
    if memories:
        told.append(f"memory off by {_errors(memories)}")
    if latencies:
        told.append(f"latency by a factor of {_factors(latencies)}")
    elif foretell.why_no_latency:
        told.append(foretell.why_no_latency)
    over = f"{len(measured)} trial{'' if len(measured) == 1 else 's'}"
    return f"Foretold before anything ran, over {over}: {'; '.join(told)}."


def _errors(pairs: Sequence[tuple[float, float]]) -> str:
    errors = [abs(foretold / measured - 1) for foretold, measured in pairs]
    return f"{percent(median(errors))} (median), {percent(max(errors))} at most"


def _factors(pairs: Sequence[tuple[float, float]]) -> str:
    factors = [max(foretold / measured, measured / foretold) for foretold, measured in pairs]
    return f"{significant(median(factors), 2)} (median), {significant(max(factors), 2)} at most"


def _scaled(value: float | None, unit: float) -> float | None:
    return value / unit if value else None


def _span(span: Rough, unit: float = 1.0) -> str:
    return f"{significant(span.low / unit, 2)} to {significant(span.high / unit, 2)}"


def _beside(foretold: str, measured: float | None) -> str:
    return f"{foretold} ({significant(measured)} measured)" if measured else foretold
