"""Where the scales of a layer's inputs can be folded into what comes before the layer, and the folding itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autocompress.batches import as_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import CompressibleModel, Inputs, Weight

N_CANDIDATES = 3
"""Of the fitting modules that run before a layer, so many are tried, the last one first: of query, key and value any
may be the last one."""
LARGEST_PROBE = 12
"""Probes divide by powers of two up to this one, far enough to reach the bounds of what clamps."""


@dataclass(frozen=True)
class Fold:
    """A module and all the layers that read its output, feature by feature what it gives or a fixed share of it.

    Attributes:
        producer: a normalisation with a factor per feature, or a linear layer.
        consumers: the weights of the layers.
    """

    producer: nn.Module
    consumers: tuple[Weight, ...]

    def apply(self, scales: Tensor) -> None:
        """Divide the producer's output by positive scales of shape (features,), multiply the consumers' columns.

        The model computes what it did. Codes and encodings that were chosen before are no longer those of the weights.
        """
        for rows in _rows(self.producer):
            rows.div_(scales.reshape(-1, *[1] * (rows.dim() - 1)))
        for weight in self.consumers:
            weight.write(weight.matrix * scales)


def find_folds(
    model: CompressibleModel, sharing: Sequence[Sequence[Weight]], call: Inputs, device: str
) -> dict[str, Fold]:
    """The folds of layers that are about to be coded together; keys are the name of each one's first consumer.

    Such are a normalisation that only these layers read, a gated feed-forward block's projection whose output is
    multiplied by the gate, and the values of an attention without grouped queries. They are found by trying: scaling
    by powers of two is exact in floating point, so a candidate is right if the model's output keeps every bit, whatever
    stands between.

    Args:
        model: its module in evaluation mode, on ``device``.
        sharing: linear weights none of which is coded yet, those together that read the same tensor.
        call: inputs of the forward passes that it takes: one, and up to `N_CANDIDATES` for each of ``sharing``.
        device: where the passes run.
    """
    own = {id(weight.parameter) for together in sharing for weight in together}
    coded = {id(weight.parameter) for weight in model.weights() if weight.name in model.encodings} - own
    producers = {
        path: module
        for path, module in model.module.named_modules()
        if _rows(module) and id(module.weight) not in coded
    }
    outputs, order = _traced(model.module, producers, call, device)
    folds: dict[str, Fold] = {}
    for together in sharing:
        layers = [weight.name.rpartition(".")[0] for weight in together]
        if not set(layers) <= set(order):  # convolutions, and layers that this call does not reach
            continue
        before = [producers[path] for path in order[: min(map(order.index, layers))]]
        fitting = [module for module in reversed(before) if len(_rows(module)[0]) == together[0].fact.in_features]
        tried = (Fold(module, tuple(together)) for module in fitting[:N_CANDIDATES])
        found = next((fold for fold in tried if _is_exact(fold, model.module, outputs, call, device)), None)
        if found is not None:
            folds[together[0].name] = found
    return folds


def _rows(module: nn.Module) -> list[Tensor]:
    """Views of a module's weight and bias, if it has any, output features first; none where it cannot be a producer."""
    from torch import nn

    weight, bias = (dict(module.named_parameters(recurse=False)).get(name) for name in ("weight", "bias"))
    transposed = type(module).__name__ == "Conv1D"
    if weight is None or not (weight.dim() == 1 or transposed or isinstance(module, nn.Linear)):
        return []
    rows = [weight.data.T if transposed else weight.data]
    return rows if bias is None else [*rows, bias.data]


def _traced(
    module: nn.Module, watched: Mapping[str, nn.Module], call: Inputs, device: str
) -> tuple[list[Tensor], list[str]]:
    """What one pass gives, and the names of the watched modules in the order in which they ran first."""
    order: dict[str, None] = {}

    def keep(path: str) -> Callable[..., None]:
        return lambda *_: order.setdefault(path)

    with ExitStack() as hooks:
        for path, part in watched.items():
            hooks.enter_context(part.register_forward_hook(keep(path)))
        return _outputs(module, call, device), list(order)


def _outputs(module: nn.Module, call: Inputs, device: str) -> list[Tensor]:
    """The tensors that a pass gives; what stands deeper, such as caches of keys and values, only the model reads."""
    import torch

    with torch.inference_mode():
        given: Any = module(**as_tensors(call, device))
    values = given.values() if isinstance(given, Mapping) else given if isinstance(given, tuple | list) else [given]
    return [value for value in values if isinstance(value, torch.Tensor)]


def _is_exact(fold: Fold, module: nn.Module, outputs: Sequence[Tensor], call: Inputs, device: str) -> bool:
    """Whether no bit of the outputs changes when the fold is applied; afterwards the model is as it was."""
    import torch

    n_features = fold.consumers[0].fact.in_features
    powers = torch.randint(-LARGEST_PROBE, LARGEST_PROBE + 1, (n_features,), generator=torch.Generator().manual_seed(0))
    with _restored(fold):
        fold.apply((2.0**powers).to(device))
        found = _outputs(module, call, device)
    return len(found) == len(outputs) and all(map(torch.equal, found, outputs))


@contextmanager
def _restored(fold: Fold) -> Iterator[None]:
    """Puts back, at the end, the values of all that the fold changes."""
    changed = [*_rows(fold.producer), *(weight.parameter.data for weight in fold.consumers)]
    kept = [tensor.clone() for tensor in changed]
    try:
        yield
    finally:
        for tensor, values in zip(changed, kept, strict=True):
            tensor.copy_(values)
