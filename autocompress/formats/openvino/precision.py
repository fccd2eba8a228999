"""The precisions that a recipe may ask for, as OpenVINO calls them."""

from __future__ import annotations

from autocompress.formats.openvino.core import core

HINT = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
_CAPABILITY = {"f32": "FP32", "f16": "FP16", "bf16": "BF16"}


def can_compute_in(hint: str) -> bool:
    """Whether this processor has arithmetic of that precision; without it OpenVINO computes in float32."""
    return _CAPABILITY[hint] in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
