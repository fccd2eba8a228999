"""The samples of a run's parts: prepared once, kept in its baseline folder, read by every trial."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autocompress.errors import DataError
from autocompress.sample_store import load_samples, save_samples

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.jobs import Workspace
    from autocompress.tasks.base import Part, Sample, Task

MOST_CALIBRATION_SAMPLES = 128
MOST_TRAINING_BYTES = 10**9
TRAINING_ROWS_AT_ONCE = 1000
TRAINING = "training"


def samples_path(workspace: Workspace, part: str) -> Path:
    """Where the samples of a part lie."""
    return workspace.baseline / f"samples-{part}.safetensors"


def timing_path(workspace: Workspace) -> Path:
    """Where the inputs of the timed call lie."""
    return workspace.baseline / "timing.safetensors"


def save_inputs(inputs: Inputs, path: Path) -> None:
    """Keep the inputs of one call as a safetensors file."""
    import numpy as np
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in inputs.items()}, path)


def load_inputs(path: Path) -> Inputs:
    """The inputs that `save_inputs` kept."""
    from safetensors.numpy import load_file

    loaded: Inputs = load_file(path)
    return loaded


def read_samples(workspace: Workspace, task: Task) -> tuple[Mapping[Part, Rows], Mapping[Part, Sequence[Sample]]]:
    """The rows and the samples of every part; no rows where the task brings its own data or none is given.

    Raises:
        DataError: the data cannot be used, or a part is empty.
    """
    from autocompress.data.parts import read_parts

    parts = read_parts(workspace.data, task.roles, workspace.seed) if workspace.data is not None else {}
    samples = task.samples_by_part(workspace.model, parts, workspace.seed)
    for part, found in samples.items():
        if not found:
            raise DataError(f"the {part} part of the data is empty", remedy="Give more data.")
    return parts, samples


def calibration_inputs(workspace: Workspace, task: Task) -> list[Inputs]:
    """Inputs of one forward pass for each calibration sample, without labels."""
    samples = load_samples(samples_path(workspace, "calibration"))[:MOST_CALIBRATION_SAMPLES]
    passes = (task.training_inputs(workspace.model, sample) for sample in samples)
    return [{name: array for name, array in inputs.items() if name != "labels"} for inputs in passes]


def training_inputs(workspace: Workspace, task: Task) -> list[Inputs]:
    """Inputs of one forward pass for each training sample, with labels where the task knows them."""
    _keep_training(workspace, task)
    samples = load_samples(samples_path(workspace, TRAINING))
    return [task.training_inputs(workspace.model, sample) for sample in samples]


def training_digest(workspace: Workspace, task: Task) -> str:
    """SHA-256 over the training rows' content."""
    _keep_training(workspace, task)
    return str(json.loads(_training_note(workspace).read_text(encoding="utf-8"))["digest"])


def _training_note(workspace: Workspace) -> Path:
    return workspace.baseline / "samples-training.json"


def _keep_training(workspace: Workspace, task: Task) -> None:
    """Prepare the training samples when a step first asks for them: most searches never do."""
    from autocompress.data.parts import read_training
    from autocompress.data.rows import content_digest, rows_digest

    note = _training_note(workspace)
    if note.exists():
        return
    rows = read_training(workspace.data, task.roles, workspace.seed) if workspace.data is not None else None
    samples = _within(MOST_TRAINING_BYTES, _training_samples(workspace, task, rows))
    if not samples:
        raise DataError("there is nothing to train on", remedy="Give training data, or a longer calibration part.")
    save_samples(samples, samples_path(workspace, TRAINING))
    digest = rows_digest(rows) if rows is not None else content_digest(*(s.inputs for s in samples)).hex()
    note.write_text(json.dumps({"digest": digest, "n_samples": len(samples)}), encoding="utf-8")


def _training_samples(workspace: Workspace, task: Task, rows: Rows | None) -> Iterator[Sample]:
    """Samples as they are asked for: all rows of images or sound together could be more than memory holds."""
    if rows is None:
        yield from task.training_samples(workspace.model, None, workspace.seed)
        return
    for start in range(0, len(rows), TRAINING_ROWS_AT_ONCE):
        some = rows.take(range(start, min(start + TRAINING_ROWS_AT_ONCE, len(rows))))
        yield from task.training_samples(workspace.model, some, workspace.seed)


def _within(most_bytes: int, samples: Iterable[Sample]) -> list[Sample]:
    """As many of the first samples as fit."""
    kept: list[Sample] = []
    taken = 0
    for sample in samples:
        taken += sum(array.nbytes for array in sample.inputs.values())
        if kept and taken > most_bytes:
            break
        kept.append(sample)
    return kept
