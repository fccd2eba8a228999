"""Load a compressed model for use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

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

    Where PyTorch runs it, that is the ``torch.nn.Module`` itself; of any other format it is its `Runner`:
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
    runner: Runner = registry.load("formats", name)().load(folder, device, threads or os.cpu_count() or 1, model)
    module: nn.Module | Runner = getattr(runner, "module", runner)
    return module


def _format_of(folder: Path) -> str:
    """The format whose files lie in the folder."""
    if any(folder.glob("*.onnx")):
        return "onnx"
    if any(folder.glob("*.xml")):
        return "openvino"
    if any(folder.glob("*.safetensors")):
        return _packed_by(folder / "config.json") or "pytorch"
    raise ModelError(
        "the folder holds no compressed model", where=str(folder), remedy="Give the folder that `apply -o` wrote."
    )


def _packed_by(config: Path) -> str | None:
    """The format that a configuration of transformers says the weights are packed in."""
    try:
        plain = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a model of one's own has none; one that cannot be read is for the format to tell
        return None
    packing = plain.get("quantization_config") if isinstance(plain, dict) else None
    method = packing.get("quant_method") if isinstance(packing, dict) else None
    return method if method in registry.names("formats") else None
