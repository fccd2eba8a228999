"""The files of the PyTorch format, written and read.

| file | content |
|---|---|
| ``model.safetensors`` | dense tensors under their names; of a coded weight ``NAME.PART`` for each packed part |
| ``config.json``, ``generation_config.json`` | of a Hugging Face model, as its own library writes them |
| ``autocompress.json`` | how to decode the parts, and whether the model's code is in a task file |

Packed codes are Huffman-coded where that makes them smaller; ``autocompress.json`` lists which.
It is there only when needed: a folder without it is a plain Hugging Face folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autocompress import registry
from autocompress.encodings import ByteArray, huffman_coded, huffman_decoded
from autocompress.errors import ModelError, Unsupported
from autocompress.model_state import fill, float_dtype, pack_encodings, unpack_encodings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import CompressibleModel, Weight
    from autocompress.spec import ModelSpec

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"
MANIFEST_FILE = "autocompress.json"
MANIFEST_VERSION = 2
OWN_TASK = "own"


def write_files(model: CompressibleModel, folder: Path, task: str) -> str:
    """Write a model's files into ``folder``; gives in words what computes its weights. Equal models, equal bytes.

    Raises:
        Unsupported: the model's code is neither in transformers nor in a task file.
    """
    import torch
    from safetensors.torch import save_file

    module = model.module
    is_own = task == OWN_TASK
    if not is_own:
        _require_known_architecture(module)
        _write_config(module, folder)
    parts, headers = pack_encodings(model.encodings)
    tensors = {name: tensor for name, tensor in _stored_tensors(module).items() if name not in headers}
    streams = _huffman_streams(parts)
    tensors |= {name: torch.from_numpy(part.copy()) for name, part in (parts | streams).items()}
    # One metadata key: safetensors writes several in random order.
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    dtype = float_dtype(module)
    if headers or is_own:
        weights = {weight.name: weight for weight in model.weights()}
        manifest = {
            "version": MANIFEST_VERSION,
            "architecture": type(module).__name__,
            "task": task,
            "dtype": dtype,
            "encodings": {name: _entry(weights[name], header) for name, header in headers.items()},
            "huffman": sorted(streams),
        }
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
        (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
    return f"{dtype} after unpacking at load" if headers else dtype


def read_module(folder: Path, model: ModelSpec | None = None) -> nn.Module:
    """The module that `write_files` wrote, in evaluation mode, on the CPU, coded weights decoded.

    Args:
        folder: its files.
        model: names the task file whose code makes a module of the user's own; the folder itself cannot.

    Raises:
        ModelError: files are missing or do not fit each other, or the task file is not named.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    manifest = _read_manifest(folder)
    try:
        tensors = load_file(folder / WEIGHTS_FILE)
        tensors = _decode(tensors, manifest)
    except (OSError, SafetensorError, ValueError) as problem:
        raise ModelError(f"the weights cannot be read: {problem}", where=str(folder / WEIGHTS_FILE)) from None
    module = _own(folder, model, tensors) if manifest.get("task") == OWN_TASK else _hugging_face(folder, tensors)
    return module.eval().requires_grad_(False)


def _stored_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers on the CPU, shared ones under the first of their names only."""
    import torch

    seen: set[int] = set()
    stored = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            # Clones: safetensors refuses views that share memory.
            stored[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return stored


def _require_known_architecture(module: nn.Module) -> None:
    import transformers

    name = type(module).__name__
    if not isinstance(module, transformers.PreTrainedModel) or getattr(transformers, name, None) is not type(module):
        raise Unsupported(
            f"the code of {name} is not part of transformers, so its files could not be loaded again",
            remedy="Run it through a task file (task: own).",
        )


def _write_config(module: Any, folder: Path) -> None:
    config = json.loads(module.config.to_json_string())
    config |= {"architectures": [type(module).__name__], "dtype": float_dtype(module)}
    config.pop("torch_dtype", None)  # what older versions called dtype
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    if module.can_generate() and module.generation_config is not None:
        (folder / GENERATION_FILE).write_text(module.generation_config.to_json_string(), encoding="utf-8")


def _huffman_streams(parts: Mapping[str, npt.NDArray[Any]]) -> dict[str, ByteArray]:
    """The Huffman-coded form of those parts that it makes smaller."""
    streams = {name: huffman_coded(part) for name, part in parts.items() if part.dtype == np.uint8}
    return {name: stream for name, stream in streams.items() if stream is not None}


def _entry(weight: Weight, header: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"encoding": header, "shape": list(weight.parameter.shape)}
    return {**entry, "transposed": True} if weight.transposed else entry


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ModelError("not valid JSON", where=str(path)) from None
    if not isinstance(manifest, dict) or manifest.get("version") != MANIFEST_VERSION:
        raise ModelError(
            f"not a manifest of version {MANIFEST_VERSION}",
            where=str(path),
            remedy="Export the model again with this version of autocompress.",
        )
    return manifest


def _decode(tensors: dict[str, Tensor], manifest: dict[str, Any]) -> dict[str, Tensor]:
    """The dense tensors and the decoded ones, under their names."""
    import torch

    entries: Mapping[str, dict[str, Any]] = manifest.get("encodings", {})
    if not entries:
        return tensors
    dtype = getattr(torch, manifest["dtype"])
    packed = {key: tensor for key, tensor in tensors.items() if any(key.startswith(f"{name}.") for name in entries)}
    dense = {key: tensor for key, tensor in tensors.items() if key not in packed}
    arrays = {key: tensor.numpy() for key, tensor in packed.items()}
    for key in manifest.get("huffman", []):
        if key not in arrays:
            raise ValueError(f"the part {key} is missing")
        arrays[key] = huffman_decoded(arrays[key])
    encodings = unpack_encodings(arrays, {name: entry["encoding"] for name, entry in entries.items()})
    for name, entry in entries.items():
        matrix = torch.from_numpy(encodings[name].decode()).to(dtype)
        values = matrix.T if entry.get("transposed") else matrix
        dense[name] = values.reshape(entry["shape"]).contiguous()
    return dense


def _hugging_face(folder: Path, tensors: dict[str, Tensor]) -> nn.Module:
    """A model of transformers with these weights; its configuration names the architecture, no other code is run."""
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as problem:
        raise ModelError(f"the configuration cannot be read: {problem}", where=str(folder / CONFIG_FILE)) from None
    architecture = (config.architectures or [""])[0]
    kind: Any = getattr(transformers, architecture, None)
    known = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    if not known:
        raise ModelError(
            f"the architecture {architecture!r} is not part of transformers {transformers.__version__}",
            where=str(folder / CONFIG_FILE),
        )
    module, report = kind.from_pretrained(
        None, config=config, state_dict=tensors, dtype=config.dtype, output_loading_info=True
    )
    if report["missing_keys"]:
        raise ModelError(f"the weight {sorted(report['missing_keys'])[0]} is missing", where=str(folder / WEIGHTS_FILE))
    if (folder / GENERATION_FILE).exists():
        module.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    return module  # type: ignore[no-any-return]


def _own(folder: Path, model: ModelSpec | None, tensors: dict[str, Tensor]) -> nn.Module:
    """A module from its task file, with these weights."""
    if model is None or model.task_file is None:
        raise ModelError(
            "holds the weights of a model whose code is in a task file",
            where=str(folder),
            remedy="Name the file (task_file=… or --task-file); it is run.",
        )
    module: nn.Module = registry.load("tasks", OWN_TASK)().load_model(model)
    fill(module, tensors)
    return module
