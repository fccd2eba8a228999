"""What is believed of a recipe's loss and latency before anything is measured, by rule of thumb.

The rules are round figures by the trials of `benchmarks/search_real.py` on a convolutional network, a BERT and a vision
transformer, of which each loses several times as much as another by some of the steps. The search drops a belief that
what it measures speaks against, so a rough one is better than none. Of its size, `size_forecast` knows more.
"""

from __future__ import annotations

import math

from autocompress.recipe import Phase, Recipe, Step

LOSS_OF_A_THIRD = {"layers": 6.0, "heads": 2.5, "ffn_width": 5.0, "channels": 10.0, "low_rank": 0.5}
"""What a structure cut to two thirds loses without training; in hundredths of the metric, as all that follow."""
LOSS_OF_ANY_THIRD = 5.0
LOSS_OF_PRUNING = 3.0
"""At 60 % zeros, without anything that makes up for them."""
LOSS_OF_FOUR_BITS = 0.25
LOSS_OF_INTEGER_COMPUTING = 0.25
SHARE_WITH_CALIBRATION = 0.5
SHARE_WITH_RECONSTRUCTION = 0.35
"""Of pruning, where the weights that stay are solved for anew."""
SHARE_WITH_TRAINING = 0.3
"""Of structure and pruning, where a later step trains."""
SHARE_OF_ATTENTION = 0.4
"""Of a step on attention's weights alone."""

LOG_LATENCY_OF_A_GRAPH = -1.0
"""Of a whole graph in a runtime of its own, over PyTorch's layers one by one; in logarithms, as all that follow."""
LOG_LATENCY_OF_INTEGERS = -0.7
"""Computed by integer kernels."""
LOG_LATENCY_OF_EMULATED_HALF = 1.1
"""In PyTorch on a CPU, which has no kernels for it."""
SHARE_OF_WORK = {"heads": 0.3, "ffn_width": 0.6, "low_rank": 0.7}
"""Of a call, by the structure that less is left of; of what is not named here, all."""
GRAPH_FORMATS = ("onnx", "openvino")


def believed_loss(recipe: Recipe) -> float:
    """How much of the metric will be lost, in hundredths of the original's value."""
    steps = recipe.steps
    trained = [any(later.needs_training for later in steps[index + 1 :]) for index in range(len(steps))]
    return sum(_loss(step) * _share(step, is_trained) for step, is_trained in zip(steps, trained, strict=True))


def _share(step: Step, is_trained: bool) -> float:
    recovered = is_trained and step.phase in (Phase.STRUCTURE, Phase.PRUNE)
    attention = getattr(step, "scope", None) == "attention"
    return (SHARE_WITH_TRAINING if recovered else 1.0) * (SHARE_OF_ATTENTION if attention else 1.0)


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
    calibrated = SHARE_WITH_CALIBRATION if step.reads_calibration or step.needs_training else 1.0
    if keep is not None:
        lost = LOSS_OF_A_THIRD.get(step.tag, LOSS_OF_ANY_THIRD) * math.pow(3 * (1 - keep), 1.5)
        return lost * (calibrated if step.tag == "low_rank" else 1.0)
    if step.phase is Phase.PRUNE and sparsity is not None:
        lost = LOSS_OF_PRUNING * math.pow(sparsity / 0.6, 4)
        return lost * (SHARE_WITH_RECONSTRUCTION if step.tag == "sparsegpt" else 1.0)
    if step.phase is Phase.COMPUTE:
        return LOSS_OF_INTEGER_COMPUTING if code is not None else 0.0
    if code is not None:
        return LOSS_OF_FOUR_BITS * calibrated * math.pow(4.0, 4 - code)
    return 0.0


def believed_log_latency(recipe: Recipe, device: str) -> float:
    """The logarithm of a call's time over the original's. What only codes or zeroes weights leaves it as it is."""
    in_graph = recipe.format in GRAPH_FORMATS
    log = LOG_LATENCY_OF_A_GRAPH if in_graph else 0.0
    for step in recipe.steps:
        keep = _knob(step, "keep")
        if keep is not None:
            share = SHARE_OF_WORK.get(step.tag, 1.0) * _share(step, is_trained=False)
            log += math.log(1 - share * (1 - keep))
        elif step.phase is Phase.COMPUTE and _code_bits(step) is not None:
            log += LOG_LATENCY_OF_INTEGERS
        elif step.tag == "fp16" and not in_graph and device == "cpu":
            log += LOG_LATENCY_OF_EMULATED_HALF
    return log
