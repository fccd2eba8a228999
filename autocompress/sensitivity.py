"""How much a model's output changes when one of its parts is altered: what compression may do to that part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from autocompress.batches import as_tensors, batches
from autocompress.errors import Unsupported

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import Inputs

CALLS_AT_ONCE = 4
LOGITS = "logits"

Alteration = Callable[[], AbstractContextManager[object]]
"""Makes a context in which the model is altered, and after which it is as it was."""


def sensitivities(
    module: nn.Module, calls: Sequence[Inputs], alterations: Mapping[str, Alteration], device: str
) -> dict[str, float]:
    """The mean change of the first float output while each alteration is in force; 0 where nothing changes.

    Of ``logits`` of several classes the Kullback-Leibler divergence from what they are without the alteration, in nats
    per position; of any other output the squared change over the squared output.

    Args:
        module: in evaluation mode, on ``device``.
        calls: inputs of one forward pass each.
        alterations: the contexts to try, one at a time; each is entered anew for every few calls.
        device: where the passes run.

    Raises:
        Unsupported: there are no calls, or the model gives no float output.
    """
    import torch

    if not calls:
        raise Unsupported("sensitivities are measured on calibration data, and there is none")
    sums = dict.fromkeys(alterations, 0.0)
    weights = 0.0
    with torch.inference_mode():
        for call in batches(calls, CALLS_AT_ONCE):
            tensors = as_tensors(call, device)
            name, reference = _first_float(module(**tensors))
            divergence = _mean_divergence if name == LOGITS and reference.shape[-1] > 1 else _relative_error
            share = len(next(iter(call.values())))
            weights += share
            for altered, alteration in alterations.items():
                with alteration():
                    sums[altered] += share * divergence(reference, _first_float(module(**tensors))[1])
    return {name: total / weights for name, total in sums.items()}


def _first_float(outputs: Mapping[str, Any]) -> tuple[str, Tensor]:
    import torch

    for name, value in outputs.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return name, value.float()
    raise Unsupported("the model gives no float output, so its change cannot be measured")


def _mean_divergence(reference: Tensor, altered: Tensor) -> float:
    expected, given = reference.log_softmax(dim=-1), altered.log_softmax(dim=-1)
    return max(0.0, float((expected.exp() * (expected - given)).sum(dim=-1).mean()))


def _relative_error(reference: Tensor, altered: Tensor) -> float:
    scale = float(reference.square().mean())
    return float((altered - reference).square().mean()) / scale if scale else float(altered.square().mean())
