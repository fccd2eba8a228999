"""What the methods share that store weights as integers in groups: their knobs, and the grid that codes stand on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from autocompress.compressible import CompressibleModel, StepContext, Weight, as_numpy
from autocompress.encodings import Dense, Form, GroupedIntegers, IntegersForm
from autocompress.facts import ModelFacts, WeightFact, WeightScope
from autocompress.methods.coding import WeightCoding, integers_form
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Choice, When

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_NORMAL_FLOAT16 = 2.0**-14
LARGEST_FLOAT16 = 65504
CLIPPED_RANGES = tuple(1 - 0.05 * index for index in range(15))
"""Shares of a group's range that the search for its best grid tries."""
MOVED_SCALES = (0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 1.0, 1.02, 1.04, 1.07, 1.1, 1.15, 1.2)
"""By what a group's scale is multiplied to find a better one for the grids of the others."""


class IntegerCoding(WeightCoding):
    """A step that stores the weights of its scope as integers in groups along the input axis.

    Weights narrower than a group (small stems and heads, where a group would save little and cost much) stay dense.
    With ``effective_bits``, each weight gets 2, 3, 4 or 8 bits, or float16 values, so that a weight of the scope takes
    that many bits on average, its share of the scales included, and the model's output on calibration data suffers
    least: see `mixed_bits.mixed_widths`.
    """

    effective_bits: Annotated[float | None, Field(ge=2, le=16), Choice(None, 3.25, 4.25)] = None
    bits: Annotated[Literal[2, 3, 4, 8], Choice(3, 4, 8), When("effective_bits", None)] = 4
    group_size: Annotated[int, Field(ge=16, le=1024), Choice(32, 64, 128)] = 128
    symmetric: Annotated[bool, Choice(True, False)] = True
    scope: Annotated[WeightScope, Choice("layers", "all")] = "all"

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        weights = facts.in_scope(self.scope)
        if not any(self._is_wide_enough(weight) for weight in weights):
            widest = max((weight.in_features for weight in weights), default=0)
            return f"group_size {self.group_size} is wider than every weight (at most {widest} inputs)"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        foreseen = outline.coded(self.scope, self._form)
        return foreseen.expected() if self.effective_bits is not None else foreseen

    def _form(self, group: WeightGroup) -> Form:
        fact = group.fact
        if not self._is_wide_enough(fact):
            return group.form
        integers = IntegersForm(
            (fact.out_features, fact.in_features),
            self._mean_bits(fact),
            self.group_size,
            has_zero_points=not self.symmetric,
            input_scale_bytes=self._input_scale_bytes(fact),
        )
        return integers_form(group, integers)

    def _mean_bits(self, fact: WeightFact) -> float:
        """Bits of a code, on average over the weights where each gets its own."""
        if self.effective_bits is None:
            return self.bits
        shared = -(-fact.in_features // self.group_size) * (16 + (0 if self.symmetric else self.effective_bits))
        return self.effective_bits - shared / fact.in_features

    def _input_scale_bytes(self, fact: WeightFact) -> int:
        """Bytes of the scale of each input that is stored beside a weight's codes; 0 where there are none."""
        del fact
        return 0

    @property
    def reads_calibration(self) -> bool:
        """See `Step.reads_calibration`."""
        return super().reads_calibration or self.effective_bits is not None

    def planned(self, model: CompressibleModel, context: StepContext) -> list[tuple[Weight, int]]:
        """The weights that this step stores as integers, each with the bits of its codes.

        Those that are to keep 16 bits are stored so at once.

        Raises:
            Unsupported: bits are to be chosen and there is no calibration data, or too few of them were given.
        """
        from autocompress.methods.mixed_bits import HALF, mixed_widths

        weights = [weight for weight in self.uncoded(model) if self._is_wide_enough(weight.fact)]
        if self.effective_bits is None:
            return [(weight, self.bits) for weight in weights]
        widths = mixed_widths(self, model.module, weights, self.effective_bits, context)
        for weight in weights:
            if widths[weight.name] == HALF and weight.name not in model.encodings:
                model.encode(weight, Dense(as_numpy(weight.matrix).astype(np.float16)))
        return [(weight, widths[weight.name]) for weight in weights if widths[weight.name] != HALF]

    def _is_wide_enough(self, weight: WeightFact) -> bool:
        return weight.in_features >= self.group_size


@dataclass(frozen=True)
class Grid:
    """The values that the codes of a matrix may stand for: ``(code - zero) * scale``, both shared by a group.

    Attributes:
        bits: of a code.
        group_size: columns of a row that share a scale; the last group may be narrower.
        symmetric: whether all zeros are ``2**(bits - 1)`` and need not be stored.
        scales: shape (rows, n_groups), float32, exactly as they will be stored.
        zeros: the code of zero, shape (rows, n_groups), float32.
    """

    bits: int
    group_size: int
    symmetric: bool
    scales: Tensor
    zeros: Tensor

    @property
    def in_float16(self) -> bool:
        """Whether float16 holds every scale exactly."""
        return bool((self.scales.half().float() == self.scales).all())

    def codes(self, matrix: Tensor) -> Tensor:
        """The nearest code of each value, shape (rows, columns), uint8."""
        import torch

        columns = matrix.shape[1]
        nearest = _nearest(_in_groups(matrix, self.group_size), self.scales, self.zeros, self.bits)
        return nearest.to(torch.uint8).reshape(len(matrix), -1)[:, :columns].contiguous()

    def values(self, codes: Tensor) -> Tensor:
        """What codes of shape (rows, columns) stand for, float32."""
        centred = _in_groups(codes.float(), self.group_size) - self.zeros[:, :, None]
        return (centred * self.scales[:, :, None]).reshape(len(codes), -1)[:, : codes.shape[1]]

    def encoding(self, codes: Tensor, input_scales: npt.NDArray[np.float16] | None = None) -> GroupedIntegers:
        """The stored form of codes on this grid."""
        scales = as_numpy(self.scales)
        return GroupedIntegers(
            codes=codes.cpu().numpy(),
            bits=self.bits,
            group_size=self.group_size,
            scales=scales.astype(np.float16) if self.in_float16 else scales,
            zero_points=None if self.symmetric else as_numpy(self.zeros).astype(np.uint8),
            input_scales=input_scales,
        )


def covering_grid(matrix: Tensor, bits: int, group_size: int, symmetric: bool) -> Grid:
    """The grid that reaches from the least to the largest value of each group of a (rows, columns) matrix.

    A symmetric group has one code more below zero than above. It goes to the value furthest from zero, by a negative
    scale if that value is positive: with few bits this errs much less than leaving that code unused.
    """
    low, high = _ranges(matrix, group_size)
    scales, zeros = _on_range(low, high, bits, symmetric)
    return Grid(bits, group_size, symmetric, scales, zeros)


def closest_grid(
    matrix: Tensor, bits: int, group_size: int, symmetric: bool, error: Callable[[Tensor], Tensor]
) -> Grid:
    """The grid that errs least of those that cover a share of each group's range, the whole range among them.

    What lies outside is cut off, which pays where that leaves finer steps for all the others.

    Args:
        matrix: shape (rows, columns).
        bits: of a code.
        group_size: columns of a row that share a scale.
        symmetric: whether zero has the code ``2**(bits - 1)``.
        error: of differences of shape (rows, n_groups, group_size), one figure per row and group; such as
            `group_errors`. The columns that fill up the last group differ by zero.
    """
    import torch

    groups = _in_groups(matrix, group_size)
    low, high = _ranges(matrix, group_size)
    best_scales, best_zeros = _on_range(low, high, bits, symmetric)
    least = error(_rounded(groups, best_scales, best_zeros, bits) - groups)
    for share in CLIPPED_RANGES[1:]:
        scales, zeros = _on_range(low * share, high * share, bits, symmetric)
        for sign in (1, -1) if symmetric else (1,):
            found = error(_rounded(groups, scales * sign, zeros, bits) - groups)
            better = found < least
            least = torch.where(better, found, least)
            best_scales = torch.where(better, scales * sign, best_scales)
            best_zeros = torch.where(better, zeros, best_zeros)
    return Grid(bits, group_size, symmetric, _storable(best_scales), best_zeros)


def jointly_closest_grid(matrix: Tensor, grid: Grid, gram: Tensor) -> Grid:
    """A grid beside the given one that changes a layer's output less, each value at its nearest code.

    In turn, every group takes the scale and the zero that are best as all the others are: so the groups of a row make
    good each other's errors, where `closest_grid` looks at each group alone. No step makes the output err more.

    Args:
        matrix: shape (rows, columns).
        grid: to begin with.
        gram: sum of the outer products of the layer's inputs, shape (columns, columns).
    """
    scales, zeros = grid.scales.clone(), grid.zeros.clone()
    difference = grid.values(grid.codes(matrix)) - matrix
    slope = difference @ gram  # half the gradient of the output's error
    for group in range(scales.shape[1]):
        columns = slice(group * grid.group_size, (group + 1) * grid.group_size)
        one = replace(grid, scales=scales[:, group, None], zeros=zeros[:, group, None])
        before, within = difference[:, columns].clone(), gram[columns, columns]
        moved, after = _moved(matrix[:, columns], one, within, slope[:, columns] - before @ within)
        slope += (after - before) @ gram[columns]
        scales[:, group], zeros[:, group], difference[:, columns] = moved.scales[:, 0], moved.zeros[:, 0], after
    return replace(grid, scales=scales, zeros=zeros)


def _moved(matrix: Tensor, grid: Grid, gram: Tensor, slope: Tensor) -> tuple[Grid, Tensor]:
    """The grid of one group moved to where it errs least, and the differences of its values from the matrix.

    Args:
        matrix: the columns of the group.
        grid: of these columns.
        gram: of their inputs.
        slope: half the gradient of the output's error where these columns are exact.
    """
    import torch

    def tried(scales: Tensor, zeros: Tensor) -> tuple[Tensor, Tensor]:
        difference = _rounded(matrix[:, None], scales, zeros, grid.bits)[:, 0] - matrix
        return difference, ((difference @ gram + 2 * slope) * difference).sum(dim=1, keepdim=True)

    half, top = grid.in_float16, 2**grid.bits - 1
    scales, zeros = grid.scales, grid.zeros
    difference, least = tried(scales, zeros)
    others = product((1, -1), (0,)) if grid.symmetric else product((1,), (0, -1, 1))
    for (sign, shift), factor in product(others, MOVED_SCALES):
        new_scales = grid.scales * (sign * factor)
        new_scales = new_scales.half().float() if half else new_scales
        new_zeros = (grid.zeros + shift).clamp(0, top)
        changed, error = tried(new_scales, new_zeros)
        better = (error < least) & new_scales.isfinite() & (new_scales != 0)
        least, difference = torch.where(better, error, least), torch.where(better, changed, difference)
        scales, zeros = torch.where(better, new_scales, scales), torch.where(better, new_zeros, zeros)
    return replace(grid, scales=scales, zeros=zeros), difference


def group_errors(gram: Tensor, group_size: int) -> Callable[[Tensor], Tensor]:
    """How much each group alone changes a layer's output; for `closest_grid`.

    ``gram`` is the sum of the outer products of the layer's inputs, shape (columns, columns).
    """
    import torch
    from torch.nn.functional import pad

    missing = -len(gram) % group_size
    n_groups = (len(gram) + missing) // group_size
    within = torch.arange(n_groups, device=gram.device)
    tiles = pad(gram, (0, missing, 0, missing)).reshape(n_groups, group_size, n_groups, group_size)
    blocks = tiles[within, :, within]

    def errors(difference: Tensor) -> Tensor:
        products = torch.matmul(difference.transpose(0, 1), blocks).transpose(0, 1)
        return (products * difference).sum(dim=2)

    return errors


def round_to_nearest(matrix: Tensor, bits: int, group_size: int, symmetric: bool) -> GroupedIntegers:
    """Quantize a matrix of shape (out_features, in_features); the last group of a row may be narrower."""
    grid = covering_grid(matrix, bits, group_size, symmetric)
    return grid.encoding(grid.codes(matrix))


def _in_groups(matrix: Tensor, group_size: int) -> Tensor:
    """Shape (rows, n_groups, group_size), filled up with zeros: they change no range, as that holds zero anyway."""
    from torch.nn.functional import pad

    return pad(matrix, (0, -matrix.shape[1] % group_size)).reshape(len(matrix), -1, group_size)


def _ranges(matrix: Tensor, group_size: int) -> tuple[Tensor, Tensor]:
    """The least and the largest value of each group, shape (rows, n_groups) each."""
    groups = _in_groups(matrix, group_size)
    return groups.amin(dim=2), groups.amax(dim=2)


def _on_range(low: Tensor, high: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scales, as they will be stored, and zeros of groups that reach from ``low`` to ``high``."""
    import torch

    if symmetric:
        scales = _storable(torch.where(-low >= high, low, high) / -(2 ** (bits - 1)))
        return scales, torch.full_like(scales, 2 ** (bits - 1))
    low, high = low.clamp(max=0), high.clamp(min=0)
    scales = _storable((high - low) / (2**bits - 1))
    return scales, (-low / scales).round().clamp(0, 2**bits - 1)


def _nearest(groups: Tensor, scales: Tensor, zeros: Tensor, bits: int) -> Tensor:
    """The nearest code of each value of groups of shape (rows, n_groups, group_size), as floats."""
    return (groups / scales[:, :, None]).round_().add_(zeros[:, :, None]).clamp_(0, 2**bits - 1)


def _rounded(groups: Tensor, scales: Tensor, zeros: Tensor, bits: int) -> Tensor:
    """The values of the nearest codes."""
    return (_nearest(groups, scales, zeros, bits) - zeros[:, :, None]) * scales[:, :, None]


def _storable(scales: Tensor) -> Tensor:
    """Scales as they will be stored, so that the codes are chosen for them; 1 for a group of zeros only."""
    import torch

    scales = torch.where(scales != 0, scales, torch.ones_like(scales))
    return scales.half().float() if _fits_float16(scales) else scales


def _fits_float16(scales: Tensor) -> bool:
    """Whether float16 holds every scale with all its digits."""
    sizes = scales.abs()
    return bool((sizes >= SMALLEST_NORMAL_FLOAT16).all() and (sizes <= LARGEST_FLOAT16).all())
