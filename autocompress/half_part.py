"""A model of which one part computes in half precision and the rest in float32: its parts, and casts between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autocompress.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from autocompress.facts import Part

MARK = "casts_at_its_boundary"
"""Attribute of a module that takes and gives float32, whatever it computes in."""


def find_parts(module: nn.Module) -> dict[Part, tuple[str, ...]]:
    """Paths of the modules that make up each part which can have a type of its own; the whole ``model`` always can.

    An encoder-decoder whose halves share no weight has the parts ``encoder`` and ``decoder``; all that is not in the
    encoder, such as the projection onto the vocabulary, belongs to the decoder.
    """
    parts: dict[Part, tuple[str, ...]] = {"model": ("",)}
    if not getattr(getattr(module, "config", None), "is_encoder_decoder", False):
        return parts
    found: Any = module
    encoder: nn.Module = found.get_encoder()
    path = next((path for path, child in module.named_modules() if child is encoder), "")
    rest = _beside(module, path)
    in_encoder = {id(parameter) for parameter in encoder.parameters()}
    in_rest = {id(parameter) for other in rest for parameter in module.get_submodule(other).parameters()}
    in_all = {id(parameter) for parameter in module.parameters()}
    if path and not in_encoder & in_rest and in_encoder | in_rest == in_all:
        parts |= {"encoder": (path,), "decoder": rest}
    return parts


def _beside(module: nn.Module, path: str) -> tuple[str, ...]:
    """Paths of the outermost modules with parameters that neither hold the one at ``path`` nor lie in it."""
    names = path.split(".")
    around = [".".join(names[:depth]) for depth in reversed(range(len(names)))]
    return tuple(
        child_path
        for parent in around
        for name, child in module.get_submodule(parent).named_children()
        if (child_path := f"{parent}.{name}".lstrip(".")) not in (*around, path)
        and any(True for _ in child.parameters())
    )


def part_of(module: nn.Module, part: Part) -> list[nn.Module]:
    """The modules that make up a part, see `find_parts`.

    Raises:
        ModelError: the model has no such part.
    """
    paths = find_parts(module).get(part)
    if paths is None:
        raise ModelError(f"the model has no {part} that could compute in another type than the rest")
    return [module.get_submodule(path) for path in paths]


def convert_part(module: nn.Module, part: Part, dtype: torch.dtype) -> None:
    """Turn the parameters and persistent buffers of a part into ``dtype``; less than the whole gets its casts.

    Raises:
        ModelError: the model has no such part.
    """
    for child in part_of(module, part):
        for tensor in child.state_dict(keep_vars=True).values():
            if tensor.is_floating_point():
                tensor.data = tensor.data.to(dtype)
    cast_at_boundary(module, part)


def cast_at_boundary(module: nn.Module, part: Part) -> None:
    """Have a part take and give float32, whatever type its parameters have; nothing is to be done for the whole model.

    Caches of keys and values are left as they are: they never leave the part.

    Raises:
        ModelError: the model has no such part.
    """
    if part == "model":
        return
    for child in part_of(module, part):
        child.register_forward_pre_hook(_cast_inputs, with_kwargs=True)
        child.register_forward_hook(_cast_outputs)
        setattr(child, MARK, True)


def outer_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters outside of a part that casts at its boundary."""
    inner = {id(tensor) for child in module.modules() if getattr(child, MARK, False) for tensor in child.parameters()}
    return [parameter for parameter in module.parameters() if id(parameter) not in inner]


def _cast_inputs(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    dtype = next(parameter.dtype for parameter in part.parameters() if parameter.is_floating_point())
    return _cast(args, dtype), _cast(kwargs, dtype)


def _cast_outputs(part: nn.Module, args: tuple[Any, ...], outputs: Any) -> Any:
    import torch

    del part, args
    return _cast(outputs, torch.float32)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Floating tensors in ``dtype``, those in tuples, lists and mappings too; all else as it is."""
    import torch

    if isinstance(value, torch.Tensor):
        # A cast to the same type would still leave a node in a traced graph.
        return value.to(dtype) if value.is_floating_point() and value.dtype != dtype else value
    if isinstance(value, dict):
        return type(value)(**{key: _cast(item, dtype) for key, item in value.items()})
    if isinstance(value, tuple | list):
        return type(value)(_cast(item, dtype) for item in value)
    return value
