"""The models that searches in a runs folder were about, latest first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autocompress.runs import RunFolder

MOST_SHOWN = 8
MOST_READ = 60
"""Of so many latest runs the specs are read; all of a folder of thousands would take seconds."""


@dataclass(frozen=True, slots=True)
class RecentModel:
    """A model that a run was about, with that run's spec."""

    run: str
    path: str
    data: str
    when: float
    spec: Mapping[str, Any]


def recent_models(root: Path) -> list[RecentModel]:
    """Each model once, with the data it was last searched with; broken specs are passed over."""
    found: dict[str, RecentModel] = {}
    for run in RunFolder.all(root)[:MOST_READ]:
        spec = _read(run.spec)
        model = spec.get("model")
        path = str(model.get("path") or "") if isinstance(model, dict) else ""
        if path and path not in found:
            found[path] = RecentModel(run.name, path, _told_data(spec.get("data")), run.spec.stat().st_mtime, spec)
        if len(found) == MOST_SHOWN:
            break
    return list(found.values())


def architecture_of(folder: Path) -> str | None:
    """What kind of model a folder holds, as its ``config.json`` says; None where it holds none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else config.get("model_type")
    return str(first or "a model")


def weight_bytes(folder: Path) -> int | None:
    """Bytes of a model folder's weights; None where there are none."""
    try:
        files = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
        return sum(file.stat().st_size for file in files) if files else None
    except OSError:
        return None


def _read(spec: Path) -> Mapping[str, Any]:
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        plain = yaml.load(spec.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - the safe loader, in C
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return plain if isinstance(plain, dict) else {}


def _told_data(data: object) -> str:
    if not isinstance(data, dict):
        return ""
    return str(data.get("path") or data.get("search") or "")
