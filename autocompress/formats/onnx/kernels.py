"""Which integers ONNX Runtime multiplies with as they are stored."""

from __future__ import annotations

KERNEL_BITS = (2, 4, 8)
KERNEL_GROUPS = (16, 32, 64, 128, 256)
"""Widths and group sizes that both MatMulNBits and GatherBlockQuantized take."""


def kernels_take(bits: float, group_size: int, n_groups: int) -> bool:
    """Whether there are kernels for such codes.

    A weight with one scale per row is left to be unpacked at load: its activations are meant to stay float.
    """
    return n_groups > 1 and bits in KERNEL_BITS and group_size in KERNEL_GROUPS
