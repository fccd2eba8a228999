"""Bits for each weight under a budget for all of them: the integer program of mixed precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autocompress.errors import Unsupported


def allocate_bits(
    harm: Mapping[str, Mapping[int, float]], size_bits: Mapping[str, Mapping[int, int]], budget_bits: float
) -> dict[str, int]:
    """For each weight one of its widths, so that the harm is least and all together fit.

    The multiple-choice knapsack problem, solved exactly by branch and cut (HiGHS). Harm of several weights is taken to
    add up, as it does to second order where each is small.

    Source: Hubara et al. 2021, Accurate Post Training Quantization With Small Calibration Sets, arXiv:2006.10518,
    section 3.4.

    Args:
        harm: weight to width to how much the model's output suffers when only this weight has that width.
        size_bits: weight to width to the bits that the weight then takes, scales included.
        budget_bits: what all weights may take together.

    Raises:
        Unsupported: the narrowest widths of all weights take more than the budget.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    choices = [(name, width) for name in harm for width in harm[name]]
    sizes = np.array([size_bits[name][width] for name, width in choices], np.float64)
    least = sum(min(size_bits[name].values()) for name in harm)
    if least > budget_bits:
        raise Unsupported(
            f"the narrowest integers take {least / 8e6:.2f} MB, the budget is {budget_bits / 8e6:.2f} MB",
            remedy="Give more effective_bits.",
        )
    costs = np.array([harm[name][width] for name, width in choices])
    # A hundred-millionth of the harm per bit breaks ties in favour of the smaller model.
    costs = costs / max(costs.max(), 1e-30) + 1e-8 * sizes / sizes.sum()
    one_each = np.array([[float(name == chosen) for chosen, _ in choices] for name in harm])
    solved = milp(
        costs,
        integrality=np.ones(len(choices)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(sizes[None] / budget_bits, ub=1)],
        options={"mip_rel_gap": 1e-6, "time_limit": 60.0},
    )
    if solved.x is None:
        raise Unsupported(f"no widths were found that fit: {solved.message}")
    return {name: width for (name, width), taken in zip(choices, solved.x, strict=True) if taken > 0.5}
