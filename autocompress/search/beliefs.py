"""What is believed of a recipe's loss before anything is measured, by rule of thumb.

The search drops a belief that what it measures speaks against, so a rough one is better than none. Of its size,
`size_forecast` knows more.
"""

from __future__ import annotations

import math

from autocompress.recipe import Phase, Recipe, Step

LOSS_OF_NARROWING = 1.2
"""At a third fewer layers, heads, channels or neurons; in hundredths of the metric, as all that follow."""
LOSS_OF_PRUNING = 0.65
"""At 60 % zeros."""
LOSS_OF_FOUR_BITS = 0.4
LOSS_OF_INTEGER_COMPUTING = 0.4
SHARE_WITH_CALIBRATION = 0.5


def believed_loss(recipe: Recipe) -> float:
    """How much of the metric will be lost, in hundredths of the original's value."""
    return sum(_loss(step) for step in recipe.steps)


def _knob(step: Step, name: str) -> float | None:
    value = getattr(step, name, None)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _code_bits(step: Step) -> float | None:
    """Bits of a weight's code where the step makes codes."""
    centroids = _knob(step, "n_centroids")
    if centroids is not None:
        return math.log2(centroids)
    bits = _knob(step, "effective_bits") or _knob(step, "bits")
    return bits if bits is not None else (8.0 if step.tag.startswith("int8") else None)


def _loss(step: Step) -> float:
    keep, sparsity, code = _knob(step, "keep"), _knob(step, "sparsity"), _code_bits(step)
    if keep is not None:
        return LOSS_OF_NARROWING * ((1 - keep) / 0.33) ** 2
    if step.phase is Phase.PRUNE and sparsity is not None:
        return LOSS_OF_PRUNING * (sparsity / 0.6) ** 3
    if step.phase is Phase.COMPUTE:
        return LOSS_OF_INTEGER_COMPUTING if code is not None else 0.0
    if code is not None:
        calibrated = SHARE_WITH_CALIBRATION if step.needs_calibration or step.needs_training else 1.0
        return LOSS_OF_FOUR_BITS * calibrated * math.pow(4.0, 4 - code)
    return 0.0
