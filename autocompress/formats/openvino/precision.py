"""The precisions that a recipe may ask for, as OpenVINO calls them."""

from __future__ import annotations

from typing import Any

HINT = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
_CAPABILITY = {"f32": "FP32", "f16": "FP16", "bf16": "BF16"}


def can_compute_in(core: Any, hint: str) -> bool:
    """Whether this processor has arithmetic of that precision; without it OpenVINO computes in float32."""
    return _CAPABILITY[hint] in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
