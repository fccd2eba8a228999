"""What ``doctor`` looks at; nothing heavy is imported for it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from autocompress import registry
from autocompress.runs import runs_root
from autocompress.stage_cache import cache_root

LEAST_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: Literal["ok", "note", "problem"]
    message: str
    remedy: str | None = None


def check_machine() -> list[Finding]:
    """Everything that may keep a search from working here."""
    return [_machine(), _device(), *_packages(), *_conflicts(), *_formats(), _energy(), *_disks()]


def _machine() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0))
    return Finding(
        "machine",
        "ok",
        f"{cores} cores, {memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB memory free, "
        f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}",
    )


def _device() -> Finding:
    from autocompress.measure.environment import environment

    here = environment("cuda", 1)
    if here.driver:
        return Finding("GPU", "ok", f"{here.gpu}, driver {here.driver}")
    return Finding("GPU", "note", "none found: searches run with --device cpu, VRAM is not measured")


def _energy() -> Finding:
    from autocompress.measure.energy_meters import NoEnergyMeter, energy_meter
    from autocompress.measure.nvml import why_no_device

    try:
        with energy_meter("cpu" if why_no_device() else "cuda") as meter:
            return Finding("energy", "ok", f"by {meter.source}")
    except NoEnergyMeter as problem:
        return Finding("energy", "note", f"is not measured: {problem}")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _packages() -> list[Finding]:
    """Every requirement of this package, extras included, against what is installed."""
    findings = []
    seen: set[str] = set()
    for line in requires("autocompress") or []:
        requirement = Requirement(line)
        wanted = f"{requirement.name}{requirement.specifier}"
        if wanted in seen:  # an extra repeats the lines of those that it contains
            continue
        seen.add(wanted)
        if requirement.name == "autocompress" or (requirement.marker and "dev" in str(requirement.marker)):
            continue
        found = _installed(requirement.name)
        optional = requirement.marker is not None and "extra" in str(requirement.marker)
        if found is None and not optional:
            findings.append(
                Finding(requirement.name, "problem", "is not installed", f"pip install '{requirement.name}'")
            )
        elif found is not None and not requirement.specifier.contains(found, prereleases=True):
            remedy = f"pip install '{wanted}'"
            state: Literal["note", "problem"] = "note" if optional else "problem"
            message = f"{found} is outside {requirement.specifier}" + (", which an extra needs" if optional else "")
            findings.append(Finding(requirement.name, state, message, remedy))
    told = ", ".join(
        f"{name} {found}"
        for name in ("torch", "transformers", "optuna", "onnxruntime", "openvino")
        if (found := _installed(name))
    )
    return [*findings, Finding("packages", "ok", told)]


def _conflicts() -> list[Finding]:
    findings = []
    if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
        findings.append(
            Finding(
                "onnxruntime",
                "problem",
                "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files",
                "pip uninstall -y onnxruntime onnxruntime-gpu, then install one: pip install 'autocompress[cpu]'",
            )
        )
    if _installed("torchvision"):
        findings.append(
            Finding(
                "torchvision",
                "note",
                "is installed; a build that does not match torch breaks image models in transformers",
                "If image models fail to load: pip uninstall -y torchvision",
            )
        )
    return findings


def _formats() -> list[Finding]:
    findings = []
    for name, kind in sorted(registry.load_all("formats").items()):
        missing = kind().unavailable("cpu")
        if missing is None:
            findings.append(Finding(f"format {name}", "ok", "available"))
        else:
            findings.append(Finding(f"format {name}", "note", missing.reason, missing.install))
    return findings


def _disks() -> list[Finding]:
    findings = []
    for subject, folder in (("runs", runs_root()), ("cache", cache_root())):
        existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        free_bytes = shutil.disk_usage(existing).free
        used_bytes = _bytes_in(folder)
        told = f"{folder}: {used_bytes / 1e6:.0f} MB used, {free_bytes / 1e9:.1f} GB free"
        if free_bytes < LEAST_FREE_BYTES:
            findings.append(Finding(subject, "problem", told, "Free disk space."))
        else:
            findings.append(Finding(subject, "ok", told))
    return findings


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
