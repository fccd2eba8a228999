"""Where a model's files lie: a local Hugging Face folder, or the hub's copy. Imports no torch, no transformers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.errors import ModelError
from autocompress.hub import hub_reachable, is_hub_id

if TYPE_CHECKING:
    from autocompress.spec import ModelSpec

SETTINGS = ("*.json", "*.txt", "*.model", "*.jinja")
WEIGHTS = ("*.safetensors",)
PICKLED_WEIGHTS = ("pytorch_model*.bin",)
CODE = ("*.py",)


def model_folder(model: ModelSpec, *, weights: bool = False) -> Path:
    """The local folder with the model's files; a hub model's are fetched, the weights only where asked for.

    Raises:
        ModelError: neither a folder nor a model that the hub, or its local cache, has.
    """
    path = Path(model.path).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError("is a file, not a model's folder", where=model.path, remedy="Name the folder it lies in.")
    if not is_hub_id(model.path):
        raise ModelError("there is no such folder", where=model.path, remedy="Check the path.")
    patterns = SETTINGS + (WEIGHTS if weights else ()) + (CODE if model.trust_remote_code else ())
    patterns += PICKLED_WEIGHTS if weights and model.allow_pickle else ()
    return _hub_snapshot(model.path, model.revision, patterns)


@cache
def _hub_snapshot(repository: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    reachable = hub_reachable()
    try:
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=list(patterns), local_files_only=not reachable
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
        reason = (
            "neither a local folder nor a model that the hub gives out"
            if reachable
            else "no local folder, and the hub cannot be reached nor is the model in its local cache"
        )
        raise ModelError(
            reason, where=repository, remedy="Check the path or id, the revision, and the connection."
        ) from None
    return Path(folder)


def read_config(model: ModelSpec) -> dict[str, Any]:
    """The model's ``config.json``, without importing transformers.

    Raises:
        ModelError: no model there, no or broken ``config.json``, or one that brings code without permission.
    """
    config = read_settings(model, "config.json")
    if not config:
        raise ModelError(
            "the folder holds no config.json",
            where=model.path,
            remedy="Name a Hugging Face model folder, or describe your own model with --task-file.",
        )
    if "auto_map" in config and not model.trust_remote_code:
        raise ModelError(
            "the model brings Python code of its own, which is not run without permission",
            where=model.path,
            remedy="If you trust its author, give --trust-remote-code.",
        )
    return config


def read_settings(model: ModelSpec, name: str) -> dict[str, Any]:
    """One of the JSON files beside the weights; empty where the model has no such file.

    Raises:
        ModelError: no model there, or the file is not a JSON object.
    """
    file = model_folder(model) / name
    if not file.is_file():
        return {}
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise ModelError("not a readable JSON object", where=str(file))
    return settings


def require_weights(model: ModelSpec) -> Path:
    """The model's folder, with weights in it that may be loaded.

    Raises:
        ModelError: there are none, or only pickled ones and they are not allowed.
    """
    folder = model_folder(model, weights=True)
    if any(folder.glob("*.safetensors")):
        return folder
    pickled = sorted(file.name for pattern in PICKLED_WEIGHTS for file in folder.glob(pattern))
    if not pickled and (model.allow_pickle or folder == Path(model.path).expanduser()):
        raise ModelError("the folder holds no weights", where=model.path, remedy="It needs model.safetensors.")
    if not model.allow_pickle:
        raise ModelError(
            "the weights are stored as a pickle only, which can run any code while loading",
            where=str(folder / pickled[0]) if pickled else model.path,
            remedy="Convert them to safetensors, or give --allow-pickle if you trust their author.",
        )
    return folder
