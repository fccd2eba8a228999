"""The files of a checkpoint, written and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.compressible import CompressibleModel
from autocompress.encodings import Encoding, GroupedIntegers, SparseIntegers
from autocompress.encodings.sparse_integers import zero_codes
from autocompress.errors import ModelError, Unsupported
from autocompress.formats.checkpoints.checkpoint_format import CheckpointFormat, Packing, is_packed
from autocompress.formats.pytorch.files import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    module_of,
    read_config,
    require_known_architecture,
    stored_tensors,
    write_config,
)
from autocompress.structure import Structure

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import Weight

STORED_DTYPE = "float16"


def compute_dtype(device: str) -> str:
    """What the unpacked layers compute in: float16 where it is fast, as the packages do, float32 elsewhere."""
    return "float16" if device == "cuda" else "float32"


def write_files(layout: CheckpointFormat, model: CompressibleModel, folder: Path) -> None:
    """Write a model's files into ``folder``. Equal models, equal bytes.

    Raises:
        Unsupported: this layout cannot hold what the steps made of the model.
    """
    import torch
    from safetensors.torch import save_file

    require_known_architecture(model.module)
    if not model.structure.is_empty:
        raise Unsupported(f"the format {layout.name} cannot hold sizes that the model's configuration cannot express")
    linear = {weight.name: weight for weight in model.weights("linear")}
    packed = {
        name: _integers(layout, weight, model.encodings[name])
        for name, weight in linear.items()
        if is_packed(weight.fact) and name in model.encodings
    }
    packing = _packing_of(packed)
    tensors = {name: tensor for name, tensor in _dense_tensors(model.module).items() if name not in packed}
    for name, integers in packed.items():
        for part, array in layout.pack(integers).items():
            tensors[f"{_layer(name)}.{part}"] = torch.from_numpy(array)
    quantization_config = layout.quantization_config(
        packing,
        packed=tuple(_layer(name) for name in packed),
        dense=tuple(_layer(name) for name in linear if name not in packed),
    )
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    write_config(model.module, folder, {"dtype": STORED_DTYPE, "quantization_config": quantization_config})
    layout.write_more(folder, quantization_config)


def read_module(layout: CheckpointFormat, folder: Path, dtype: str) -> nn.Module:
    """The module that `write_files` wrote, in evaluation mode, on the CPU, all layers dense and in ``dtype``.

    Raises:
        ModelError: files are missing or do not fit each other, or are of another layout.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = read_config(folder)
    packing = _read_packing(layout, config, folder)
    try:
        tensors = load_file(folder / WEIGHTS_FILE)
        matrices = _unpacked(layout, packing, tensors)
    except (OSError, SafetensorError, ValueError, KeyError) as problem:
        raise ModelError(f"the weights cannot be read: {problem}", where=str(folder / WEIGHTS_FILE)) from None
    transposed = _transposed_weights(config)
    for name, matrix in matrices.items():
        values = torch.from_numpy(matrix.T if name in transposed else matrix)
        tensors[name] = values.contiguous().to(getattr(torch, dtype))
    config.dtype = dtype
    return module_of(config, folder, Structure(), tensors).eval().requires_grad_(False)


def _layer(name: str) -> str:
    return name.removesuffix(".weight")


def _integers(layout: CheckpointFormat, weight: Weight, encoding: Encoding) -> GroupedIntegers:
    """What a layer's encoding is in these layouts: a code for every weight, scales in float16."""
    if isinstance(encoding, SparseIntegers):
        integers = encoding.integers
        encoding = replace(integers, codes=np.where(encoding.mask, integers.codes, zero_codes(integers)))
    if not isinstance(encoding, GroupedIntegers):
        raise Unsupported(f"the format {layout.name} packs integers, and {weight.name} is stored as {encoding.kind}")
    if encoding.input_scales is not None:
        raise Unsupported(
            f"the format {layout.name} has no place for the input scales of {weight.name}",
            remedy="Use awq with `fold_scales: true`.",
        )
    if encoding.bits not in layout.bits:
        raise Unsupported(f"the format {layout.name} cannot hold the {encoding.bits}-bit codes of {weight.name}")
    misfit = layout.misfit(weight.fact, encoding.group_size)
    if misfit:
        raise Unsupported(f"the format {layout.name} cannot hold it: {misfit}")
    if weight.transposed and not layout.takes_transposed:
        raise Unsupported(f"the readers of {layout.name} do not know layers such as that of {weight.name} (Conv1D)")
    encoding = encoding.with_float16()
    if not np.isfinite(encoding.scales).all():
        raise Unsupported(f"a scale of {weight.name} is beyond the largest value of float16")
    return encoding


def _packing_of(packed: dict[str, GroupedIntegers]) -> Packing:
    found = {
        Packing(bits=integers.bits, group_size=integers.group_size, symmetric=integers.zero_points is None)
        for integers in packed.values()
    }
    if not found:
        raise Unsupported("no linear layer of a repeated block is stored as integers")
    if len(found) > 1:
        raise Unsupported("all packed layers of a checkpoint share one number of bits and one group size")
    return found.pop()


def _dense_tensors(module: nn.Module) -> dict[str, Tensor]:
    import torch

    stored = {}
    for name, tensor in stored_tensors(module).items():
        stored[name] = tensor.half() if tensor.is_floating_point() else tensor
        if tensor.is_floating_point() and not bool(torch.isfinite(stored[name]).all()):
            raise Unsupported(f"the weight {name} is beyond the largest value of {STORED_DTYPE}")
    return stored


def _read_packing(layout: CheckpointFormat, config: Any, folder: Path) -> Packing:
    """How the layers are packed; takes that out of the configuration, so that plain layers are built from it."""
    found = getattr(config, "quantization_config", None)
    if not isinstance(found, dict) or found.get("quant_method") != layout.name:
        raise ModelError(f"not a checkpoint of the format {layout.name}", where=str(folder / CONFIG_FILE))
    del config.quantization_config
    return Packing(bits=found["bits"], group_size=found["group_size"], symmetric=found.get("sym", False))


def _unpacked(layout: CheckpointFormat, packing: Packing, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The matrices of the packed layers by the weights' names; takes their tensors out of ``tensors``."""
    layers = [name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")]
    return {
        f"{layer}.weight": layout.unpack(
            {part: tensors.pop(f"{layer}.{part}").numpy() for part in layout.parts}, packing
        )
        for layer in layers
    }


def _transposed_weights(config: Any) -> set[str]:
    import torch
    import transformers

    with torch.device("meta"):
        skeleton = getattr(transformers, config.architectures[0])(config)
    return {weight.name for weight in CompressibleModel(skeleton).weights("linear") if weight.transposed}
