"""Layers that compute as if in int8: what rounding one layer's inputs and weight does to the model's outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from autocompress.batches import as_tensors, batches
from autocompress.sensitivity import sensitivities

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import CompressibleModel, Inputs
    from autocompress.encodings import FloatArray

CALLS_AT_ONCE = 4
LARGEST_UINT8 = 255
LARGEST_INT8 = 127


def integer_sensitivities(
    model: CompressibleModel, calls: Sequence[Inputs], smoothing: Mapping[str, FloatArray], device: str
) -> dict[str, float]:
    """How much the outputs change when a single layer computes in int8, for each layer that the calls reach.

    The layer's input is rounded to uint8 between the least and the largest value that the calls bring, its weight to
    int8 with a scale per output channel, both after the layer's ``smoothing``. Keys are the weights' names; see
    `sensitivity.sensitivities` for the values.
    """
    layers = _layers(model)
    factors = {name: _as_column_factors(layers[name], smoothing[name]) for name in smoothing if name in layers}
    ranges = _ranges(model.module, layers, factors, calls, device)
    alterations = {
        name: partial(_in_integers, layers[name], bounds, factors.get(name)) for name, bounds in ranges.items()
    }
    return sensitivities(model.module, calls, alterations, device)


def _layers(model: CompressibleModel) -> dict[str, nn.Module]:
    """The layers that multiply by a weight, by the weight's name; an output that shares the embedding's among them."""
    from torch import nn

    names = {id(weight.parameter): weight.name for weight in model.weights()}
    found: dict[str, nn.Module] = {}
    for layer in model.module.modules():
        multiplies = isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) or type(layer).__name__ == "Conv1D"
        name = names.get(id(getattr(layer, "weight", None)))
        if multiplies and name is not None:
            found[name] = layer
    return found


def _as_column_factors(layer: nn.Module, factors: FloatArray) -> Tensor:
    import torch

    weight: Tensor = layer.weight  # type: ignore[assignment]
    return torch.from_numpy(factors).to(weight.device, weight.dtype)


def _ranges(
    module: nn.Module,
    layers: Mapping[str, nn.Module],
    factors: Mapping[str, Tensor],
    calls: Sequence[Inputs],
    device: str,
) -> dict[str, tuple[float, float]]:
    """The least and the largest input of each layer that was reached, zero included."""
    import torch

    ranges: dict[str, tuple[float, float]] = {}

    def keep(name: str, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        del layer
        values = inputs[0] / factors[name] if name in factors else inputs[0]
        low, high = ranges.get(name, (0.0, 0.0))
        ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))

    with torch.inference_mode(), ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.enter_context(layer.register_forward_pre_hook(partial(keep, name)))
        for call in batches(calls, CALLS_AT_ONCE):
            module(**as_tensors(call, device))
    return ranges


@contextmanager
def _in_integers(layer: nn.Module, bounds: tuple[float, float], factors: Tensor | None) -> Iterator[None]:
    """The layer computes with rounded inputs and a rounded weight until the context ends."""
    weight: nn.Parameter = layer.weight  # type: ignore[assignment]
    original = weight.data

    def round_inputs(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        del layer
        divided = inputs[0] if factors is None else inputs[0] / factors
        rounded = rounded_to_uint8(divided, *bounds)
        return (rounded if factors is None else rounded * factors, *inputs[1:])

    transposed = type(layer).__name__ == "Conv1D"
    matrix = original.T if transposed else original.reshape(len(original), -1)
    rounded = rounded_to_int8(matrix if factors is None else matrix * factors)
    rounded = rounded if factors is None else rounded / factors
    with layer.register_forward_pre_hook(round_inputs):
        weight.data = (rounded.T if transposed else rounded).reshape(original.shape)
        try:
            yield
        finally:
            weight.data = original


def rounded_to_uint8(values: Tensor, low: float, high: float) -> Tensor:
    """Values as uint8 codes of the range stand for them; the range holds zero."""
    scale = max(high - low, 1e-30) / LARGEST_UINT8
    zero = round(-low / scale)
    return ((values / scale).round().add(zero).clamp(0, LARGEST_UINT8) - zero) * scale


def rounded_to_int8(matrix: Tensor) -> Tensor:
    """A matrix as int8 codes with a scale per row stand for it."""
    scales = (matrix.abs().amax(dim=1, keepdim=True) / LARGEST_INT8).clamp(min=1e-30)
    return (matrix / scales).round() * scales
