"""Quantization-aware training: the weights learn to be rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight
from autocompress.encodings import GroupedIntegers
from autocompress.methods.coding import encode_integers
from autocompress.methods.distilling import Distilling, Student, as_parameter, straight_through
from autocompress.methods.integer_coding import IntegerCoding, covering_grid, round_to_nearest
from autocompress.recipe import Choice, Phase

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST_ACTIVATION_CODE = 255


class QuantizationAwareTraining(IntegerCoding, Distilling, tag="qat"):
    """Short training with rounded weights, towards the original's answers and the labels.

    In every pass the weights of the scope are rounded as `rtn` does it: in groups of ``group_size`` input columns that
    share a scale; the gradient goes through the rounding as if it weren't there, to the weights in full precision.
    Biases, norms and weights too narrow for a group are trained as they are. Embeddings are rounded before
    and stand still unless ``train_embeddings``. With ``activations`` what goes into linear layers is rounded too, to 8
    bits over the range of each sample, as `int8_dynamic` does it at run time. What else the knobs mean, `distil` says.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 3; the gradient is that of Bengio et al. 2013,
    arXiv:1308.3432.
    """

    phase = Phase.QUANTIZE
    summary = "Train the model with its weights rounded to a few bits"

    steps: Annotated[int, Field(ge=1, le=1_000_000), Choice(100, 300, 1000)] = 300
    activations: bool = False

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Train, then replace weights by their decoded values and record a `GroupedIntegers` encoding for each.

        Raises:
            Unsupported: there are no training rows, or the loss is no longer finite.
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        planned = self.planned(model, context)
        bits = {weight.name: width for weight, width in planned}
        trained = [weight for weight, _ in planned if weight.kind != "embedding" or self.train_embeddings]
        trained_names = {weight.name for weight in trained}
        for weight, width in planned:
            if weight.name not in trained_names:
                encode_integers(model, weight, self._integers(weight, width))
        student = _RoundedStudent(model, trained, lambda matrix, name: self._values(matrix, bits[name]))
        with _rounded_inputs(model.module) if self.activations else nullcontext():
            self.teach(model, context, student)
        student.store(model)
        for weight in trained:
            encode_integers(model, weight, self._integers(weight, bits[weight.name]))

    def _integers(self, weight: Weight, bits: int) -> GroupedIntegers:
        return round_to_nearest(weight.matrix, bits, self.group_size, self.symmetric)

    def _values(self, matrix: Tensor, bits: int) -> Tensor:
        """What the matrix is rounded to."""
        grid = covering_grid(matrix, bits, self.group_size, self.symmetric)
        return grid.values(grid.codes(matrix))


class _RoundedStudent(Student):
    """Computes with rounded weights, trains those in full precision."""

    def __init__(
        self, model: CompressibleModel, rounded: list[Weight], values_of: Callable[[Tensor, str], Tensor]
    ) -> None:
        super().__init__(model)
        self.rounded = rounded
        self.values_of = values_of

    def values(self, step: int) -> dict[str, Tensor]:
        """See `Student.values`."""
        held = super().values(step)
        for weight in self.rounded:
            values = as_parameter(weight, self.values_of(weight.matrix, weight.name))
            held[weight.name] = straight_through(held.get(weight.name, weight.parameter), values)
        return held


@contextmanager
def _rounded_inputs(module: nn.Module) -> Iterator[None]:
    """Round what goes into linear layers, for as long as the context lasts."""
    from torch import nn

    def hook(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        del layer
        return (straight_through(inputs[0], round_per_sample(inputs[0])), *inputs[1:])

    with ExitStack() as hooks:
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                hooks.enter_context(layer.register_forward_pre_hook(hook))
        yield


def round_per_sample(inputs: Tensor) -> Tensor:
    """The nearest of 256 values evenly spaced over each sample's range, which zero is made to belong to."""
    import torch

    samples = inputs.detach().flatten(1)
    shape = (-1, *[1] * (inputs.dim() - 1))
    low = samples.amin(dim=1).clamp(max=0).view(shape)
    scale = (samples.amax(dim=1).clamp(min=0).view(shape) - low) / LARGEST_ACTIVATION_CODE
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero = (-low / scale).round()
    return ((inputs.detach() / scale).round() + zero).clamp(0, LARGEST_ACTIVATION_CODE).sub(zero) * scale
