"""The files of the PyTorch format, written and read.

| file | content |
|---|---|
| ``model.safetensors`` | dense tensors under their names; of a coded weight ``NAME.PART`` for each packed part |
| ``config.json``, ``generation_config.json`` | of a Hugging Face model, as its own library writes them |
| ``autocompress.json`` | how to decode the parts, shapes no configuration says, a half part, if a task file has code |

Packed codes are Huffman-coded where that makes them smaller; ``autocompress.json`` lists which.
It is there only when needed: a folder without it is a plain Hugging Face folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from autocompress import registry
from autocompress.encodings import ByteArray, huffman_coded, huffman_decoded
from autocompress.errors import ModelError, Unsupported
from autocompress.frozen import Frozen
from autocompress.half_part import convert_part
from autocompress.model_state import fill, float_dtype, pack_encodings, unpack_encodings
from autocompress.strict import validate
from autocompress.structure import Structure, restructure

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


class HalfPart(Frozen):
    """The part of a model that computes in half precision while the rest is in float32."""

    part: Literal["encoder", "decoder"]
    dtype: Literal["float16", "bfloat16"]


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
        require_known_architecture(module)
        write_config(module, folder, {"dtype": float_dtype(module)})
    parts, headers = pack_encodings(model.encodings)
    tensors = {name: tensor for name, tensor in stored_tensors(module).items() if name not in headers}
    streams = _huffman_streams(parts)
    tensors |= {name: torch.from_numpy(part.copy()) for name, part in (parts | streams).items()}
    # One metadata key: safetensors writes several in random order.
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    dtype = float_dtype(module)
    half = {} if model.half_part == "model" else {"half": {"part": model.half_part, "dtype": model.precision}}
    if headers or is_own or half or not model.structure.is_empty:
        weights = {weight.name: weight for weight in model.weights()}
        manifest = {
            "version": MANIFEST_VERSION,
            "architecture": type(module).__name__,
            "task": task,
            "dtype": dtype,
            "encodings": {name: _entry(weights[name], header) for name, header in headers.items()},
            "huffman": sorted(streams),
            **({} if model.structure.is_empty else {"structure": model.structure.plain()}),
            **half,
        }
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
        (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
    computed = f"{model.half_part} in {model.precision}, the rest in {dtype}" if half else dtype
    return f"{computed} after unpacking at load" if headers else computed


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
    structure = Structure.read(manifest.get("structure", {}), str(folder / MANIFEST_FILE))
    if manifest.get("task") == OWN_TASK:
        module = _own(folder, model, structure, tensors)
    else:
        module = module_of(read_config(folder), folder, structure, tensors)
    _put_in_half(module, manifest.get("half"), str(folder / MANIFEST_FILE))
    return module.eval().requires_grad_(False)


def _put_in_half(module: nn.Module, plain: Any, where: str) -> None:
    """Have the part that the manifest names compute in half precision, if it names one."""
    import torch

    if plain is not None:
        half = validate(HalfPart, plain, where=where, error=ModelError)
        convert_part(module, half.part, getattr(torch, half.dtype))


def stored_tensors(module: nn.Module) -> dict[str, Tensor]:
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


def require_known_architecture(module: nn.Module) -> None:
    """Check that a folder's configuration is enough to build the module again.

    Raises:
        Unsupported: the module's code is not part of transformers.
    """
    import transformers

    name = type(module).__name__
    if not isinstance(module, transformers.PreTrainedModel) or getattr(transformers, name, None) is not type(module):
        raise Unsupported(
            f"the code of {name} is not part of transformers, so its files could not be loaded again",
            remedy="Run it through a task file (task: own).",
        )


def write_config(module: Any, folder: Path, fields: Mapping[str, Any]) -> None:
    """Write the configuration of a module of transformers, with these fields in it, and its generation settings."""
    config = json.loads(module.config.to_json_string())
    config |= {"architectures": [type(module).__name__], **fields}
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


def read_config(folder: Path) -> Any:
    """The configuration that `write_config` wrote.

    Raises:
        ModelError: it cannot be read.
    """
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as problem:
        raise ModelError(f"the configuration cannot be read: {problem}", where=str(folder / CONFIG_FILE)) from None


def module_of(config: Any, folder: Path, structure: Structure, tensors: dict[str, Tensor]) -> nn.Module:
    """A model of transformers with these weights; its configuration names the architecture, no other code is run.

    Raises:
        ModelError: the architecture is unknown, or the weights do not fit it.
    """
    import transformers

    architecture = (config.architectures or [""])[0]
    kind: Any = getattr(transformers, architecture, None)
    known = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    if not known:
        raise ModelError(
            f"the architecture {architecture!r} is not part of transformers {transformers.__version__}",
            where=str(folder / CONFIG_FILE),
        )
    if structure.is_empty:
        module, report = kind.from_pretrained(
            None, config=config, state_dict=tensors, dtype=config.dtype, output_loading_info=True
        )
        missing = sorted(report["missing_keys"])
        if missing:
            raise ModelError(f"the weight {missing[0]} is missing", where=str(folder / WEIGHTS_FILE))
    else:
        module = kind(config)
        restructure(module, structure)
        fill(module, tensors)
    if (folder / GENERATION_FILE).exists():
        module.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    return module  # type: ignore[no-any-return]


def _own(folder: Path, model: ModelSpec | None, structure: Structure, tensors: dict[str, Tensor]) -> nn.Module:
    """A module from its task file, with these weights."""
    if model is None or model.task_file is None:
        raise ModelError(
            "holds the weights of a model whose code is in a task file",
            where=str(folder),
            remedy="Name the file (task_file=… or --task-file); it is run.",
        )
    module: nn.Module = registry.load("tasks", OWN_TASK)().load_model(model)
    restructure(module, structure)
    fill(module, tensors)
    return module
