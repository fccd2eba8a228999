"""Prepared samples on disk, so that a trial need not tokenise, resample or decode the data again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autocompress.tasks.base import Sample

_TARGETS = "targets"


def save_samples(samples: Sequence[Sample], path: Path) -> None:
    """Write samples as one safetensors file: ``<index>/input/<name>`` arrays; targets as JSON or ``<index>/target``."""
    from safetensors.numpy import save_file

    arrays: dict[str, Any] = {}
    plain: list[Any] = []
    for index, sample in enumerate(samples):
        for name, array in sample.inputs.items():
            arrays[f"{index}/input/{name}"] = np.asarray(array, order="C")
        if isinstance(sample.target, np.ndarray):
            arrays[f"{index}/target"] = np.asarray(sample.target, order="C")
            plain.append(None)
        else:
            plain.append(sample.target.item() if isinstance(sample.target, np.generic) else sample.target)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path, metadata={_TARGETS: json.dumps(plain)})


def load_samples(path: Path) -> list[Sample]:
    """The samples that `save_samples` wrote, in order."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as stored:
        plain = json.loads(stored.metadata()[_TARGETS])
        inputs: list[dict[str, Any]] = [{} for _ in plain]
        for key in stored.keys():  # noqa: SIM118 - no mapping, but a file handle
            index, kind, *name = key.split("/", 2)
            if kind == "input":
                inputs[int(index)][name[0]] = stored.get_tensor(key)
            else:
                plain[int(index)] = stored.get_tensor(key)
    return [Sample(inputs=given, target=target) for given, target in zip(inputs, plain, strict=True)]
