"""What goes into a model's layers: statistics over calibration data, layer group after layer group."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autocompress.batches import as_tensors, batches
from autocompress.errors import Unsupported

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import Inputs, Weight

CALLS_AT_ONCE = 16
_REPEATED_LAYER = re.compile(r"(.*?\.\d+)\.")


@dataclass
class InputStatistics:
    """Sums over all input rows of a layer; a row is one position, or one patch under a convolution's kernel.

    Attributes:
        n_rows: how many rows were seen.
        gram: sum of the outer products of the rows, shape (in_features, in_features), float32.
        sum_abs: sum of magnitudes per input feature, shape (in_features,).
        max_abs: largest magnitude per input feature, shape (in_features,).
    """

    n_rows: int
    gram: Tensor
    sum_abs: Tensor
    max_abs: Tensor

    @classmethod
    def empty(cls, in_features: int, device: str) -> InputStatistics:
        """Of no rows."""
        import torch

        zeros = torch.zeros(in_features, device=device)
        return cls(0, torch.zeros(in_features, in_features, device=device), zeros, zeros.clone())

    def add(self, rows: Tensor) -> None:
        """Take in rows of shape (n, in_features)."""
        import torch

        rows = rows.float()
        self.n_rows += len(rows)
        self.gram.addmm_(rows.T, rows)
        self.sum_abs += rows.abs().sum(dim=0)
        self.max_abs = torch.maximum(self.max_abs, rows.abs().amax(dim=0))

    def divide(self, scales: Tensor) -> None:
        """Make them those of the same rows divided by positive scales of shape (in_features,)."""
        self.gram = self.gram / scales / scales[:, None]
        self.sum_abs = self.sum_abs / scales
        self.max_abs = self.max_abs / scales

    @property
    def mean_abs(self) -> Tensor:
        """Mean magnitude per input feature, shape (in_features,)."""
        return self.sum_abs / max(1, self.n_rows)

    @property
    def norms(self) -> Tensor:
        """L2 norm of each input feature over all rows, shape (in_features,)."""
        return self.gram.diagonal().sqrt()

    def output_error(self, difference: Tensor) -> float:
        """Mean squared change of the layer's output when its weight changes by ``difference``, shape (out, in)."""
        total = ((difference @ self.gram) * difference).sum()
        return float(total) / max(1, self.n_rows * len(difference))


def layer_groups(weights: Iterable[Weight]) -> list[list[Weight]]:
    """Weights of the same repeated layer (``encoder.layer.3``) together, others alone, in the module's order.

    A group is what is compressed at once: its statistics fit in memory, and those of the next group see its effect.
    """
    groups: dict[str, list[Weight]] = {}
    for weight in weights:
        match = _REPEATED_LAYER.match(weight.name)
        groups.setdefault(match[1] if match else weight.name, []).append(weight)
    return list(groups.values())


def observe(
    module: nn.Module,
    weights: Sequence[Weight],
    calls: Sequence[Inputs],
    device: str,
) -> dict[str, InputStatistics]:
    """Run calibration calls and sum up what goes into the layers of these weights; keys are the weights' names.

    Layers that read the same tensor (query, key and value) share one object. Left out are weights without such a layer
    (embeddings, grouped convolutions) and layers that no call reached. A pass ends as soon as all layers were seen.

    Args:
        module: in evaluation mode, on ``device``.
        weights: of linear layers, GPT-2's ``Conv1D`` or ungrouped convolutions.
        calls: inputs of one forward pass each.
        device: where the passes run and the sums lie.

    Raises:
        Unsupported: there are no calls.
    """
    import torch

    if not calls:
        raise Unsupported("this method needs calibration data, and there is none")
    joined = batches(calls, CALLS_AT_ONCE)
    found: dict[str, InputStatistics] = {}
    with torch.inference_mode():
        leaders = _leaders(module, weights, joined[0], device)
        hooks = {name: [] for name in leaders}  # type: dict[str, list[str]]
        for name, leader in leaders.items():
            hooks[leader].append(name)
        led = [weight for weight in weights if hooks.get(weight.name)]
        for weight in led:
            statistics = InputStatistics.empty(weight.fact.in_features, device)
            found |= dict.fromkeys(hooks[weight.name], statistics)
        for call in joined:
            for weight, layer, inputs in _pass(module, led, call, device):
                found[weight.name].add(input_rows(layer, inputs))
    return {name: statistics for name, statistics in found.items() if statistics.n_rows}


def sharing_inputs(weights: Iterable[Weight], found: Mapping[str, InputStatistics]) -> list[list[Weight]]:
    """Weights that share their statistics together, those that have none alone; ``found`` is from `observe`."""
    sharing: dict[int | str, list[Weight]] = {}
    for weight in weights:
        inputs = found.get(weight.name)
        sharing.setdefault(weight.name if inputs is None else id(inputs), []).append(weight)
    return list(sharing.values())


def input_rows(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What a layer multiplies its weight's rows by: shape (n, in_features), kernels flattened as in `Weight.matrix`."""
    from torch import nn
    from torch.nn.functional import pad, unfold

    if not isinstance(layer, nn.Conv1d | nn.Conv2d):
        return inputs.reshape(-1, inputs.shape[-1])
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    inputs = pad(inputs, layer._reversed_padding_repeated_twice)
    if isinstance(layer, nn.Conv1d):
        inputs, kernel, stride, dilation = inputs[:, :, None], (1, *kernel), (1, *stride), (1, *dilation)
    columns = unfold(inputs.float(), kernel, dilation=dilation, stride=stride)
    return columns.transpose(1, 2).reshape(-1, columns.shape[1])


def _leaders(module: nn.Module, weights: Sequence[Weight], call: Inputs, device: str) -> dict[str, str]:
    """For each weight that one pass reaches, the first weight that reads the same tensor."""
    first: dict[tuple[int, str], str] = {}
    leaders: dict[str, str] = {}
    held = []  # so that no tensor's identity is given to another one during the pass
    for weight, layer, inputs in _pass(module, weights, call, device):
        held.append(inputs)
        how = "rows" if "Conv" not in type(layer).__name__ or type(layer).__name__ == "Conv1D" else repr(layer)
        leaders.setdefault(weight.name, first.setdefault((id(inputs), how), weight.name))
    return leaders


def _pass(
    module: nn.Module, weights: Sequence[Weight], call: Inputs, device: str
) -> Iterator[tuple[Weight, nn.Module, Tensor]]:
    """One forward pass; gives each weight with its layer and the layer's input, as often as the layer was called."""
    seen: list[tuple[Weight, nn.Module, Tensor]] = []
    missing = {weight.name for weight in weights}

    def hook(weight: Weight) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def keep(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
            seen.append((weight, layer, inputs[0]))
            missing.discard(weight.name)
            if not missing:
                raise _SeenAllError

        return keep

    with ExitStack() as hooks:
        for weight in weights:
            layer = module.get_submodule(weight.name.rpartition(".")[0])
            if _has_rows(layer):
                hooks.enter_context(layer.register_forward_pre_hook(hook(weight)))
            else:
                missing.discard(weight.name)
        if missing:
            with suppress(_SeenAllError):
                module(**as_tensors(call, device))
    yield from seen


def _has_rows(layer: nn.Module) -> bool:
    from torch import nn

    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros"
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D"


class _SeenAllError(Exception):
    """All layers of a group were seen: the rest of the pass has nothing to tell."""
