"""Structured pruning of attention heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from autocompress.attention_heads import CONFIG_FIELDS, Attention, AttentionBlock, count_attributes, find_attention
from autocompress.compressible import CompressibleModel, StepContext
from autocompress.errors import Unsupported
from autocompress.facts import ModelFacts
from autocompress.methods.loss_gradients import loss_gradients, why_no_loss
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Choice, Phase, Step
from autocompress.structure import sizes_of

if TYPE_CHECKING:
    from torch import Tensor, nn


class Heads(Step, tag="heads"):
    """Keep a share of the attention heads, the most important ones of every block, equally many in each.

    Query heads that share keys and values go together. ``magnitude`` is the L2 norm of a head's weights: its rows of
    the value projection and its columns of the projection back. ``taylor`` is the mean over the labelled training data
    of the loss's absolute derivative with respect to a factor on the head's output.

    Where the modules, not the configuration, would have to say the new number, a shape manifest says it.

    Source: Michel et al. 2019, Are Sixteen Heads Really Better than One?, arXiv:1905.10650, section 4.1.
    """

    phase = Phase.STRUCTURE
    summary = "Drop the least important attention heads of every layer"

    keep: Annotated[float, Field(gt=0, lt=1), Choice(0.34, 0.5, 0.67, 0.84)] = 0.67
    importance: Annotated[Literal["magnitude", "taylor"], Choice("magnitude", "taylor")] = "magnitude"

    @property
    def reads_training(self) -> bool:
        """See `Step.reads_training`."""
        return self.importance == "taylor"

    def count_for(self, count: int) -> int:
        """How many heads, or groups of them, stay of so many."""
        return max(1, int(count * self.keep + 0.5))

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if facts.head_groups is None:
            return "the model has no attention heads that can be told from the shapes of its layers"
        if self.count_for(facts.head_groups) >= facts.head_groups:
            return f"keep {self.keep} of {facts.head_groups} heads that can be dropped one by one drops none"
        return why_no_loss(facts) if self.importance == "taylor" else None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        groups = outline.facts.head_groups or 1
        kept = self.count_for(groups) / groups

        def narrowed(group: WeightGroup) -> WeightGroup:
            rows, columns = group.fact.out_features, group.fact.in_features
            if group.role == "heads in":
                return group.resized(round(rows * kept), columns)
            return group.resized(rows, round(columns * kept)) if group.role == "heads out" else group

        tensors = (
            replace(group, n_elements=round(group.n_elements * kept)) if group.role == "heads in" else group
            for group in outline.tensors
        )
        by_heads = sum(group.count for group in outline.weights if group.role in ("heads in", "heads out"))
        in_manifest = 0.0 if outline.facts.heads_in_config else by_heads * 5 / 4  # the modules around them count heads
        narrower = replace(outline.changed(narrowed), tensors=tuple(tensors))
        return replace(narrower, in_manifest=outline.in_manifest + in_manifest)

    def refuses_after(self, earlier: Sequence[Step], facts: ModelFacts) -> str | None:
        """See `Step.refuses_after`."""
        del facts
        if any(step.tag == "low_rank" for step in earlier):
            return "heads cannot be told apart in the factors that low_rank leaves; put heads before low_rank"
        return None

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Narrow the projections into and out of the heads.

        Raises:
            Unsupported: the heads were not found, or ``taylor`` has nothing to measure with.
            NonFiniteWeight: a weight holds inf or nan.
        """
        model.require_finite()
        attention = find_attention(model.module)
        if attention is None:
            raise Unsupported("the attention heads cannot be told from the shapes of the layers")
        before = sizes_of(model.module)
        scores = by_gradient(model.module, attention, context) if self.importance == "taylor" else by_norm(attention)
        for index, (block, score) in enumerate(zip(attention.blocks, scores, strict=True)):
            kept = score.topk(self.count_for(block.n_groups)).indices.sort().values
            keep_groups(block, kept)
            context.progress(index + 1, len(attention.blocks))
        if attention.in_config:
            _override(model, attention.blocks[0], self.count_for(attention.n_groups))
        else:
            model.structure = model.structure.with_sizes(before, model.module)


def by_norm(attention: Attention) -> list[Tensor]:
    """For each block the norm of each group's weights from value to output, shape (n_groups,)."""
    scores = []
    for block in attention.blocks:
        values = block.value.weight.detach().double().reshape(block.n_groups, -1).square().sum(dim=1)
        outputs = _by_group(block, block.out.weight.detach().double().square())
        scores.append((values + outputs).sqrt())
    return scores


def by_gradient(module: nn.Module, attention: Attention, context: StepContext) -> list[Tensor]:
    """For each block the mean absolute derivative of the loss by a factor on each group's output, shape (n_groups,).

    That factor multiplies the group's columns of the output projection, so its derivative is the sum over them of
    gradient times weight.
    """
    import torch

    weights = [block.out.weight for block in attention.blocks]
    scores = [torch.zeros(block.n_groups, dtype=torch.float64, device=context.device) for block in attention.blocks]
    for gradients in loss_gradients(module, weights, context):
        for score, block, gradient in zip(scores, attention.blocks, gradients, strict=True):
            score += _by_group(block, gradient.double() * block.out.weight.detach().double()).abs()
    return scores


def _by_group(block: AttentionBlock, columns: Tensor) -> Tensor:
    """Sums over each group's columns of the output projection."""
    return columns.sum(dim=0).reshape(block.n_groups, -1).sum(dim=1)


def keep_groups(block: AttentionBlock, kept: Tensor) -> None:
    """Keep only these groups of heads of a block, given by rising indices."""
    sizes = count_attributes(block)
    queries, values = (_features(kept, width) for width in (block.group_width, block.head_width))
    n_heads = len(kept) * (block.n_heads // block.n_groups)
    for linear, rows in ((block.query, queries), (block.key, values), (block.value, values)):
        linear.weight = _parameter(linear.weight[rows])
        if linear.bias is not None:
            linear.bias = _parameter(linear.bias[rows])
        linear.out_features = len(rows)
    block.out.weight = _parameter(block.out.weight[:, queries])
    block.out.in_features = len(queries)
    for name, per_head in sizes.items():
        setattr(block.owner, name, per_head * n_heads)


def _features(groups: Tensor, width: int) -> Tensor:
    import torch

    return (groups[:, None] * width + torch.arange(width, device=groups.device)).flatten()


def _parameter(values: Tensor) -> nn.Parameter:
    import torch

    return torch.nn.Parameter(values.detach().clone(memory_format=torch.contiguous_format), requires_grad=False)


def _override(model: CompressibleModel, block: AttentionBlock, n_groups: int) -> None:
    """Write the new numbers of heads, and their width, which would otherwise follow from them."""
    counts = dict(zip(CONFIG_FIELDS, (n_groups * (block.n_heads // block.n_groups), n_groups), strict=True))
    for field, value in {**counts, "head_dim": block.head_width}.items():
        setattr(model.module.config, field, value)
        model.overrides[field] = value
