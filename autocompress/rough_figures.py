"""Latency and memory before anything runs, by rules of thumb: good to a factor, not to a percent.

The constants are what the seven models of docs/results.md took on one thread of a shared Xeon machine.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from autocompress.facts import ModelFacts
from autocompress.jobs import MachineSpeed
from autocompress.recipe import Phase, Recipe

FACTOR = 2.0
"""A rough figure may be so many times too large or too small."""
RAM_SHARE = 0.3
"""Memory is off by less: most of it is the runtime's own."""
RUNTIME_RAM_BYTES = {"onnx": 77e6, "openvino": 150e6}
TORCH_RAM_BYTES = 455e6
"""With transformers loaded; a model of a task file does with less."""
TORCH_ALONE_BYTES = 260e6
VRAM_BYTES = 300e6
"""What a CUDA context takes."""
COPIES_LOADED = 2.0
"""A graph's weights are in memory as read and as the kernels want them."""
COPIES_DECODED = 6.0
"""What decoding at load leaves behind, in sizes of the float model."""
LAYER_SECONDS = {"onnx": 4e-6, "openvino": 4e-6}
TORCH_LAYER_SECONDS = 35e-6
INT8_TIME, GROUPED_TIME = 0.35, 0.75
"""Share of the time of products that integer kernels take."""
FALLBACK_TOKENS = 32


class Rough(NamedTuple):
    """A figure that is known to lie between two others, mostly."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Equally many times larger than the low end and smaller than the high one."""
        return math.sqrt(self.low * self.high)


def rough_latency_ms(recipe: Recipe, facts: ModelFacts, flops: float | None, speed: MachineSpeed) -> Rough | None:
    """Milliseconds of one call; None where its work is not known.

    Args:
        recipe: whose artifact is called.
        facts: of the original.
        flops: floating-point operations of the original's call.
        speed: of this machine.
    """
    if flops is None:
        if facts.task == "own" or facts.share("linear") < facts.share("convolution"):
            return None
        flops = 2.0 * FALLBACK_TOKENS * sum(weight.n_elements for weight in facts.of_kind("linear"))
    tags = {step.tag for step in recipe.steps}
    in_graph = recipe.format in LAYER_SECONDS
    share = 1.0
    if tags & {"int8_dynamic", "int8_static"}:
        share = INT8_TIME
    elif in_graph and any("group_size" in step.model_fields_set for step in recipe.steps):
        share = GROUPED_TIME
    n_layers = len(facts.weights) + len(facts.tensors) / 3
    overhead = n_layers * LAYER_SECONDS.get(recipe.format, TORCH_LAYER_SECONDS)
    reading = 4 * sum(weight.n_elements for weight in facts.of_kind("linear", "convolution")) / speed.bytes_read
    seconds = max(flops / speed.flops, reading) * share + overhead
    return Rough(1000 * seconds / FACTOR, 1000 * seconds * FACTOR)


def rough_ram_bytes(recipe: Recipe, facts: ModelFacts, size_bytes: float, device: str) -> Rough:
    """Peak memory of a process, or of the device, that runs the artifact of this size."""
    dense = 4.0 * facts.n_parameters
    if device == "cuda":
        used = VRAM_BYTES + dense
    elif recipe.format not in RUNTIME_RAM_BYTES:
        used = (TORCH_ALONE_BYTES if facts.task == "own" else TORCH_RAM_BYTES) + dense
    else:
        is_coded = any(step.phase in (Phase.PRUNE, Phase.CLUSTER, Phase.QUANTIZE) for step in recipe.steps)
        by_kernels = any(step.phase is Phase.COMPUTE for step in recipe.steps)
        decoded = COPIES_DECODED * dense if is_coded and not by_kernels else 0.0
        used = RUNTIME_RAM_BYTES[recipe.format] + COPIES_LOADED * size_bytes + decoded / 2
    return Rough(used * (1 - RAM_SHARE), used * (1 + RAM_SHARE))
