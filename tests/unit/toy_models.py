"""Shapes of models that do not exist, and the spaces of all installed methods and formats on them."""

from __future__ import annotations

from autocompress import registry
from autocompress.facts import ModelFacts, WeightFact, WeightKind
from autocompress.space import SearchSpace


def facts_of(weights: list[tuple[WeightKind, int, int]], feed_forward_width: int | None) -> ModelFacts:
    return ModelFacts(
        architecture="Toy",
        task="text-classification",
        n_parameters=sum(rows * columns for _, rows, columns in weights) + 100,
        weights=tuple(
            WeightFact(name=f"{number}.weight", kind=kind, out_features=rows, in_features=columns)
            for number, (kind, rows, columns) in enumerate(weights)
        ),
        feed_forward_width=feed_forward_width,
    )


MODELS = {
    "bert": facts_of([("embedding", 30_000, 384), *[("linear", 384, 384)] * 4, ("linear", 1536, 384)], 1536),
    "narrow": facts_of([("embedding", 100, 40), ("linear", 40, 40), ("linear", 40, 80)], 80),
    "convolutions": facts_of([*[("convolution", 64, 576)] * 6, ("linear", 10, 64)], None),
    "embeddings only": facts_of([("embedding", 1000, 64)], None),
}


def space_on(model: str, device: str = "cpu", seed: int = 0) -> SearchSpace:
    formats = {name: kind() for name, kind in registry.load_all("formats").items() if kind.searched}
    return SearchSpace(registry.load_all("methods"), formats, MODELS[model], device, seed)
