"""Structured pruning of convolution channels, along the dependencies that torch-pruning finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from autocompress.batches import as_tensors
from autocompress.compressible import CompressibleModel, StepContext
from autocompress.errors import Unsupported
from autocompress.facts import ModelFacts
from autocompress.methods.loss_gradients import loss_gradients, why_no_loss
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Choice, Phase, Range, Step
from autocompress.structure import sizes_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import Inputs

MOSTLY = 0.5
"""Below this share of a model's parameters, convolutions are not what makes it large."""


class Channels(Step, tag="channels"):
    """Keep a share of the channels of every convolution, the most important ones.

    Channels that a residual connection, a norm or a next layer ties together go together: such a group is found by
    torch-pruning's dependency graph. Groups whose layers do not all have equally many channels (as behind a shortcut
    that pads with zeros) stay whole, and so do the model's inputs and outputs. The number that stays is the share
    ``keep``, rounded to a ``multiple``.

    ``magnitude`` is the L2 norm over all weights into and out of a group's channel. ``taylor`` is the mean over the
    labelled training data of how much the loss would change, to first order, without the channel's kernels.

    Source: Fang et al. 2023, DepGraph, arXiv:2301.12900, section 3 (groups, norm); Molchanov et al. 2019, Importance
    Estimation for Neural Network Pruning, arXiv:1906.10771, section 3 (Taylor).
    """

    phase = Phase.STRUCTURE
    summary = "Drop the least important channels of convolutions"
    needs_calibration = True

    keep: Annotated[float, Field(gt=0, lt=1), Range(0.3, 0.9, 0.1)] = 0.7
    importance: Annotated[Literal["magnitude", "taylor"], Choice("magnitude", "taylor")] = "magnitude"
    multiple: Annotated[int, Field(ge=1, le=256)] = 4

    @property
    def reads_training(self) -> bool:
        """See `Step.reads_training`."""
        return self.importance == "taylor"

    def count_for(self, count: int) -> int:
        """How many channels stay of so many."""
        return min(count, max(1, round(count * self.keep / self.multiple)) * self.multiple)

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if facts.share("convolution") <= MOSTLY:
            return "the model is not mostly convolutions"
        if all(self.count_for(w.out_features) >= w.out_features for w in facts.of_kind("convolution")):
            return f"keep {self.keep} of every convolution's channels, in multiples of {self.multiple}, drops none"
        return why_no_loss(facts) if self.importance == "taylor" else None

    def refuses_after(self, earlier: Sequence[Step], facts: ModelFacts) -> str | None:
        """See `Step.refuses_after`."""
        del facts
        if any(step.tag == "low_rank" for step in earlier):
            return "channels would change the factors that low_rank leaves; put channels before low_rank"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        stem = next((weight.name for weight in outline.facts.of_kind("convolution")), "")

        def narrowed(group: WeightGroup) -> WeightGroup:
            if group.fact.kind == "embedding" or group.role:
                return group
            rows, columns = group.fact.out_features, group.fact.in_features
            is_kernel = group.fact.kind == "convolution"
            kept = 1.0 if group.fact.name == stem else self.keep
            return group.resized(self.count_for(rows) if is_kernel else rows, max(1, round(columns * kept)))

        tensors = (
            replace(group, n_elements=self.count_for(group.n_elements)) if group.kind == "batch norm" else group
            for group in outline.tensors
        )
        n_kernels = sum(group.count for group in outline.weights if group.fact.kind == "convolution")
        narrower = replace(outline.changed(narrowed), tensors=tuple(tensors))
        # Which groups of channels stay whole, only a call of the model tells: then files are larger than this, by how
        # much nobody knows, but not smaller.
        return replace(narrower, in_manifest=outline.in_manifest + 2 * n_kernels).expected()

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Narrow convolutions and whatever depends on their channels.

        Raises:
            Unsupported: no inputs to trace the model with, no channels that can go alone, or nothing for ``taylor``.
            NonFiniteWeight: a weight holds inf or nan.
        """
        model.require_finite()
        before = sizes_of(model.module)
        graph = _dependencies(model.module, _example(context), context.device)
        found = _groups(model.module, graph)
        groups = [group for group in found if self.count_for(len(group[0][1])) < len(group[0][1])]
        if not groups:
            raise Unsupported("no channels of a convolution can be dropped without changing others unevenly")
        if self.importance == "taylor":
            scores = by_gradient(model.module, graph, groups, context)
        else:
            scores = [by_norm(graph, group) for group in groups]
        for index, (group, score) in enumerate(zip(groups, scores, strict=True)):
            count = len(group[0][1])
            dropped = score.topk(count - self.count_for(count), largest=False).indices.sort().values
            first = group[0][0]
            graph.get_pruning_group(first.target.module, first.handler, dropped.tolist()).prune()
            context.progress(index + 1, len(groups))
        model.module.requires_grad_(False)
        model.structure = model.structure.with_sizes(before, model.module)


def _example(context: StepContext) -> Inputs:
    inputs: Any = context.example or next(iter(context.calibration()), None)
    if not inputs:
        raise Unsupported("channels follows one call of the model, and there is no data to make it of")
    return inputs  # type: ignore[no-any-return]


def _dependencies(module: nn.Module, inputs: Inputs, device: str) -> Any:
    """The dependency graph of a module, traced with one call."""
    import torch
    import torch_pruning

    for parameter in module.parameters():  # it follows the graph of gradients
        parameter.requires_grad_(True)
    with torch.enable_grad():
        return torch_pruning.DependencyGraph().build_dependency(
            module, example_inputs=as_tensors(inputs, device), verbose=False
        )


def _groups(module: nn.Module, graph: Any) -> list[Any]:
    """What goes with each convolution's output channels, where all of it has these channels one to one."""
    from torch import nn

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    outputs = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    groups = graph.get_all_groups(ignored_layers=outputs, root_module_types=kinds)
    return [
        group
        for group in groups
        if all(_is_even(graph, dependency, indices, len(group[0][1])) for dependency, indices in group)
    ]


def _is_even(graph: Any, dependency: Any, indices: Sequence[int], count: int) -> bool:
    """Whether a member of a group has its channels one to one, or a linear layer several inputs for each of them."""
    from torch import nn

    layer = dependency.target.module
    if isinstance(layer, nn.Module) and not any(True for _ in layer.parameters()):
        return True
    if isinstance(layer, nn.Linear):
        return len(indices) % count == 0 and list(indices) == list(range(layer.in_features))
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        is_out = graph.is_out_channel_pruning_fn(dependency.handler)
        channels = layer.out_channels if is_out else layer.in_channels
        if layer.groups not in (1, channels):
            return False
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        channels = layer.num_features
    else:
        return False
    return channels == count and list(indices) == list(range(count))


def by_norm(graph: Any, group: Any) -> Tensor:
    """The norm of the weights into and out of each of a group's channels, shape (channels,)."""
    count = len(group[0][1])
    squares = []
    for weight, is_out in _weights(graph, group):
        by_channel = weight if is_out else weight.transpose(0, 1)
        squares.append(by_channel.detach().double().reshape(count, -1).square().sum(dim=1))
    return sum(squares[1:], squares[0]).sqrt()


def by_gradient(module: nn.Module, graph: Any, groups: Sequence[Any], context: StepContext) -> list[Tensor]:
    """For each group the summed absolute first-order change of the loss without a channel's kernels, (channels,)."""
    import torch

    kernels = [[weight for weight, is_out in _weights(graph, group) if is_out] for group in groups]
    scores = [torch.zeros(len(group[0][1]), dtype=torch.float64, device=context.device) for group in groups]
    flat = [weight for weights in kernels for weight in weights]
    for gradients in loss_gradients(module, flat, context):
        remaining = iter(gradients)
        for score, weights in zip(scores, kernels, strict=True):
            products = [weight.detach().double() * next(remaining).double() for weight in weights]
            score += sum((product.flatten(1).sum(dim=1) for product in products), torch.zeros_like(score)).abs()
    return scores


def _weights(graph: Any, group: Any) -> Iterator[tuple[Tensor, bool]]:
    """Weights of a group's convolutions and linear layers, and whether the channels are their outputs."""
    from torch import nn

    for dependency, _ in group:
        layer = dependency.target.module
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            yield layer.weight, graph.is_out_channel_pruning_fn(dependency.handler)
