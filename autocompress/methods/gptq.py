"""GPTQ: columns are rounded one after the other, and those still to come make good the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocompress.encodings import GroupedIntegers
from autocompress.layer_inputs import InputStatistics
from autocompress.methods.calibrated_coding import CalibratedCoding, Target
from autocompress.methods.integer_coding import Grid, closest_grid, covering_grid, group_errors
from autocompress.recipe import Choice, Phase

if TYPE_CHECKING:
    from torch import Tensor

TINY = 2.0**-100
"""Keeps a division by what may be zero finite."""
BLOCK_COLUMNS = 128
"""Columns after which the error is passed on to all that remain, at once."""


class Gptq(CalibratedCoding, tag="gptq"):
    """Weight-only integer quantization that keeps the outputs of each layer on calibration data.

    The columns of a weight, shape (out_features, in_features), are rounded one after the other, and the error of each
    is made good by those still to come, as the inverse of the inputs' Gram matrix tells. Scales are chosen before, so
    that a group is always ``group_size`` columns side by side, also when ``activation_order`` begins with the columns
    of the strongest inputs. Each row is tried with whole and with clipped ranges. In each of the ``refinements`` that
    follow, every scale and then every code is set to its best while all others stay. ``damping`` is what is added to
    the Gram matrix's diagonal, as a share of its mean: the less calibration data says, the nearer to the weights.
    Pruned weights stay zero, and what that costs is made good, too.

    Per 10^6 weights of layers with 1024 inputs, it computes for about 1.5 seconds on one core besides the passes over
    the calibration data, and takes 60 MB; the statistics of each input of a layer group take 4 MB.

    Source: Frantar et al. 2022, GPTQ, arXiv:2210.17323; zeros as in Frantar & Alistarh 2023, SparseGPT,
    arXiv:2301.00774, section 3.3.
    """

    phase = Phase.QUANTIZE
    summary = "Round weights to 2-8 bit integers, later columns making good the error of earlier ones"

    activation_order: Annotated[bool, Choice(True, False)] = True
    damping: Annotated[float, Field(gt=0, le=1)] = 0.01
    refinements: Annotated[int, Field(ge=0, le=10)] = 2

    def code(self, targets: Sequence[Target], inputs: InputStatistics) -> list[GroupedIntegers]:
        """See `CalibratedCoding.code`."""
        import torch

        energy = inputs.gram.diagonal()
        order = torch.arange(len(energy), device=energy.device)
        if self.activation_order:
            order = energy.argsort(descending=True, stable=True)
        factor = inverse_factor(inputs.gram[order][:, order], self.damping)
        # Few or equal samples say nothing of most directions, in which codes and scales would be free to run away.
        held = damped(inputs.gram, self.damping).float()
        coded = []
        for target in targets:
            tried = [Coded(grid, round_in_order(target, grid, order, factor)) for grid in self._grids(target, inputs)]
            best = tried[0].with_better_rows(tried[1], target.matrix, inputs.gram)
            for _ in range(self.refinements):
                best = refined(best, target, held)
            coded.append(best.grid.encoding(best.codes))
        return coded

    def _grids(self, target: Target, inputs: InputStatistics) -> tuple[Grid, Grid]:
        """The whole ranges, which leave room for what is made good, and clipped ones."""
        shape = (target.matrix, target.bits, self.group_size, self.symmetric)
        return covering_grid(*shape), closest_grid(*shape, group_errors(inputs.gram, self.group_size))


@dataclass(frozen=True)
class Coded:
    """Codes of shape (out_features, in_features), uint8, and the grid they stand on."""

    grid: Grid
    codes: Tensor

    def with_better_rows(self, other: Coded, matrix: Tensor, gram: Tensor) -> Coded:
        """Each row from whichever changes its output less; both are of this matrix."""
        import torch

        better = (other._row_errors(matrix, gram) < self._row_errors(matrix, gram))[:, None]
        grid = replace(
            self.grid,
            scales=torch.where(better, other.grid.scales, self.grid.scales),
            zeros=torch.where(better, other.grid.zeros, self.grid.zeros),
        )
        return Coded(grid, torch.where(better, other.codes, self.codes))

    def _row_errors(self, matrix: Tensor, gram: Tensor) -> Tensor:
        difference = self.grid.values(self.codes) - matrix
        return ((difference @ gram) * difference).sum(dim=1)


def damped(gram: Tensor, damping: float) -> Tensor:
    """The Gram matrix with a share of its mean diagonal added to each of it, float64.

    Inputs that are always zero have no part in any other column's error.
    """
    raised = gram.double()
    diagonal = raised.diagonal()
    diagonal[diagonal == 0] = 1
    diagonal += damping * float(diagonal.mean())
    return raised


def inverse_factor(gram: Tensor, damping: float) -> Tensor:
    """The upper triangular U with ``U.T @ U`` the inverse of a damped Gram matrix; shape (n, n), float32.

    Row k is, but for a factor, by how much the columns after k make good an error in column k.
    """
    import torch

    info = 1
    while info:
        raised = damped(gram, damping)
        lower, info = torch.linalg.cholesky_ex(raised.flip(0, 1))
        damping *= 10  # float32 sums may not be positive definite with the least damping
    identity = torch.eye(len(gram), dtype=torch.float64, device=gram.device)
    factor: Tensor = torch.linalg.solve_triangular(lower.flip(0, 1), identity, upper=True)
    return factor.float()


def round_in_order(target: Target, grid: Grid, order: Tensor, factor: Tensor) -> Tensor:
    """Codes on the grid, shape (out_features, in_features), uint8, of columns rounded in the given order.

    Args:
        target: what to code.
        grid: where the codes stand.
        order: a permutation of the columns.
        factor: the `inverse_factor` of the columns in this order.
    """
    import torch

    rows, columns = target.matrix.shape
    group = order // grid.group_size
    scales, zeros = grid.scales[:, group], grid.zeros[:, group]
    kept = None if target.kept is None else target.kept[:, order]
    matrix, codes = target.matrix[:, order], torch.empty(rows, columns, dtype=torch.uint8, device=order.device)
    for start in range(0, columns, BLOCK_COLUMNS):
        stop = min(start + BLOCK_COLUMNS, columns)
        block, errors = matrix[:, start:stop], torch.empty(rows, stop - start, device=order.device)
        for column in range(start, stop):
            value, scale, zero = block[:, column - start], scales[:, column], zeros[:, column]
            code = (value / scale).round_().add_(zero).clamp_(0, 2**grid.bits - 1)
            if kept is not None:
                code = torch.where(kept[:, column], code, zero)
            error = (value - (code - zero) * scale) / factor[column, column]
            block -= error[:, None] * factor[column, start:stop]
            codes[:, column], errors[:, column - start] = code, error
        matrix[:, stop:] -= errors @ factor[start:stop, stop:]
    return codes[:, order.argsort()]


def refined(coded: Coded, target: Target, gram: Tensor) -> Coded:
    """The same with each group's scale, and then each of its codes, set to its best as all others are.

    No step makes the layer's output err more.

    Source: Behdin et al. 2023, QuantEase, arXiv:2309.01885, section 3, for the codes.
    """
    import torch

    grid, codes, scales = coded.grid, coded.codes.clone(), coded.grid.scales.clone()
    half = grid.in_float16
    slope = (grid.values(codes) - target.matrix) @ gram  # half the gradient of the output's error
    for group in range(scales.shape[1]):
        columns = slice(group * grid.group_size, (group + 1) * grid.group_size)
        zero, before = grid.zeros[:, group, None], scales[:, group, None]
        units, here, within = codes[:, columns].float() - zero, slope[:, columns].clone(), gram[columns, columns]
        scale = _fitted(before, units, here, within, half=half)
        here += (scale - before) * units @ within
        moved = units.clone()
        for column in range(moved.shape[1]):
            best = moved[:, column, None] * scale - here[:, column, None] / within[column, column].clamp(min=TINY)
            unit = (best / scale).round_().clamp_(-zero, 2**grid.bits - 1 - zero)
            if target.kept is not None:
                unit *= target.kept[:, columns][:, column, None]
            here += (unit - moved[:, column, None]) * scale * within[column]
            moved[:, column] = unit[:, 0]
        slope += (moved * scale - units * before) @ gram[columns]
        scales[:, group], codes[:, columns] = scale[:, 0], (moved + zero).to(torch.uint8)
    return Coded(replace(grid, scales=scales), codes)


def _fitted(scale: Tensor, units: Tensor, slope: Tensor, gram: Tensor, *, half: bool) -> Tensor:
    """The scales of one group, shape (rows, 1), that leave the least error of the output; as before where none is less.

    Args:
        scale: those before.
        units: codes less zeros, shape (rows, columns of the group).
        slope: half the error's gradient with regard to the group's values, of the same shape.
        gram: of the group's inputs.
        half: whether scales are stored in float16.
    """
    import torch

    slope_of_scale = (units * slope).sum(dim=1, keepdim=True)
    curvature = ((units @ gram) * units).sum(dim=1, keepdim=True)
    fitted = scale - slope_of_scale / curvature.clamp(min=TINY)
    fitted = fitted.half().float() if half else fitted
    step = fitted - scale
    return torch.where((fitted != 0) & (step * (2 * slope_of_scale + step * curvature) < 0), fitted, scale)
