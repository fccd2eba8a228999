"""Measure a compressed model again, and say which of its recipe's figures hold."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autocompress.errors import RecipeError
from autocompress.jobs import ALL_FIGURES, Progress
from autocompress.recipe_file import Measured, MeasuredEnergy, RecipeFile
from autocompress.records import Estimate, Measurement, describe_files
from autocompress.search.apply import bench_for
from autocompress.spec import DataSpec, Device, ModelSpec

RAM_TOLERANCE = 0.15
"""Peak memory of equal processes differs by this share between machines and allocator moods."""


SPEEDUP_TOLERANCE = 0.1
"""A speed-up's interval says how sure it is inside one process. Another process lays its memory out otherwise: the same
files differed by a twentieth between six processes on a shared machine, and by a ninth once while it was busy."""


@dataclass(frozen=True)
class Check:
    """One figure: as recorded, as measured now, and whether it holds (None: nothing to compare)."""

    figure: str
    recorded: str
    measured: str
    holds: bool | None


def verify(
    document: RecipeFile,
    artifact: Path | None,
    *,
    model: ModelSpec,
    data: DataSpec | None,
    device: Device,
    threads: int,
    on_progress: Callable[[Progress], None],
) -> list[Check]:
    """Measure the artifact in a folder, or when None what the recipe builds, and compare with the recorded figures.

    Raises:
        RecipeError: the recipe records no figures, or files are missing.
    """
    recorded = document.measured
    if recorded is None:
        raise RecipeError("records no figures to verify", where="measured", remedy="Use `autocompress search`.")
    with (
        bench_for(document, model, data, device, threads, on_progress) as bench,
        tempfile.TemporaryDirectory(prefix="autocompress-verify-") as temporary,
    ):
        folder = artifact
        if folder is None:
            folder = Path(temporary) / "artifact"
            bench.build(document.recipe, folder)
        files = _files(document, folder, built=artifact is None)
        figures = bench.measure(document.export.format, folder, files, ALL_FIGURES)
        return [_digest_check(document, folder, files), *_figure_checks(recorded, figures)]


def _files(document: RecipeFile, folder: Path, *, built: bool) -> tuple[str, ...]:
    """Relative paths of the files that count."""
    if built or document.artifact is None:
        return tuple(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()))
    names = tuple(file.path for file in document.artifact.files)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise RecipeError(f"the file {missing[0]} is missing", where=str(folder), remedy="Apply the recipe again.")
    return names


def _digest_check(document: RecipeFile, folder: Path, files: tuple[str, ...]) -> Check:
    described = describe_files(folder, [folder / name for name in files])
    recorded = {file.path: file.sha256 for file in document.artifact.files} if document.artifact else None
    now = {file.path: file.sha256 for file in described}
    if recorded is None:
        return Check("files", "not recorded", f"{len(now)} files", None)
    changed = sorted(name for name in recorded | now if recorded.get(name) != now.get(name))
    told = f"{', '.join(changed)} differ" if changed else "the same bytes"
    return Check("files", f"{len(recorded)} files", told, not changed)


def _figure_checks(recorded: Measured, figures: Measurement) -> list[Check]:
    checks = []
    if recorded.size_bytes is not None and figures.size_bytes is not None:
        same = recorded.size_bytes == figures.size_bytes
        checks.append(Check("size", f"{recorded.size_bytes:,} bytes", f"{figures.size_bytes:,} bytes", same))
    if recorded.quality is not None and figures.quality is not None:
        before, now = recorded.quality, figures.quality
        checks.append(Check(before.metric, f"{before.value:.4f}", f"{now.value:.4f}", _overlap(before.drop, now.drop)))
    if recorded.latency is not None and figures.latency is not None:
        old, new = recorded.latency.speedup, figures.latency.speedup
        checks.append(Check("speedup", _told(old), _told(new), _overlap(old, new, tolerance=SPEEDUP_TOLERANCE)))
    if recorded.ram_bytes is not None and figures.ram is not None:
        peak = figures.ram.peak_bytes
        close = abs(peak / recorded.ram_bytes - 1) <= RAM_TOLERANCE
        checks.append(Check("ram", f"{recorded.ram_bytes / 1e6:.1f} MB", f"{peak / 1e6:.1f} MB", close))
    if recorded.energy is not None or figures.energy is not None:
        checks.append(_energy_check(recorded.energy, figures))
    return checks


def _energy_check(recorded: MeasuredEnergy | None, figures: Measurement) -> Check:
    """What two sources say of energy is not compared."""
    now = figures.energy
    before = f"{_told(recorded.ratio)} ({recorded.source})" if recorded else "not recorded"
    if now is None:
        return Check("energy", before, f"not measured: {figures.why_no_energy}", None)
    same = recorded is not None and recorded.source == now.source
    holds = _overlap(recorded.ratio, now.ratio, tolerance=SPEEDUP_TOLERANCE) if recorded and same else None
    return Check("energy", before, f"{_told(now.ratio)} ({now.source})", holds)


def _overlap(one: Estimate, other: Estimate, tolerance: float = 0.0) -> bool:
    """Whether the intervals meet; ``tolerance`` widens the first by that share of its bounds."""
    return one.low * (1 - tolerance) <= other.high and other.low <= one.high * (1 + tolerance)


def _told(estimate: Estimate) -> str:
    return f"{estimate.value:.2f}× [{estimate.low:.2f}, {estimate.high:.2f}]"
