"""Distillation: the smaller model learns the original's answers."""

from __future__ import annotations

from collections.abc import Sequence

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.facts import ModelFacts
from autocompress.methods.distilling import Distilling, Student
from autocompress.outline import Outline
from autocompress.recipe import Phase, Step


class Distil(Distilling, tag="distil"):
    """Train what earlier steps have made smaller towards the original, which is the teacher.

    After steps that take layers, heads or channels away this trains a smaller student that starts from the teacher's
    own weights; after pruning it makes good what was lost, and zeros stay zeros. The classes are compared as in Hinton
    et al., hidden states as in FitNets, through a learned projection where the widths differ, attention maps as in
    TinyBERT; a student of fewer layers learns from those of the teacher at the same shares of the depth, as DistilBERT
    starts. The model's own loss on the labels counts by ``alpha``.

    Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531; Romero et al. 2015,
    FitNets, arXiv:1412.6550; Jiao et al. 2020, TinyBERT, arXiv:1909.10351; Sanh et al. 2019, DistilBERT,
    arXiv:1910.01108.
    """

    phase = Phase.DISTIL
    summary = "Train the smaller model towards the original's answers"

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        return None if facts.weights else "the model has no weights to train"

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        return outline

    def refuses_after(self, earlier: Sequence[Step], facts: ModelFacts) -> str | None:
        """See `Step.refuses_after`."""
        del facts
        return None if earlier else "no step before it has made the model smaller: the original has nothing to recover"

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Train the module in place, and store pruned weights again with their new values.

        Raises:
            Unsupported: there are no training rows, or the loss is no longer finite.
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        student = Student(model)
        self.teach(model, context, student)
        student.store(model)
