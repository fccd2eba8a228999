"""The state of a training on disk: tensors and a few figures in one file that is never half there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT = "training.safetensors"
_FIGURES = "figures"


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], figures: Mapping[str, Any]) -> None:
    """Write the state beside its place and rename it into it; figures must be plain data."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{CHECKPOINT}.new"
    # A copy each: safetensors refuses tensors that share memory.
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    save_file(copies, fresh, metadata={_FIGURES: json.dumps(figures)})
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(folder / CHECKPOINT)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The state that `save_checkpoint` wrote last, or None where there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / CHECKPOINT, framework="pt") as file:
            figures = json.loads(file.metadata()[_FIGURES])
            names: list[str] = file.keys()
            return {name: file.get_tensor(name) for name in names}, figures
    except (FileNotFoundError, SafetensorError):
        return None
