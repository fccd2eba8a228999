"""Movement pruning: the weights become zero that training moves towards zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight
from autocompress.facts import ModelFacts, WeightScope
from autocompress.methods.distilling import Distilling, Student, as_parameter, straight_through
from autocompress.methods.sparsity import sparse_encoding, sparse_group
from autocompress.outline import Outline
from autocompress.recipe import Phase, Range
from autocompress.training.loop import TrainedGroup

if TYPE_CHECKING:
    from torch import Tensor

PRUNED_SCOPE: WeightScope = "layers"
DENSE_SHARE = 0.1
"""Share of the steps before the first weight is pruned: scores must have learned something."""

FINAL_SHARE = 0.3
"""Share of the steps, at the end, in which the sparsity no longer grows."""


class Movement(Distilling, tag="movement"):
    """Prune linear and convolution weights while training, by scores that are learned beside them.

    A score falls where training moves its weight towards zero and rises where it moves it away; of every weight matrix
    the share ``sparsity`` with the lowest scores is zero in each pass. The gradient of a score goes through the choice
    as if it weren't there: it is the gradient of the masked weight times the weight. The sparsity grows from zero along
    a cubic curve, between a tenth and seven tenths of the steps. ``score_learning_rate`` is that of the scores. What
    the other knobs mean, `distil` says. What is stored is as after `magnitude`. Embeddings stay whole.

    Source: Sanh et al. 2020, Movement Pruning, arXiv:2005.07683, sections 3 and 4; the schedule is that of Zhu & Gupta
    2017, arXiv:1710.01878.
    """

    phase = Phase.PRUNE
    summary = "Prune the weights that training moves towards zero"

    sparsity: Annotated[float, Field(gt=0, lt=1), Range(0.3, 0.9, 0.1)] = 0.5
    score_learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-2

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        return None if facts.in_scope(PRUNED_SCOPE) else "the model has no linear and no convolution weights"

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        return outline.changed(lambda group: sparse_group(group, 1 - self.sparsity)).expected()

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Train, then record a `Sparse` encoding for each pruned weight.

        Raises:
            Unsupported: there are no training rows, or the loss is no longer finite.
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        student = _MovingStudent(model, self)
        self.teach(model, context, student)
        for weight in student.moving:
            model.encode(weight, sparse_encoding(weight, weight.matrix, student.mask(weight, self.steps).bool()))

    def sparsity_at(self, step: int) -> float:
        """The share of zeros at a step; steps count from 0.

        Source: Zhu & Gupta 2017, arXiv:1710.01878, equation 1.
        """
        first, last = self.steps * DENSE_SHARE, self.steps * (1 - FINAL_SHARE)
        passed = min(1.0, max(0.0, (step - first) / (last - first)))
        return self.sparsity * (1 - (1 - passed) ** 3)


class _MovingStudent(Student):
    """Computes with the weights of the highest scores."""

    def __init__(self, model: CompressibleModel, step: Movement) -> None:
        import torch

        super().__init__(model)
        self.step = step
        self.judged_from = math.ceil(step.steps * (1 - FINAL_SHARE))
        self.moving = list(model.in_scope(PRUNED_SCOPE))
        self.scores = {w.name: torch.zeros_like(w.matrix).requires_grad_() for w in self.moving}

    def groups(self) -> Sequence[TrainedGroup]:
        """The scores."""
        named = {f"scores.{name}": scores for name, scores in self.scores.items()}
        return (TrainedGroup(named, self.step.score_learning_rate),)

    def values(self, step: int) -> dict[str, Tensor]:
        """See `Student.values`."""
        held = {}
        for weight in self.moving:
            mask = straight_through(self.scores[weight.name], self.mask(weight, step))
            held[weight.name] = weight.parameter * as_parameter(weight, mask)
        return held

    def mask(self, weight: Weight, step: int) -> Tensor:
        """1 where a weight is kept at a step, 0 elsewhere, shape (out_features, in_features)."""
        scores = self.scores[weight.name].detach()
        return highest(scores.flatten(), self.step.sparsity_at(step)).view(scores.shape).to(scores.dtype)


def highest(scores: Tensor, sparsity: float) -> Tensor:
    """True for all but the share ``sparsity`` of the scores, shape (n,), the first ones among equals."""
    n_dropped = round(len(scores) * sparsity)
    if n_dropped == 0:
        return scores.isfinite()
    threshold = scores.kthvalue(n_dropped).values
    kept = scores > threshold
    ties = (scores == threshold).nonzero().flatten()
    kept[ties[: len(scores) - n_dropped - int(kept.sum())]] = True
    return kept
