"""Dropping whole transformer layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from autocompress.batches import as_tensors, batches
from autocompress.compressible import CompressibleModel, StepContext
from autocompress.errors import Unsupported
from autocompress.facts import ModelFacts
from autocompress.layer_stacks import LayerStack, find_layer_stacks
from autocompress.outline import Outline, layer_stacks
from autocompress.recipe import Choice, Phase, Step

if TYPE_CHECKING:
    from torch import Tensor, nn

CALLS_AT_ONCE = 16


class Layers(Step, tag="layers"):
    """Keep a share of the transformer's layers; the number is written into the configuration.

    ``strategy`` says which: ``even`` keeps layers at equal distances, the first and the last among them; ``last`` drops
    the last ones; ``influence`` drops those that change the hidden states least, by one minus the mean cosine between
    what goes into a layer and what comes out of it over the calibration data. ``part`` chooses between the stacks of an
    encoder-decoder. What stays is also how a smaller student for distillation starts from its teacher's layers.

    Source: Men et al. 2024, ShortGPT, arXiv:2403.03853, section 3 (influence); Sanh et al. 2019, DistilBERT,
    arXiv:1910.01108, section 3 (every other layer).
    """

    phase = Phase.STRUCTURE
    summary = "Drop whole transformer layers"
    needs_calibration = True

    keep: Annotated[float, Field(gt=0, lt=1), Choice(0.34, 0.5, 0.67, 0.84)] = 0.67
    strategy: Annotated[Literal["even", "last", "influence"], Choice("even", "last", "influence")] = "influence"
    part: Annotated[Literal["all", "encoder", "decoder"], Choice("all", "encoder", "decoder")] = "all"

    @property
    def reads_calibration(self) -> bool:
        """See `Step.reads_calibration`."""
        return self.strategy == "influence"

    def count_for(self, count: int) -> int:
        """How many layers stay of so many."""
        return max(1, int(count * self.keep + 0.5))

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if not facts.layer_counts:
            return "the model's configuration has no number of equal layers that could be made smaller"
        counts = [count for part, count in facts.layer_counts.items() if self.part in ("all", part)]
        if not counts:
            return f"the model has no {self.part} apart from the rest; use part: all"
        if all(self.count_for(count) >= count for count in counts):
            return f"keep {self.keep} of {max(counts)} layers drops none"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        stacks = layer_stacks(outline.facts)

        def share(stack: str) -> float:
            part = stacks.get(stack)
            if part is None or self.part not in ("all", part):
                return 1.0
            count = outline.facts.layer_counts[part]
            return self.count_for(count) / count

        return replace(
            outline,
            weights=tuple(replace(group, count=group.count * share(group.stack)) for group in outline.weights),
            tensors=tuple(replace(group, count=group.count * share(group.stack)) for group in outline.tensors),
        )

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Drop layers, renumber the others and override the configuration's numbers.

        Raises:
            Unsupported: the layers were not found, or there is no data to measure their influence with.
            NonFiniteWeight: a weight holds inf or nan.
        """
        model.require_finite()
        stacks = [stack for stack in find_layer_stacks(model.module) if self.part in ("all", stack.part)]
        if not stacks:
            raise Unsupported("the layers cannot be told from the rest of the model")
        for index, stack in enumerate(stacks):
            count = self.count_for(len(stack.layers))
            if self.strategy == "influence":
                kept = most_influential(influences(model.module, stack, context), count)
            else:
                kept = evenly(len(stack.layers), count) if self.strategy == "even" else list(range(count))
            keep_layers(model, stack, kept)
            context.progress(index + 1, len(stacks))


def evenly(count: int, kept: int) -> list[int]:
    """So many of ``count`` indices at equal distances, the first and the last among them; one alone is the first."""
    return [int(index * (count - 1) / max(1, kept - 1) + 0.5) for index in range(kept)]


def most_influential(scores: Sequence[float], kept: int) -> list[int]:
    """Indices of the highest scores, in their order; of equal ones the earlier."""
    return sorted(sorted(range(len(scores)), key=lambda index: -scores[index])[:kept])


def keep_layers(model: CompressibleModel, stack: LayerStack, kept: Sequence[int]) -> None:
    """Leave only these layers of a stack, given by rising indices."""
    from torch import nn

    layers = nn.ModuleList([stack.layers[index] for index in kept])
    for number, layer in enumerate(layers):
        for part in layer.modules():
            if isinstance(getattr(part, "layer_idx", None), int):  # under which a decoder finds its cache
                part.layer_idx = number  # type: ignore[assignment]
    parent, _, name = stack.path.rpartition(".")
    setattr(model.module.get_submodule(parent), name, layers)
    numbers = {old: new for new, old in enumerate(kept)}
    paths = {
        f"{stack.path}.{old}": f"{stack.path}.{numbers[old]}" if old in numbers else None
        for old in range(len(stack.layers))
    }
    model.structure = model.structure.renamed(paths)
    for field in stack.config_fields:
        setattr(model.module.config, field, len(kept))
        model.overrides[field] = len(kept)


def influences(module: nn.Module, stack: LayerStack, context: StepContext) -> list[float]:
    """Each layer's influence: one minus the mean cosine of its input's and its output's rows.

    Raises:
        Unsupported: there is no calibration data.
    """
    import torch

    calls = context.calibration()
    if not calls:
        raise Unsupported("influence is measured on calibration data, and there is none", remedy="Use strategy: even.")
    sums = [0.0] * len(stack.layers)
    rows = 0

    def hook(index: int) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None]:
        def add(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            nonlocal rows
            before: Tensor = args[0] if args else kwargs["hidden_states"]
            after: Tensor = output[0] if isinstance(output, tuple) else output
            cosines = torch.nn.functional.cosine_similarity(before.double(), after.double(), dim=-1)
            sums[index] += float(cosines.sum())
            rows += cosines.numel() if index == 0 else 0

        return add

    with ExitStack() as hooks, torch.inference_mode():
        for index, layer in enumerate(stack.layers):
            hooks.enter_context(layer.register_forward_hook(hook(index), with_kwargs=True))
        for call in batches(calls, CALLS_AT_ONCE):
            module(**as_tensors(call, context.device))
    if not rows:
        raise Unsupported("no calibration call reached the layers", remedy="Use strategy: even.")
    return [1 - total / rows for total in sums]
