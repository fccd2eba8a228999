"""Wanda: weights become zero that matter least for what their inputs are like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autocompress.layer_inputs import InputStatistics
from autocompress.methods.sparsity import CalibratedPruning, Pruned, Pruning

if TYPE_CHECKING:
    from torch import Tensor


class Wanda(CalibratedPruning, tag="wanda"):
    """Pruning by weight times input norm, within each row, without retraining.

    A weight's score is its magnitude times the L2 norm of its input feature over the calibration data. In every row of
    a linear or convolution weight (all inputs of one output), the share ``sparsity`` with the lowest scores becomes
    zero, or of ``pattern`` N:M all but the N best of M consecutive inputs, which no kernel here is faster for. The
    other weights stay as they are. What is stored is a bit per weight and the kept values. Embeddings stay whole.

    Takes about 0.4 s of one core per million weights with 64 sentences, nearly all of it calibration, and 4 bytes per
    pair of input features of the layers at work.

    Source: Sun et al. 2023, A Simple and Effective Pruning Approach for Large Language Models, arXiv:2306.11695.
    """

    summary = "Set weights to zero that are small and whose inputs are"

    def prune(self, matrices: Sequence[Tensor], inputs: InputStatistics) -> list[Pruned]:
        """See `CalibratedPruning.prune`."""
        return [by_input_norm(self, matrix, inputs) for matrix in matrices]


def by_input_norm(step: Pruning, matrix: Tensor, inputs: InputStatistics) -> Pruned:
    """Wanda's choice of the weights to keep, for the sparsity or pattern of any pruning step."""
    mask = step.keep(matrix.abs() * inputs.norms, matrix)
    return Pruned(matrix * mask, mask)
