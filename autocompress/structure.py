"""Changes of a model's structure that its configuration cannot express: the shape manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from autocompress.errors import ModelError
from autocompress.frozen import Frozen
from autocompress.strict import validate

if TYPE_CHECKING:
    from torch import Tensor, nn

Size = Annotated[int, Field(ge=1, strict=True)]
SizeAttribute = Literal[
    "in_features",
    "out_features",
    "in_channels",
    "out_channels",
    "groups",
    "num_features",
    "nf",
    "nx",
    "num_heads",
    "num_attention_heads",
    "n_heads",
    "all_head_size",
    "dim",
]
"""Integer attributes of modules that say a size: the only ones that a manifest may change."""


class Resized(Frozen):
    """A module's own parameters and buffers by name with their shapes, and its integer attributes that say sizes."""

    shapes: dict[str, tuple[Size, ...]] = {}
    attributes: dict[SizeAttribute, Size] = {}


class Factored(Frozen):
    """A linear layer that became two in a row: in_features to rank without bias, rank to out_features."""

    in_features: Size
    out_features: Size
    rank: Size


class Structure(Frozen):
    """What differs from the module that the configuration builds, by module path.

    A manifest comes from a stranger: it may only make what is there smaller.
    """

    resized: dict[str, Resized] = {}
    factored: dict[str, Factored] = {}

    @classmethod
    def read(cls, plain: Any, where: str) -> Structure:
        """Read what `plain` gave.

        Raises:
            ModelError: unknown keys, sizes that are no positive integers, attributes that say no size.
        """
        return validate(cls, plain, where=where, error=ModelError)

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return self.model_dump(mode="json")

    @property
    def is_empty(self) -> bool:
        """Whether the configuration says it all."""
        return not self.resized and not self.factored

    def with_sizes(self, before: Mapping[str, Resized], module: nn.Module) -> Structure:
        """With the changes of size that ``module`` went through since its `sizes_of` were ``before``."""
        resized = dict(self.resized)
        for path, now in sizes_of(module).items():
            then = before[path]
            known = resized.get(path, Resized())
            shapes = {name: shape for name, shape in now.shapes.items() if shape != then.shapes[name]}
            attributes = {name: value for name, value in now.attributes.items() if value != then.attributes[name]}
            if shapes or attributes:
                resized[path] = Resized(
                    shapes={**known.shapes, **shapes}, attributes={**known.attributes, **attributes}
                )
        return Structure(resized=resized, factored=self.factored)

    def with_factors(self, path: str, factored: Factored) -> Structure:
        """With a linear layer in two factors, whatever its size was before."""
        resized = {name: change for name, change in self.resized.items() if name != path}
        return Structure(resized=resized, factored={**self.factored, path: factored})

    def renamed(self, paths: Mapping[str, str | None]) -> Structure:
        """With modules under other paths; what lies under a path that became None is gone."""
        return Structure(resized=_renamed(self.resized, paths), factored=_renamed(self.factored, paths))


def _renamed(changes: Mapping[str, Any], paths: Mapping[str, str | None]) -> dict[str, Any]:
    renamed = {}
    for path, change in changes.items():
        old = next((old for old in paths if path == old or path.startswith(f"{old}.")), None)
        if old is None:
            renamed[path] = change
        elif (new := paths[old]) is not None:
            renamed[new + path.removeprefix(old)] = change
    return renamed


def sizes_of(module: nn.Module) -> dict[str, Resized]:
    """Shapes and sizes of every module in it by path, to be compared after a change; see `Structure.with_sizes`."""
    return {path: Resized(shapes=_shapes(part), attributes=_attributes(part)) for path, part in module.named_modules()}


def restructure(module: nn.Module, structure: Structure) -> None:
    """Give a freshly built module this structure, in place; the values of what changes are zero afterwards.

    Raises:
        ModelError: a path, a name or an attribute is not there, or would grow.
    """
    for path, change in structure.resized.items():
        part = _part(module, path)
        tensors = _tensors(part)
        for name, shape in change.shapes.items():
            _set_tensor(part, f"{path}.{name}", name, tensors.get(name), shape)
        attributes = _attributes(part)
        for attribute, size in change.attributes.items():
            if size > attributes.get(attribute, 0):
                raise _misfit(f"{path}.{attribute}", f"is {attributes.get(attribute)}, which cannot become {size}")
            setattr(part, attribute, size)
    for path, factored in structure.factored.items():
        part = _part(module, path)
        in_features, out_features = _linear_sizes(part, path)
        if (
            factored.in_features > in_features
            or factored.out_features > out_features
            or factored.rank > min(factored.in_features, factored.out_features)
        ):
            raise _misfit(path, f"of {in_features} inputs and {out_features} outputs has no such factors")
        replace_by_factors(module, path, factored)


def replace_by_factors(module: nn.Module, path: str, factored: Factored) -> nn.Sequential:
    """Put two linear layers, of zeros, in place of the one at ``path``; gives them.

    The second has the original's bias, if there was one.
    """
    import torch
    from torch import nn

    original: Any = module.get_submodule(path)
    like = {"device": original.weight.device, "dtype": original.weight.dtype}
    first = nn.Linear(factored.in_features, factored.rank, bias=False, **like)
    second = nn.Linear(factored.rank, factored.out_features, bias=original.bias is not None, **like)
    factors = nn.Sequential(first, second).requires_grad_(False).train(original.training)
    with torch.no_grad():
        for parameter in factors.parameters():
            parameter.zero_()
        if second.bias is not None and original.bias.shape == second.bias.shape:
            second.bias.copy_(original.bias)
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, factors)
    return factors


def _part(module: nn.Module, path: str) -> nn.Module:
    try:
        return module.get_submodule(path)
    except AttributeError:
        raise _misfit(path, "is not in this model") from None


def _set_tensor(part: nn.Module, place: str, name: str, old: Tensor | None, shape: tuple[int, ...]) -> None:
    import torch
    from torch import nn

    if old is None:
        raise _misfit(place, "is not in this model")
    if len(shape) != old.dim() or any(new > size for new, size in zip(shape, old.shape, strict=True)):
        raise _misfit(place, f"of shape {tuple(old.shape)} cannot become {shape}")
    values = torch.zeros(shape, dtype=old.dtype, device=old.device)
    setattr(part, name, nn.Parameter(values, requires_grad=False) if isinstance(old, nn.Parameter) else values)


def _linear_sizes(part: nn.Module, path: str) -> tuple[int, int]:
    from torch import nn

    if isinstance(part, nn.Linear):
        return part.in_features, part.out_features
    if type(part).__name__ == "Conv1D":  # GPT-2's, stored transposed
        rows, columns = part.get_parameter("weight").shape
        return rows, columns
    raise _misfit(path, f"is a {type(part).__name__}, which has no factors")


def _misfit(place: str, problem: str) -> ModelError:
    return ModelError(f"the shape manifest does not fit the model: {place} {problem}")


def _tensors(part: nn.Module) -> dict[str, Tensor]:
    return {**dict(part.named_parameters(recurse=False)), **dict(part.named_buffers(recurse=False))}


def _shapes(part: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in _tensors(part).items()}


def _attributes(part: nn.Module) -> dict[SizeAttribute, int]:
    found: dict[SizeAttribute, int] = {}
    for name in get_args(SizeAttribute):
        value = vars(part).get(name)
        if type(value) is int and value > 0:
            found[name] = value
    return found
