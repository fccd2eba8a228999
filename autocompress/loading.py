"""Load a compressed model for use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress import registry
from autocompress.errors import ModelError
from autocompress.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from autocompress.formats.base import Runner


def load(
    folder: str | Path, device: str = "cpu", threads: int | None = None, task_file: str | Path | None = None
) -> nn.Module | Runner:
    """The compressed model in ``folder``, ready to run.

    Of the PyTorch format that is the ``torch.nn.Module`` itself, of any other format its `Runner`:
    ``runner.forward({"input_ids": array})``. A model of one's own needs its ``task_file``,
    which is run. ``threads`` is that of the whole process; None takes all cores.

    Raises:
        ModelError: there is no compressed model in the folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError("there is no such folder", where=str(folder), remedy="Check the path.")
    name = _format_of(folder)
    model = ModelSpec(path=str(task_file), task_file=str(task_file)) if task_file else None
    runner: Any = registry.load("formats", name)().load(folder, device, threads or os.cpu_count() or 1, model)
    loaded: nn.Module | Runner = runner.module if name == "pytorch" else runner
    return loaded


def _format_of(folder: Path) -> str:
    """The format whose files lie in the folder."""
    if any(folder.glob("*.onnx")):
        return "onnx"
    if any(folder.glob("*.safetensors")):
        return "pytorch"
    raise ModelError(
        "the folder holds no compressed model", where=str(folder), remedy="Give the folder that `apply -o` wrote."
    )
