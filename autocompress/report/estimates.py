"""What is foretold of a search, as a table and as plain data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from autocompress.estimates import Estimates, Foretold, Span
from autocompress.outline import EXACT_ERROR, EXPECTED_ERROR
from autocompress.recipe_words import recipe_in_words, step_label
from autocompress.report.numbers import NOT_MEASURED, megabytes, milliseconds, ratio, seconds_between
from autocompress.rounding import significant
from autocompress.spec import Constraints

if TYPE_CHECKING:
    from rich.table import Table

MEMORY = {"cpu": "≈RAM MB", "cuda": "≈VRAM MB"}


def estimates_table(estimates: Estimates, constraints: Constraints) -> Table:
    """A row for the original and for each known-good recipe, the limits that rule it out in words."""
    from rich.table import Table

    table = Table(
        title=f"{estimates.architecture}, {estimates.n_parameters:,} parameters: known-good recipes, foretold"
    )
    table.add_column("", no_wrap=True)
    table.add_column("method", ratio=1)
    table.add_column("format")
    for header in ("MB", "size", MEMORY[estimates.device], "≈ms a call"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("limits")
    table.add_row(*_cells("◎", "original", estimates.original, estimates, constraints))
    for one in estimates.recipes:
        name = recipe_in_words(one.recipe) if one.recipe.steps else "export only"
        row = _cells("✗" if one.breaks else "?" if one.may_break else "✓", name, one, estimates, constraints)
        table.add_row(*row, style="dim" if one.breaks else None)
    return table


def estimates_in_words(estimates: Estimates) -> tuple[str, ...]:
    """What holds for the whole search, and how sure the figures are."""
    duration = seconds_between(estimates.seconds.low, estimates.seconds.high)
    unsure = ("? marks recipes of which only measuring tells whether they keep the limits.",)
    no_latency = ("Latency is not foretold: the model's operations could not be counted without its data.",)
    return (
        *(() if estimates.original.latency_ms else no_latency),
        *(unsure if any(one.may_break and not one.breaks for one in estimates.recipes) else ()),
        f"A search of {estimates.trials} trials takes about {duration}, and on disk at its peak "
        f"about {_megabytes(estimates.disk_bytes)} MB (rough).",
        f"Sizes are arithmetic over the weights' shapes, to {EXACT_ERROR:.0%}; ~ marks those that the weights' values "
        f"decide too, to {EXPECTED_ERROR:.0%}.",
        "Memory and time (≈) are rough, from rules of thumb and this machine's speed now: "
        f"{significant(estimates.flops_per_second / 1e9)} GFLOP/s, "
        f"{significant(estimates.bytes_per_second / 1e9)} GB/s. No weights were read.",
    )


def estimates_plain(estimates: Estimates) -> dict[str, Any]:
    """As JSON data; which of the figures are rough is said beside them."""
    plain = estimates.model_dump(mode="json")
    items = (plain["original"], *plain["recipes"])
    for one, foretold in zip(items, (estimates.original, *estimates.recipes), strict=True):
        one["method"] = one["recipe"]["steps"]
        one["size_is_exact"] = one["size_error"] is not None and one["size_error"] <= EXACT_ERROR
        one["labels"] = [step_label(step) for step in foretold.recipe.steps]
        if not math.isfinite(one["size_error"] if one["size_error"] is not None else math.inf):
            one["size_error"] = None
    return {**plain, "rough": ["ram_bytes", "latency_ms", "seconds", "disk_bytes"]}


def _cells(glyph: str, name: str, one: Foretold, estimates: Estimates, constraints: Constraints) -> tuple[str, ...]:
    sure = "" if one.size_error <= EXACT_ERROR else "~"
    return (
        glyph,
        name,
        one.recipe.format,
        f"{sure}{megabytes(one.size_bytes)}",
        ratio(one.size_bytes / estimates.original.size_bytes),
        _megabytes(one.ram_bytes),
        f"{milliseconds(one.latency_ms.low)}–{milliseconds(one.latency_ms.high)}" if one.latency_ms else NOT_MEASURED,
        "; ".join(
            [f"{name} over {_written(constraints, name)}" for name in one.breaks]
            + [f"{name} may be over {_written(constraints, name)}" for name in one.may_break]
        ),
    )


def _written(constraints: Constraints, name: str) -> str:
    limit = getattr(constraints, name)
    return str(limit.written)


def _megabytes(span: Span) -> str:
    return f"{significant(span.low / 1e6, 2)}–{significant(span.high / 1e6, 2)}"
