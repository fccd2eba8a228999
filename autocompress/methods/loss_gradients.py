"""Gradients of the model's own loss, for the methods that judge by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from autocompress.batches import as_tensors, batches
from autocompress.errors import Unsupported

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import StepContext
    from autocompress.facts import ModelFacts

MOST_CALLS = 256
CALLS_AT_ONCE = 8


def why_no_loss(facts: ModelFacts) -> str | None:
    """Why a model cannot tell its loss, or None."""
    if facts.task == "own":
        return "taylor needs the model's own loss, which that of a task file does not tell; use importance: magnitude"
    return None


def loss_gradients(
    module: nn.Module, parameters: Sequence[Tensor], context: StepContext
) -> Iterator[tuple[Tensor, ...]]:
    """For each batch of labelled training inputs, the gradients of the loss with respect to ``parameters``.

    A parameter that the loss does not depend on has a gradient of zeros.

    Raises:
        Unsupported: there are no training inputs, or the model gives no loss on them.
    """
    import torch

    flags = [parameter.requires_grad for parameter in parameters]
    calls = context.training()[:MOST_CALLS]
    if not calls:
        raise Unsupported("taylor needs labelled training data, and there is none", remedy="Use importance: magnitude.")
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for call in batches(calls, CALLS_AT_ONCE):
            with torch.enable_grad():
                outputs = module(**as_tensors(call, context.device))
                loss = outputs.get("loss") if isinstance(outputs, dict) else None
                if loss is None:
                    raise Unsupported("taylor needs a model that gives its loss", remedy="Use importance: magnitude.")
                gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
            yield gradients
    finally:
        for parameter, flag in zip(parameters, flags, strict=True):
            parameter.requires_grad_(flag)
