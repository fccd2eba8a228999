"""What is believed of a recipe before anything is measured: its size by arithmetic, its loss by rule of thumb.

The search drops a belief that what it measures speaks against, so a rough one is better than none.
"""

from __future__ import annotations

import math

from autocompress.facts import ModelFacts, WeightFact
from autocompress.recipe import Phase, Recipe, Step

FLOAT_BITS = {"float32": 32.0, "float64": 64.0}
HALF_BITS = 16.0
MASK_BITS = 1.0
GROUP_BITS = 24.0
"""Scale and zero point of a group."""

LOSS_OF_NARROWING = 1.2
"""At a third fewer layers, heads, channels or neurons; in hundredths of the metric, as all that follow."""
LOSS_OF_PRUNING = 0.65
"""At 60 % zeros."""
LOSS_OF_FOUR_BITS = 0.4
LOSS_OF_INTEGER_COMPUTING = 0.4
SHARE_WITH_CALIBRATION = 0.5


def believed_log_size(recipe: Recipe, facts: ModelFacts) -> float:
    """Logarithm of the size as a share of the original's."""
    dense = FLOAT_BITS.get(facts.dtype, HALF_BITS)
    original = dense * max(facts.n_parameters, 1)
    rest = facts.n_parameters - sum(weight.n_elements for weight in facts.weights)
    total = max(rest, 0) * dense
    for weight in facts.weights:
        total += weight.n_elements * _kept(recipe, weight) * _bits(recipe, weight, dense)
    return math.log(max(total, 1.0) / original)


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


def _kept(recipe: Recipe, weight: WeightFact) -> float:
    """Share of a weight that is left when the model has become narrower."""
    kept = 1.0
    for step in recipe.steps:
        share = _knob(step, "keep")
        if share is None or weight.kind == "embedding":
            continue
        touched = {"heads": weight.in_attention, "ffn_width": not weight.in_attention}
        kept *= share if touched.get(step.tag, True) else 1.0
    return kept


def _bits(recipe: Recipe, weight: WeightFact, dense: float) -> float:
    """Bits of one element of a weight as it is stored."""
    bits = dense
    for step in recipe.steps:
        code = _code_bits(step)
        takes = weight.is_in(getattr(step, "scope", "layers"))
        if code is not None and takes:
            group = _knob(step, "group_size")
            bits = min(bits, code + (GROUP_BITS / group if group else 0.0))
        elif step.phase is Phase.COMPUTE and code is None:
            bits = min(bits, HALF_BITS)
        sparsity = _knob(step, "sparsity")
        if step.phase is Phase.PRUNE and sparsity is not None and takes:
            dense_after = MASK_BITS + (1 - sparsity) * bits
            bits = min(bits, dense_after)
    return bits


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
