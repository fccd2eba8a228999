"""Mixed precision: how many bits each weight gets, by what rounding it alone does to the model's output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from autocompress.bit_allocation import allocate_bits
from autocompress.compressible import StepContext, Weight
from autocompress.sensitivity import Alteration, kept_sensitivities, sensitivities

if TYPE_CHECKING:
    from torch import nn

    from autocompress.facts import WeightFact
    from autocompress.methods.integer_coding import IntegerCoding

MEASURED_WIDTHS = (2, 3, 4)
WIDTHS = (*MEASURED_WIDTHS, 8)
HALF = 16
"""A weight of this width is stored as float16, not as integers."""
N_CALLS = 32


def mixed_widths(
    step: IntegerCoding, module: nn.Module, weights: Sequence[Weight], effective_bits: float, context: StepContext
) -> dict[str, int]:
    """Bits for each weight, ``effective_bits`` on average with scales and zero points, so that least harm is done.

    The harm of a width is measured: the change of the model's output on calibration data when this weight alone is
    rounded to it. At 8 bits it is hardly more than floating-point noise, so it is taken from that at 4 bits, a quarter
    for each bit more, as the squared steps of the grid are. Measured once per model and grid, and kept in the stage
    cache.

    Raises:
        Unsupported: there is no calibration data, or ``effective_bits`` is less than the narrowest integers take.
    """
    calls = context.calibration()[:N_CALLS]
    names = [weight.name for weight in weights]
    measured = kept_sensitivities(
        module,
        calls,
        {"rounded to": MEASURED_WIDTHS, "group_size": step.group_size, "symmetric": step.symmetric, "weights": names},
        context.cache,
        lambda: sensitivities(module, calls, _roundings(step, weights, context), context.device),
    )
    harm = {w.name: _harm({width: measured[f"{width} {w.name}"] for width in MEASURED_WIDTHS}) for w in weights}
    sizes = {w.name: {width: stored_bits(w.fact, width, step) for width in (*WIDTHS, HALF)} for w in weights}
    return allocate_bits(harm, sizes, effective_bits * sum(weight.fact.n_elements for weight in weights))


def _harm(measured: Mapping[int, float]) -> dict[int, float]:
    """The harm of every width, by that of `MEASURED_WIDTHS`."""
    widest = max(measured)
    return {width: measured.get(width, measured[widest] / 4 ** (width - widest)) for width in WIDTHS} | {HALF: 0.0}


def stored_bits(weight: WeightFact, width: int, step: IntegerCoding) -> int:
    """Bits that a weight of this width takes, scales and zero points included."""
    if width == HALF:
        return weight.n_elements * HALF
    n_groups = weight.out_features * -(-weight.in_features // step.group_size)
    return weight.n_elements * width + n_groups * (16 + (0 if step.symmetric else width))


def _roundings(step: IntegerCoding, weights: Sequence[Weight], context: StepContext) -> dict[str, Alteration]:
    """Each weight rounded to each width, by itself."""
    return {
        f"{width} {weight.name}": _rounding(step, weight, width, context)
        for weight in weights
        for width in MEASURED_WIDTHS
    }


def _rounding(step: IntegerCoding, weight: Weight, width: int, context: StepContext) -> Alteration:
    from autocompress.methods.integer_coding import covering_grid

    @contextmanager
    def rounded() -> Iterator[None]:
        kept = weight.parameter.data.clone()
        matrix = weight.matrix.to(context.device)
        grid = covering_grid(matrix, width, step.group_size, step.symmetric)
        weight.write(grid.values(grid.codes(matrix)))
        try:
            yield
        finally:
            weight.parameter.data.copy_(kept)

    def alteration() -> AbstractContextManager[object]:
        return rounded()

    return alteration
