"""Low-rank factorisation of linear layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight
from autocompress.errors import Unsupported
from autocompress.facts import ModelFacts, WeightFact
from autocompress.layer_inputs import layer_groups, observe
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Choice, Phase, Range, Step
from autocompress.structure import Factored, replace_by_factors

if TYPE_CHECKING:
    from torch import Tensor, nn

SMALLEST_SIDE = 32
"""Layers narrower than this on either side are heads and stems, to which a low rank does much harm."""
DAMPING = 1e-4
"""Added to a gram's diagonal, as a share of its mean: where no input was seen, the weight itself counts a little."""


class LowRank(Step, tag="low_rank"):
    """Replace each linear layer by two in a row, through a bottleneck of so many features as ``keep`` allows.

    The weight, shape (out_features, in_features), becomes the product of (out_features, rank) and (rank, in_features),
    the largest rank at which both together have at most the share ``keep`` of its elements. Without activations this is
    the truncated singular value decomposition, which changes the weight least. With ``activation_aware`` it changes the
    layer's output over the calibration data least: the output's principal directions stay, and the weight's projection
    on them; later layers see what earlier ones have become. Whitening the inputs before the decomposition, as SVD-LLM
    does, finds the same product by way of a root and an inverse, which a gram of less than full rank does not have.

    Layers narrower than 32 on either side, shared weights and weights that their module reads by itself (PyTorch's own
    ``MultiheadAttention``) stay whole.

    Source: Wang et al. 2024, SVD-LLM, arXiv:2403.07378, section 3.1; Yu and Wu 2023, Compressing Transformers:
    Features Are Low-Rank, but Weights Are Not!, AAAI 37, section 3 (by the output's principal directions).
    """

    phase = Phase.STRUCTURE
    summary = "Replace linear layers by two thin ones of low rank"
    needs_calibration = True

    keep: Annotated[float, Field(gt=0, lt=1), Range(0.3, 0.9, 0.1)] = 0.7
    activation_aware: Annotated[bool, Choice(True, False)] = True
    scope: Annotated[Literal["attention", "layers"], Choice("attention", "layers")] = "layers"

    @property
    def reads_calibration(self) -> bool:
        """See `Step.reads_calibration`."""
        return self.activation_aware

    def rank_for(self, fact: WeightFact) -> int:
        """The rank for a weight; 0 where it stays whole."""
        if min(fact.out_features, fact.in_features) < SMALLEST_SIDE:
            return 0
        return int(self.keep * fact.n_elements / (fact.out_features + fact.in_features))

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        weights = [fact for fact in facts.in_scope(self.scope) if fact.kind == "linear"]
        if not any(self.rank_for(fact) for fact in weights):
            return f"no linear weight of the scope {self.scope} is large enough for two factors to be smaller"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        weights: list[WeightGroup] = []
        n_factored = 0.0
        for group in outline.weights:
            rank = self.rank_for(group.fact) if group.fact.kind == "linear" and group.fact.is_in(self.scope) else 0
            if not rank:
                weights.append(group)
                continue
            n_factored += group.count
            first, second = group.resized(rank, group.fact.in_features), group.resized(group.fact.out_features, rank)
            weights += [
                replace(first, has_bias=False, role="", name_bytes=group.name_bytes + 2),
                replace(second, role="", name_bytes=group.name_bytes + 2),
            ]
        return replace(outline, weights=tuple(weights), in_manifest=outline.in_manifest + n_factored)

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace the layers, and note each in the model's structure.

        Raises:
            Unsupported: no layer can be replaced, or there is no calibration data to be aware of.
            NonFiniteWeight: a weight holds inf or nan.
        """
        model.require_finite()
        weights = [weight for weight in self._replaceable(model) if self.rank_for(weight.fact)]
        if not weights:
            raise Unsupported("all linear layers of the model are shared, or read by the modules around them")
        calls = context.calibration() if self.activation_aware else []
        done = 0
        for group in layer_groups(weights):
            seen = observe(model.module, group, calls, context.device) if self.activation_aware else {}
            for weight in group:
                statistics = seen.get(weight.name)
                gram = statistics.gram if statistics else None
                left, right = factors(weight.matrix.to(context.device), self.rank_for(weight.fact), gram)
                _replace(model, weight, left, right)
                done += 1
                context.progress(done, len(weights))

    def _replaceable(self, model: CompressibleModel) -> list[Weight]:
        """Linear weights of the scope that belong to one layer alone, which only calls it."""
        shared = _shared(model.module)
        opaque = _opaque(model.module)
        return [
            weight
            for weight in model.in_scope(self.scope)
            if weight.kind == "linear" and id(weight.parameter) not in shared and not weight.name.startswith(opaque)
        ]


def factors(matrix: Tensor, rank: int, gram: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Two factors of shapes (out, rank) and (rank, in) whose product stands for a matrix of shape (out, in).

    With ``gram``, the sum of the outer products of the layer's inputs, the layer's output changes least; without, the
    matrix itself does. Both in the sense of the sum of squares. The left factor's columns are orthonormal.
    """
    import torch

    matrix = matrix.double()
    covariance = matrix @ matrix.T
    if gram is not None:
        gram = gram.double()
        covariance = matrix @ gram @ matrix.T + DAMPING * gram.diagonal().mean() * covariance
    directions = torch.linalg.eigh(covariance).eigenvectors[:, -rank:].flip(1)
    return directions.float(), (directions.T @ matrix).float()


def _replace(model: CompressibleModel, weight: Weight, left: Tensor, right: Tensor) -> None:
    path = weight.name.rpartition(".")[0]
    fact = weight.fact
    factored = Factored(in_features=fact.in_features, out_features=fact.out_features, rank=left.shape[1])
    layers: Any = replace_by_factors(model.module, path, factored)
    layers[0].weight.copy_(right)
    layers[1].weight.copy_(left)
    model.structure = model.structure.with_factors(path, factored)


def _shared(module: nn.Module) -> set[int]:
    """Identities of parameters that go by several names."""
    seen: set[int] = set()
    shared: set[int] = set()
    for _, parameter in module.named_parameters(remove_duplicate=False):
        (shared if id(parameter) in seen else seen).add(id(parameter))
    return shared


def _opaque(module: nn.Module) -> tuple[str, ...]:
    """Paths under which a weight is read by another module than its layer."""
    from torch import nn

    kinds = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    return tuple(f"{path}." if path else "" for path, part in module.named_modules() if isinstance(part, kinds))
