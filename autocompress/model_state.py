"""What is known of a model, and a model in the middle of its steps kept on disk, bit for bit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from autocompress.attention_heads import find_attention
from autocompress.compressible import CompressibleModel
from autocompress.encodings import Encoding, encoding_from_parts
from autocompress.errors import ModelError
from autocompress.facts import ModelFacts, TensorFact
from autocompress.feed_forward import find_feed_forward
from autocompress.half_part import cast_at_boundary, find_parts, outer_parameters
from autocompress.layer_stacks import find_layer_stacks
from autocompress.recipe import step_from_plain
from autocompress.structure import Structure, restructure

if TYPE_CHECKING:
    from torch import Tensor, nn

TENSORS_FILE = "tensors.safetensors"
ENCODINGS_FILE = "encodings.safetensors"
STATE_FILE = "state.json"
STATE_VERSION = 2
"""Part of the stage cache's keys: count up when what a state holds changes."""
SMOOTHING = "smoothing/"
"""What stands before a weight's name where its smoothing factors are kept beside the encodings' parts."""


def facts_of(module: nn.Module, task_name: str) -> ModelFacts:
    """Shape of a model; a parameter that is shared counts once."""
    feed_forward = find_feed_forward(module)
    attention = find_attention(module)
    uses = Counter(id(parameter) for _, parameter in module.named_parameters(remove_duplicate=False))
    weights = {
        id(weight.parameter): weight.fact.model_copy(update={"is_shared": uses[id(weight.parameter)] > 1})
        for weight in CompressibleModel(module).weights()
    }
    return ModelFacts(
        architecture=type(module).__name__,
        task=task_name,
        n_parameters=sum(parameter.numel() for parameter in module.parameters()),
        weights=tuple(weights.values()),
        feed_forward_width=feed_forward.width if feed_forward else None,
        layer_counts={stack.part: len(stack.layers) for stack in find_layer_stacks(module)},
        parts=tuple(find_parts(module)),
        head_groups=attention.n_groups if attention else None,
        heads_in_config=attention is not None and attention.in_config,
        dtype=float_dtype(module),
        tensors=tuple(_other_tensors(module, weights)),
        settings_bytes=_settings_bytes(module),
    )


def _other_tensors(module: nn.Module, weights: Collection[int]) -> Iterator[TensorFact]:
    """What is stored beside the weights of these identities, a shared tensor once."""
    seen = set(weights)
    parameters = {id(parameter) for parameter in module.parameters()}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            dtype = str(tensor.dtype).removeprefix("torch.")
            is_buffer = id(tensor) not in parameters
            yield TensorFact(name=name, shape=tuple(tensor.shape), dtype=dtype, is_buffer=is_buffer)


def _settings_bytes(module: Any) -> int:
    """Size of the configuration and the generation settings of a model of transformers, as files; 0 for others."""
    if not hasattr(getattr(module, "config", None), "to_json_string"):
        return 0
    generates = module.can_generate() and module.generation_config is not None
    settings = [module.config, *([module.generation_config] if generates else [])]
    return sum(len(one.to_json_string().encode()) for one in settings)


def float_dtype(module: nn.Module) -> str:
    """The floating-point type that most of the parameters have, such as ``float32``; a half part doesn't count."""
    elements: Counter[str] = Counter()
    for parameter in outer_parameters(module):
        if parameter.is_floating_point():
            elements[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    return elements.most_common(1)[0][0] if elements else "float32"


def pack_encodings(encodings: Mapping[str, Encoding]) -> tuple[dict[str, npt.NDArray[Any]], dict[str, dict[str, Any]]]:
    """The parts of all encodings under ``NAME.PART``, and each one's header by ``NAME``."""
    parts = {
        f"{name}.{part}": array for name, encoding in encodings.items() for part, array in encoding.parts().items()
    }
    return parts, {name: encoding.header() for name, encoding in encodings.items()}


def unpack_encodings(
    parts: Mapping[str, npt.NDArray[Any]], headers: Mapping[str, dict[str, Any]]
) -> dict[str, Encoding]:
    """What `pack_encodings` packed; keys of other tensors among ``parts`` do no harm.

    Raises:
        ValueError: a part is missing or does not fit its header.
    """
    encodings = {}
    for name, header in headers.items():
        own = {key[len(name) + 1 :]: array for key, array in parts.items() if key.startswith(f"{name}.")}
        try:
            encodings[name] = encoding_from_parts(header, own)
        except KeyError as missing:
            raise ValueError(f"the part {missing} of {name} is missing") from None
    return encodings


def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put values in place of all parameters, and of those buffers that ``tensors`` names; types may change.

    A shared parameter goes by the first of its names.

    Raises:
        ModelError: a parameter is missing, or has another shape.
    """
    for name, parameter in module.named_parameters():
        values = tensors.get(name)
        if values is None or values.shape != parameter.shape:
            found = "missing" if values is None else f"of shape {tuple(values.shape)}, not {tuple(parameter.shape)}"
            raise ModelError(f"the stored weight {name} is {found}", remedy="Use the files with the model they are of.")
        parameter.data = values
    for name, buffer in module.named_buffers():
        if name in tensors:
            buffer.data = tensors[name]


def save_state(model: CompressibleModel, folder: Path) -> None:
    """Keep a model with all that its steps decided in ``folder``; see `restore_state`."""
    import torch
    from safetensors.torch import save_file

    tensors = {**dict(model.module.named_parameters()), **dict(model.module.named_buffers())}
    # Clones: safetensors refuses views that share memory, which buffers of a model may be.
    save_file(
        {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()},
        folder / TENSORS_FILE,
    )
    parts, headers = pack_encodings(model.encodings)
    parts |= {f"{SMOOTHING}{name}": factors for name, factors in model.smoothing.items()}
    save_file({name: torch.from_numpy(part.copy()) for name, part in parts.items()}, folder / ENCODINGS_FILE)
    state = {
        "encodings": headers,
        "overrides": model.overrides,
        "structure": model.structure.plain(),
        "precision": model.precision,
        "half_part": model.half_part,
        "activation_step": model.activation_step.plain() if model.activation_step else None,
        "float_layers": list(model.float_layers),
    }
    (folder / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")


def restore_state(folder: Path, build: Callable[[Mapping[str, int]], nn.Module]) -> CompressibleModel:
    """The model that `save_state` kept.

    ``build`` takes the overridden configuration fields and gives a module of the structure that they say, whatever its
    values.

    Raises:
        ModelError: the module that ``build`` gave is of another structure.
    """
    from safetensors.numpy import load_file as load_arrays
    from safetensors.torch import load_file

    state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    structure = Structure.read(state["structure"], str(folder / STATE_FILE))
    module = build(state["overrides"]).eval()
    restructure(module, structure)
    fill(module, load_file(folder / TENSORS_FILE))
    cast_at_boundary(module, state["half_part"])
    step = state["activation_step"]
    parts = load_arrays(folder / ENCODINGS_FILE)
    return CompressibleModel(
        module=module,
        encodings=unpack_encodings(parts, state["encodings"]),
        overrides=state["overrides"],
        structure=structure,
        precision=state["precision"],
        half_part=state["half_part"],
        activation_step=step_from_plain(step, "activation_step") if step else None,
        float_layers=tuple(state["float_layers"]),
        smoothing={name.removeprefix(SMOOTHING): part for name, part in parts.items() if name.startswith(SMOOTHING)},
    )
