"""What the methods share that set single weights to zero: how many, in which pattern, and how the others are stored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight, as_numpy
from autocompress.encodings import Dense, DenseForm, Sparse, SparseForm
from autocompress.errors import Unsupported
from autocompress.facts import ModelFacts, WeightFact, WeightScope
from autocompress.layer_inputs import InputStatistics, layer_groups, observe, sharing_inputs
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Phase, Range, Step, When

if TYPE_CHECKING:
    from torch import Tensor

PRUNED_SCOPE: WeightScope = "layers"

Pattern = Literal["unstructured", "2:4", "4:8"]


@dataclass(frozen=True)
class Pruned:
    """A pruned matrix of shape (out_features, in_features), and a mask of that shape: True where a weight is kept."""

    matrix: Tensor
    mask: Tensor


class Pruning(Step):
    """A step that sets single linear and convolution weights to zero; embeddings stay whole.

    Of ``pattern`` N:M, at most N of M consecutive inputs of a row keep their weight (a convolution's kernel is
    flattened into the inputs), and ``sparsity`` follows from it. No kernel here gains from it, CUDA's for 2:4 included,
    and at equal size it loses more than unstructured zeros: it is for those who take the weights elsewhere, so the
    search leaves it alone. Stored are a bit per weight and the kept values.
    """

    phase = Phase.PRUNE

    pattern: Pattern = "unstructured"
    sparsity: Annotated[float, Field(gt=0, lt=1), Range(0.1, 0.7, 0.1), When("pattern", "unstructured")] = 0.3

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        weights = facts.in_scope(PRUNED_SCOPE)
        if not weights:
            return "the model has no linear and no convolution weights"
        if not any(self._takes(weight) for weight in weights):
            return f"the pattern {self.pattern} is wider than every weight (at most {_widest(weights)} inputs)"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        kept = 1 - self.sparsity
        if self.pattern != "unstructured":
            kept = self.kept_of[0] / self.kept_of[1]
        taken = outline.changed(lambda group: sparse_group(group, kept) if self._takes(group.fact) else group)
        return taken.expected()

    def to_prune(self, model: CompressibleModel) -> list[Weight]:
        """The weights that this step prunes: those in its scope that are as wide as the pattern."""
        return [weight for weight in model.in_scope(PRUNED_SCOPE) if self._takes(weight.fact)]

    def keep(self, scores: Tensor, matrix: Tensor) -> Tensor:
        """True where a weight is kept: the largest ``scores`` of each row, or of each group of the pattern.

        Both have the shape (n, in_features). A weight that is zero already is never kept.
        """
        if self.pattern == "unstructured":
            return keep_largest(scores, round(scores.shape[1] * self.sparsity)) & (matrix != 0)
        return _keep_in_groups(scores, *self.kept_of) & (matrix != 0)

    @property
    def kept_of(self) -> tuple[int, int]:
        """N and M of the pattern N:M."""
        kept, _, width = self.pattern.partition(":")
        return int(kept), int(width)

    def by_magnitude(self, matrix: Tensor) -> Pruned:
        """The smallest weights of a whole matrix, or of each group of the pattern, set to zero."""
        rows = matrix.reshape(1, -1) if self.pattern == "unstructured" else matrix
        mask = self.keep(rows.abs(), rows).reshape(matrix.shape)
        return Pruned(matrix * mask, mask)

    def _takes(self, weight: WeightFact) -> bool:
        return self.pattern == "unstructured" or weight.in_features >= self.kept_of[1]


class CalibratedPruning(Pruning):
    """A `Pruning` step that looks at what goes into each layer over calibration data.

    Layer group after layer group, so that the inputs of later layers show what has become of earlier ones, and no more
    than one group's statistics are in memory. Weights that calibration does not reach (grouped convolutions, layers
    that are never called) are pruned by magnitude.
    """

    needs_calibration = True

    @abstractmethod
    def prune(self, matrices: Sequence[Tensor], inputs: InputStatistics) -> list[Pruned]:
        """Prune weights that read the same inputs, each of shape (out_features, in_features)."""

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Zero weights and record a `Sparse` encoding for each pruned weight.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
            Unsupported: there is no calibration data, or it makes a layer's input overflow.
        """
        model.require_finite()
        weights = self.to_prune(model)
        calls = context.calibration()
        n_done = 0
        for group in layer_groups(weights):
            found = observe(model.module, group, calls, context.device)
            for sharing in sharing_inputs(group, found):
                matrices = [weight.matrix.to(context.device) for weight in sharing]
                inputs = found.get(sharing[0].name)
                if inputs is None:
                    pruned = [self.by_magnitude(matrix) for matrix in matrices]
                elif not bool(inputs.gram.isfinite().all()):
                    raise Unsupported(f"on the calibration data, the input of {sharing[0].name} overflows")
                else:
                    pruned = self.prune(matrices, inputs)
                for weight, result in zip(sharing, pruned, strict=True):
                    model.encode(weight, sparse_encoding(weight, result.matrix, result.mask))
                n_done += len(sharing)
                context.progress(n_done, len(weights))


def keep_largest(scores: Tensor, n_dropped: int) -> Tensor:
    """True at all but the ``n_dropped`` smallest scores of each row; of equal ones the first are kept."""
    import torch

    if n_dropped == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(n_dropped, dim=1, keepdim=True).values
    kept, ties = scores > threshold, scores == threshold
    n_missing = scores.shape[1] - n_dropped - kept.sum(dim=1, keepdim=True)
    return kept | (ties & (ties.cumsum(dim=1, dtype=torch.int32) <= n_missing))


def _keep_in_groups(scores: Tensor, n_kept: int, width: int) -> Tensor:
    """True at the ``n_kept`` largest of every ``width`` consecutive scores of a row; scores are not negative."""
    from torch.nn.functional import pad

    rows, columns = scores.shape
    # What fills up the last group scores below all that it holds, and so counts among the dropped.
    groups = pad(scores, (0, -columns % width), value=-1.0).reshape(-1, width)
    return keep_largest(groups, width - n_kept).reshape(rows, -1)[:, :columns]


def sparse_encoding(weight: Weight, matrix: Tensor, mask: Tensor) -> Sparse:
    """The encoding of a matrix's values where ``mask`` is true, in as many bits as the weight is stored in."""
    # NumPy has no bfloat16: a weight stored in 16 bits is kept in float16 either way.
    stored = np.float32 if weight.parameter.element_size() == 4 else np.float16
    kept = as_numpy(matrix[mask]).reshape(1, -1).astype(stored)
    return Sparse(mask.cpu().numpy(), Dense(kept))


def sparse_group(group: WeightGroup, kept: float) -> WeightGroup:
    """Weights of `PRUNED_SCOPE` of which a share ``kept`` is stored, all others as they are."""
    if not group.fact.is_in(PRUNED_SCOPE):
        return group
    n_kept = round(group.fact.n_elements * kept)
    return replace(group, form=SparseForm(group.form.shape, n_kept, DenseForm((1, n_kept))))


def _widest(weights: Sequence[WeightFact]) -> int:
    return max(weight.in_features for weight in weights)
