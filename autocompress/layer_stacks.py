"""Where a transformer's repeated layers are, and which fields of its configuration count them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from autocompress.facts import Part

SINGLE_FIELDS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
ENCODER_FIELD, DECODER_FIELD = "encoder_layers", "decoder_layers"
PER_LAYER_FIELDS = ("layer_types", "use_weighted_layer_sum")
"""Fields that, where they are set, say something about each layer and so would have to change with their number."""


@dataclass(frozen=True)
class LayerStack:
    """The layers of one part of a model, in a ``ModuleList`` at ``path``, counted by the configuration's fields.

    ``part`` is ``model`` where there is only one stack.
    """

    part: Part
    path: str
    layers: nn.ModuleList
    config_fields: tuple[str, ...]


def find_layer_stacks(module: nn.Module) -> tuple[LayerStack, ...]:
    """The stacks of a model; none where no configuration can express fewer layers.

    None too where there is a doubt: layers of several kinds or shapes, or two stacks that could be meant.
    """
    config = getattr(module, "config", None)
    if config is None:
        return ()
    plain: dict[str, Any] = config.to_dict()
    if any(plain.get(name) for name in PER_LAYER_FIELDS):
        return ()
    stacks = []
    for part, fields in _fields(plain).items():
        paths = [
            path
            for path, layers in _uniform_lists(module).items()
            if len(layers) == plain[fields[0]] and (part == "model" or part in path.split("."))
        ]
        if len(paths) != 1:
            return ()
        layers: Any = module.get_submodule(paths[0])
        stacks.append(LayerStack(part, paths[0], layers, fields))
    return tuple(stacks)


def _fields(plain: dict[str, Any]) -> dict[Part, tuple[str, ...]]:
    single = tuple(name for name in SINGLE_FIELDS if isinstance(plain.get(name), int))
    if plain.get("is_encoder_decoder"):
        if ENCODER_FIELD not in plain or DECODER_FIELD not in plain:
            return {}
        # Such configurations repeat the encoder's number under the general name.
        return {"encoder": (ENCODER_FIELD, *single), "decoder": (DECODER_FIELD,)}
    return {"model": single} if single else {}


def _uniform_lists(module: nn.Module) -> dict[str, nn.ModuleList]:
    """Lists of layers with attention that differ in nothing but their values."""
    from torch import nn

    return {
        path: child
        for path, child in module.named_modules()
        if isinstance(child, nn.ModuleList)
        and len({_signature(layer) for layer in child}) == 1
        and any("attention" in type(part).__name__.lower() for part in child.modules())
    }


def _signature(layer: nn.Module) -> tuple[Any, ...]:
    return (type(layer), *((name, tuple(tensor.shape)) for name, tensor in layer.state_dict().items()))
