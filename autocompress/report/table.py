"""The result table: one row a trial, for terminals, Markdown, spreadsheets and programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from autocompress import objectives
from autocompress.frozen import Frozen
from autocompress.records import EnergySource, Estimate, Status, TrialRecord
from autocompress.report.numbers import GIVEN_UP, NOT_MEASURED, joules, megabytes, metric, milliseconds, ratio, signed
from autocompress.report.results import Results
from autocompress.report.words import energy_source_in_words, method_in_words

if TYPE_CHECKING:
    from rich.table import Table


class Standing(StrEnum):
    """How a trial stands in the run."""

    ORIGINAL = "original"
    FRONT = "front"
    FEASIBLE = "feasible"
    VIOLATES = "violates"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RUNNING = "running"


GLYPHS = {
    Standing.ORIGINAL: "◎",
    Standing.FRONT: "★",
    Standing.FEASIBLE: "✓",
    Standing.VIOLATES: "✗",
    Standing.UNSUPPORTED: "⊘",
    Standing.FAILED: "!",
    Standing.CANCELLED: "○",
    Standing.RUNNING: "…",
}
LEGEND = {
    Standing.ORIGINAL: "the original",
    Standing.FRONT: "on the front",
    Standing.FEASIBLE: "inside the limits",
    Standing.VIOLATES: "breaks a limit",
    Standing.UNSUPPORTED: "cannot be done",
    Standing.FAILED: "failed",
    Standing.CANCELLED: "cancelled",
    Standing.RUNNING: "running",
}


class ResultRow(Frozen):
    """One trial's figures; None means not measured.

    ``quality_drop`` is positive where the candidate is worse, in the metric's own unit.
    """

    trial: int
    standing: Standing
    status: Status
    best: bool
    method: str
    format: str
    device: Literal["cpu", "cuda"] | None
    size_bytes: int | None
    size_ratio: float | None
    latency_ms: float | None
    speedup: Estimate | None
    contended: bool | None
    ram_bytes: int | None
    vram_bytes: int | None
    joules_per_sample: float | None
    energy_ratio: Estimate | None
    energy_source: EnergySource | None
    metric: str | None
    quality: float | None
    quality_drop: Estimate | None
    quality_part: Literal["search", "holdout"] | None
    n_samples: int | None
    cut_short: str | None
    violations: dict[str, float]
    message: str | None


def standing(record: TrialRecord, results: Results) -> Standing:
    """How a trial stands in the run."""
    match record.status:
        case Status.RUNNING:
            return Standing.RUNNING
        case Status.UNSUPPORTED:
            return Standing.UNSUPPORTED
        case Status.CANCELLED:
            return Standing.CANCELLED
        case Status.COMPLETE if record.number == results.baseline.number:
            return Standing.ORIGINAL
        case Status.COMPLETE if record.number in results.front:
            return Standing.FRONT
        case Status.COMPLETE:
            return Standing.FEASIBLE if record.feasible else Standing.VIOLATES
        case _:
            return Standing.FAILED


def result_rows(results: Results) -> tuple[ResultRow, ...]:
    """One row a trial, in order of number."""
    return tuple(_row(record, results) for record in results.records)


def _row(record: TrialRecord, results: Results) -> ResultRow:
    figures = record.measurement
    latency = figures.latency if figures else None
    quality = figures.quality if figures else None
    energy, joules_per_sample = results.energies.get(record.number), _joules_per_sample(record, results)
    on_device = latency is not None and latency.clock == "device_events"
    return ResultRow(
        trial=record.number,
        standing=standing(record, results),
        status=record.status,
        best=record.number == results.best,
        method=method_in_words(record, results),
        format=record.recipe.format,
        device=("cuda" if on_device else "cpu") if latency else None,
        size_bytes=figures.size_bytes if figures else None,
        size_ratio=objectives.size_ratio(record, results.baseline),
        latency_ms=latency.p50_ms if latency else None,
        speedup=latency.speedup if latency else None,
        contended=latency.contended if latency else None,
        ram_bytes=figures.ram.peak_bytes if figures and figures.ram else None,
        vram_bytes=objectives.vram_bytes(figures) if figures else None,
        joules_per_sample=joules_per_sample,
        energy_ratio=energy.ratio if energy else None,
        energy_source=next(iter(results.energies.values())).source if joules_per_sample is not None else None,
        metric=quality.metric if quality else None,
        quality=quality.value if quality else None,
        quality_drop=quality.drop if quality else None,
        quality_part=quality.part if quality else None,
        n_samples=quality.n_samples if quality else None,
        cut_short=figures.cut_short if figures else None,
        violations=record.violations,
        message=record.error.message if record.error else None,
    )


def _joules_per_sample(record: TrialRecord, results: Results) -> float | None:
    """A finalist's own; the original's as it was beside the first of them."""
    if record.number in results.energies:
        return results.energies[record.number].joules_per_sample.value
    if record.number != results.baseline.number or not results.energies:
        return None
    return next(iter(results.energies.values())).original_joules_per_sample.value


@dataclass(frozen=True)
class Column:
    """A column of the table as people see it; ``sheds`` orders what a narrow terminal leaves out first."""

    header: str
    cell: Callable[[ResultRow], str]
    numeric: bool = True
    sheds: int | None = None


def columns(results: Results, rows: Sequence[ResultRow]) -> tuple[Column, ...]:
    """The columns that these rows need: one for each device that anything was timed on, energy where it is known."""
    is_rate = results.metric_is_rate
    name = next((row.metric for row in rows if row.metric), "quality")
    devices = sorted({row.device for row in rows if row.device}) or ["cpu"]
    unit = " pp" if is_rate else ""
    return (
        Column("", lambda row: GLYPHS[row.standing], numeric=False),
        Column("trial", lambda row: f"{row.trial}{'←' if row.best else ''}"),
        Column("method", lambda row: row.method, numeric=False),
        Column("format", lambda row: row.format, numeric=False, sheds=7),
        Column("MB", lambda row: megabytes(row.size_bytes), sheds=5),
        Column("size", lambda row: ratio(row.size_ratio)),
        *(_latency_column(device) for device in devices),
        Column("speed", lambda row: ratio(row.speedup.value if row.speedup else None)),
        Column("RAM MB", lambda row: megabytes(row.ram_bytes), sheds=2),
        Column("VRAM MB", lambda row: megabytes(row.vram_bytes), sheds=1),
        *(ENERGY_COLUMNS if any(row.joules_per_sample is not None for row in rows) else ()),
        Column(name, lambda row: metric(row.quality, is_rate=is_rate), sheds=6),
        Column(
            f"drop{unit}",
            lambda row: _drop(row, is_rate=is_rate),
        ),
    )


def _drop(row: ResultRow, *, is_rate: bool) -> str:
    if row.quality_drop is None:
        return NOT_MEASURED
    return signed(row.quality_drop.value, points=is_rate) + (GIVEN_UP if row.cut_short else "")


ENERGY_COLUMNS = (
    Column("J", lambda row: joules(row.joules_per_sample), sheds=4),
    Column("energy", lambda row: ratio(row.energy_ratio.value if row.energy_ratio else None), sheds=4),
)


def _latency_column(device: str) -> Column:
    def cell(row: ResultRow) -> str:
        if row.device != device:
            return NOT_MEASURED
        return milliseconds(row.latency_ms) + ("~" if row.contended else "")

    return Column("CPU ms" if device == "cpu" else "GPU ms", cell, sheds=3)


def legend(rows: Sequence[ResultRow]) -> str:
    """What the signs in these rows mean, on one line."""
    shown = {row.standing for row in rows}
    parts = [f"{glyph} {LEGEND[kind]}" for kind, glyph in GLYPHS.items() if kind in shown]
    if any(row.best for row in rows):
        parts.append("← the best")
    if any(row.contended for row in rows):
        parts.append("~ timed on a busy machine")
    if any(row.cut_short for row in rows):
        parts.append(f"{GIVEN_UP} given up after some of the samples")
    sources = sorted({row.energy_source for row in rows if row.energy_source})
    parts += [f"J of one sample: {energy_source_in_words(source)}" for source in sources]
    left_out = any(row.status is Status.COMPLETE and row.ram_bytes is None for row in rows)
    why = " (memory: of the front at the end, or of all where it is limited)" if left_out else ""
    return " · ".join([*parts, f"{NOT_MEASURED} not measured{why}"])


def markdown_table(results: Results) -> str:
    """The table in GitHub's Markdown, with its legend below."""
    rows = result_rows(results)
    shown = columns(results, rows)
    lines = [
        _markdown_line([column.header for column in shown]),
        _markdown_line(["---:" if column.numeric else "---" for column in shown]),
        *(_markdown_line([_markdown_cell(column, row) for column in shown]) for row in rows),
    ]
    return "\n".join([*lines, "", legend(rows), ""])


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(column: Column, row: ResultRow) -> str:
    text = " ".join(column.cell(row).replace("|", "\\|").split())
    return f"**{text}**" if row.best and text and column.header else text


def csv_table(results: Results) -> str:
    """The figures in full as comma-separated values; an empty cell was not measured."""
    stream = io.StringIO()
    rows = [_flat(row) for row in json_rows(results)]
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else ["trial"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Intervals as columns of their own, violations as one text."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("speedup", "energy_ratio", "quality_drop"):
            parts = value or {}
            flat |= {name: parts.get("value"), f"{name}_low": parts.get("low"), f"{name}_high": parts.get("high")}
        elif name == "violations":
            flat[name] = " ".join(f"{limit}={excess:.4g}" for limit, excess in value.items())
        else:
            flat[name] = value
    return flat


def json_rows(results: Results) -> list[dict[str, Any]]:
    """The figures in full as plain data; null was not measured."""
    return [row.model_dump(mode="json") for row in result_rows(results)]


STYLES = {
    Standing.ORIGINAL: "cyan",
    Standing.FRONT: "green",
    Standing.FEASIBLE: "",
    Standing.VIOLATES: "yellow",
    Standing.UNSUPPORTED: "dim",
    Standing.FAILED: "red",
    Standing.CANCELLED: "dim",
    Standing.RUNNING: "dim",
}


def rich_table(results: Results, width: int = 120) -> Table:
    """The table for a terminal of so many columns; what does not fit is left out, memory first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = result_rows(results)
    shown = _fitting(columns(results, rows), rows, width)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, caption=legend(rows))
    table.caption_justify = "left"
    for column in shown:
        numbers: Literal["right", "left"] = "right" if column.numeric else "left"
        table.add_column(column.header, justify=numbers, no_wrap=column.header != "method", overflow="fold")
    for row in rows:
        style = f"bold {STYLES[row.standing]}" if row.best else STYLES[row.standing]
        table.add_row(*(Text(column.cell(row)) for column in shown), style=style)
    return table


SHORTEST_METHOD = 24


def _fitting(shown: tuple[Column, ...], rows: Sequence[ResultRow], width: int) -> tuple[Column, ...]:
    """Leave out columns until the rest fits beside a method column of readable width."""
    kept = list(shown)
    for column in sorted((c for c in shown if c.sheds), key=lambda c: c.sheds or 0):
        needed = sum(_width(c, rows) for c in kept) + 2 * (len(kept) - 1)
        if needed <= width:
            break
        kept.remove(column)
    return tuple(kept)


def _width(column: Column, rows: Sequence[ResultRow]) -> int:
    widest = max([len(column.header), *(len(column.cell(row)) for row in rows)])
    return min(widest, SHORTEST_METHOD) if column.header == "method" else widest
