"""A first look at a model and its data: what they are, what can be done here, and what a trial takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autocompress import registry
from autocompress.data.columns import column_names
from autocompress.data.rows import Rows
from autocompress.data.source import read_source
from autocompress.errors import DataError, SpecError
from autocompress.formats.base import Format
from autocompress.jobs import Prepared, Progress, StageBegan, StageEnded, StageMoved
from autocompress.objectives import vram_bytes
from autocompress.recipe import Step
from autocompress.records import Measurement
from autocompress.search.bench import Bench
from autocompress.search.preflight import check_data, require_device
from autocompress.space import SearchSpace
from autocompress.spec import SearchSpec
from autocompress.tasks.base import Role, Task
from autocompress.tasks.detection import find_task

Tell = Callable[[dict[str, Any]], None]
"""Called with each finding as plain data; ``kind`` says what it is."""

N_SHOWN_ROWS = 3
LONGEST_CELL = 80
MOST_COLUMNS_SHOWN = 50
SUGGESTED_SIZE = "0.5x"
STEPS = {
    "find task": "looking at the model",
    "look at data": "looking at the data",
    "load model": "loading the model",
    "read data": "preparing the data",
    "load model again": "loading the model again",
    "export": "writing the original",
    "latency": "timing the original",
    "quality": "judging the original",
    "memory": "measuring its memory",
}


class _Steps:
    """Tells how far the look is: whole steps, and the share of the one that runs."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._names = list(STEPS)
        self._running = ""

    def begin(self, name: str) -> None:
        if name == "load model" and self._running in ("read data", "load model again"):
            name = "load model again"
        self._running = name
        self._say(0.0)

    def follow(self, message: Progress) -> None:
        """Tell a child's progress."""
        match message:
            case StageBegan():
                self.begin(message.stage)
            case StageMoved() if message.total:
                self._say(message.done / message.total)
            case StageEnded():
                self._say(1.0)

    def _say(self, share: float) -> None:
        if self._running in STEPS:
            done = round(self._names.index(self._running) + share, 3)
            self._tell({"kind": "step", "text": STEPS[self._running], "done": done, "total": len(STEPS)})


def probe(spec: SearchSpec, tell: Tell) -> None:
    """Look at what a search would be about, without leaving anything behind.

    Args:
        spec: model, data, device and threads.
        tell: takes ``step``, ``data``, ``formats``, ``methods``, ``baseline`` and ``suggestion``.

    Raises:
        AutocompressError: the model or the data cannot be used, or this machine lacks something.
    """
    steps = _Steps(tell)
    steps.begin("find task")
    require_device(spec.device)
    task = find_task(spec.model)
    formats = {name: kind() for name, kind in sorted(registry.load_all("formats").items())}
    tell(_told_formats(formats, spec.device))
    steps.begin("look at data")
    tell(_told_data(spec, task))
    check_data(spec.model, spec.data, task, spec.seed)
    with Bench(spec, steps.follow) as bench:
        prepared = bench.prepared
        tell(_told_methods(spec, prepared, formats))
        started = time.monotonic()
        _, measured = bench.original
        seconds = time.monotonic() - started
    tell(_told_baseline(prepared, measured, seconds))
    constraints = {
        "quality_drop": "1pp" if prepared.metric_is_rate else "1%",
        "size": SUGGESTED_SIZE,
        "latency": None,
        "ram": None,
        "vram": None,
    }
    tell({"kind": "suggestion", "constraints": constraints, "seconds_per_trial": round(seconds, 1)})


def _told_formats(formats: dict[str, Format], device: str) -> dict[str, Any]:
    items = []
    for name, format_ in formats.items():
        missing = format_.unavailable(device)
        items.append(
            {
                "name": name,
                "summary": format_.summary,
                "available": missing is None,
                "reason": missing.reason if missing else None,
                "install": missing.install if missing else None,
                "searched": format_.searched,
            }
        )
    return {"kind": "formats", "items": items}


def _told_data(spec: SearchSpec, task: Task) -> dict[str, Any]:
    if not task.needs_data:
        return {"kind": "data", "columns": {}, "samples": [], "n_rows": None, "found": [], "cells": {}}
    source = (spec.data.path or spec.data.search) if spec.data else None
    if spec.data is None or source is None:
        roles = ", ".join(role.name for role in task.roles)
        raise SpecError(f"the task {task.name} needs data ({roles})", remedy="Give it with --data PATH.")
    table = read_source(source, spec.data)
    columns = {role.name: _column_of(role, table, spec.data.columns) for role in task.roles}
    known = {role: table.columns[name] for role, name in columns.items() if name is not None}
    n_rows = min(map(len, known.values() or table.columns.values()), default=0)
    n_shown = min(N_SHOWN_ROWS, n_rows)
    found = list(table.columns)
    return {
        "kind": "data",
        "columns": columns,
        "samples": [{role: _shown(cells[row]) for role, cells in known.items()} for row in range(n_shown)],
        "n_rows": n_rows,
        "found": found,
        "cells": {
            name: [_shown(cell) for cell in table.columns[name][:n_shown]] for name in found[:MOST_COLUMNS_SHOWN]
        },
    }


def _column_of(role: Role, table: Rows, given: Mapping[str, str]) -> str | None:
    """The column that plays a role; None where none could be guessed, which `check_data` refuses with the reason."""
    try:
        return column_names(table, [role], given)[role.name]
    except DataError:
        return None


def _shown(cell: Any) -> str:
    """A cell on one short line."""
    if isinstance(cell, np.ndarray) and cell.ndim:
        return f"{' × '.join(map(str, cell.shape))} {cell.dtype}"
    if isinstance(cell, Path):
        return cell.name
    if isinstance(cell, dict):
        return f"{', '.join(map(str, cell))}"
    text = " ".join(str(cell).split())
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def _told_methods(spec: SearchSpec, prepared: Prepared, formats: dict[str, Format]) -> dict[str, Any]:
    kinds = registry.load_all("methods")
    usable = {n: format_ for n, format_ in formats.items() if format_.unavailable(spec.device) is None}
    space = SearchSpace(kinds, usable, prepared.facts, spec.device, spec.seed)
    ordered: Sequence[Any] = sorted(kinds.values(), key=lambda kind: (kind.phase, kind.tag))
    items = []
    for kind in ordered:
        reason = space.why_not(kind)
        items.append(
            {
                "name": kind.tag,
                "summary": kind.summary,
                "phase": kind.phase.name.lower(),
                "available": reason is None,
                "reason": reason,
                "trains": kind.needs_training,
                "training_samples": _training_samples(kind),
            }
        )
    return {"kind": "methods", "items": items}


def _training_samples(kind: type[Step]) -> int | None:
    """How many samples a method trains on with its default knobs; None where it trains on none, or in its own way."""
    knobs = kind.model_fields
    if not kind.needs_training or not {"steps", "batch_size"} <= set(knobs):
        return None
    return int(knobs["steps"].default * knobs["batch_size"].default)


def _told_baseline(prepared: Prepared, measured: Measurement, seconds: float) -> dict[str, Any]:
    quality, latency = measured.quality, measured.latency
    return {
        "kind": "baseline",
        "task": prepared.facts.task,
        "architecture": prepared.facts.architecture,
        "n_parameters": prepared.facts.n_parameters,
        "n_samples": prepared.n_samples,
        "metric": prepared.metric,
        "metric_is_rate": prepared.metric_is_rate,
        "higher_is_better": prepared.higher_is_better,
        "value": quality.value if quality else None,
        "size_bytes": measured.size_bytes,
        "p50_ms": latency.p50_ms if latency else None,
        "ram_bytes": measured.ram.peak_bytes if measured.ram else None,
        "vram_bytes": vram_bytes(measured),
        "seconds": round(seconds, 1),
    }
