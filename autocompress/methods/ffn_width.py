"""Structured pruning of the feed-forward width: whole neurons go, and every runtime gets faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocompress.compressible import CompressibleModel, NonFiniteWeight, StepContext
from autocompress.errors import Unsupported
from autocompress.facts import ModelFacts
from autocompress.feed_forward import FeedForwardBlock, find_feed_forward
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Phase, Range, Step

if TYPE_CHECKING:
    from torch import Tensor, nn


class FfnWidth(Step, tag="ffn_width"):
    """Keep the strongest neurons of every feed-forward block, equally many in each.

    A neuron's strength is the L2 norm over all weights into it (its rows of the projections up, the gate's included)
    and out of it (its column of the projection down). The new width is the share ``keep`` of the old one, rounded to a
    ``multiple``, and is written into the model's configuration, so that plain ``from_pretrained`` loads the result.

    Source: Li et al. 2017, Pruning Filters for Efficient ConvNets, arXiv:1608.08710, section 3, on neurons.
    """

    phase = Phase.STRUCTURE
    summary = "Narrow every feed-forward block to its strongest neurons"

    keep: Annotated[float, Field(gt=0, lt=1), Range(0.25, 0.9, 0.05)] = 0.75
    multiple: Annotated[int, Field(ge=1, le=256)] = 8

    def width_for(self, width: int) -> int:
        """The new width for an old one."""
        return max(1, round(width * self.keep / self.multiple)) * self.multiple

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        width = facts.feed_forward_width
        if width is None:
            return "the model's configuration has no single feed-forward width that could be made smaller"
        if self.width_for(width) >= width:
            return f"keep {self.keep} of {width} neurons, in multiples of {self.multiple}, drops none"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        width = self.width_for(outline.facts.feed_forward_width or 0)

        def narrowed(group: WeightGroup) -> WeightGroup:
            rows, columns = group.fact.out_features, group.fact.in_features
            if group.role == "feed-forward in":
                return group.resized(width, columns)
            return group.resized(rows, width) if group.role == "feed-forward out" else group

        tensors = (
            replace(group, n_elements=width) if group.role == "feed-forward in" else group for group in outline.tensors
        )
        return replace(outline.changed(narrowed), tensors=tuple(tensors))

    def refuses_after(self, earlier: Sequence[Step], facts: ModelFacts) -> str | None:
        """See `Step.refuses_after`."""
        del facts
        if any(step.tag == "low_rank" for step in earlier):
            return "neurons cannot be told apart in the factors that low_rank leaves; put ffn_width before low_rank"
        return None

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace the projections by narrower ones and override the configuration's width.

        Raises:
            Unsupported: the feed-forward blocks were not found.
            NonFiniteWeight: a weight holds inf or nan.
        """
        found = find_feed_forward(model.module)
        if found is None:
            raise Unsupported("the feed-forward blocks cannot be told from the other layers")
        width = self.width_for(found.width)
        for index, block in enumerate(found.blocks):
            _narrow(block, _strongest(block, width))
            context.progress(index + 1, len(found.blocks))
        for field in found.config_fields:
            setattr(model.module.config, field, width)
            model.overrides[field] = width


def _strongest(block: FeedForwardBlock, width: int) -> Tensor:
    """Indices of the strongest neurons, in their order."""
    strength = block.down.weight.detach().float().square().sum(dim=0)
    for up in block.ups:
        strength = strength + up.weight.detach().float().square().sum(dim=1)
    if not bool(strength.isfinite().all()):
        raise NonFiniteWeight("a feed-forward weight holds inf or nan", remedy="Repair or retrain the model.")
    return strength.topk(width).indices.sort().values


def _narrow(block: FeedForwardBlock, kept: Tensor) -> None:
    """Keep only these neurons of a block."""
    for up in block.ups:
        up.weight = _parameter(up.weight[kept])
        if up.bias is not None:
            up.bias = _parameter(up.bias[kept])
        up.out_features = len(kept)
    block.down.weight = _parameter(block.down.weight[:, kept])
    block.down.in_features = len(kept)


def _parameter(values: Tensor) -> nn.Parameter:
    import torch

    return torch.nn.Parameter(values.detach().clone(memory_format=torch.contiguous_format), requires_grad=False)
