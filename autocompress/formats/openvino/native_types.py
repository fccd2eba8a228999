"""Which codes OpenVINO's own types and operations hold."""

from __future__ import annotations

CODE_BITS = (2, 4, 8)


def is_native_integers(bits: float, n_groups: int, whole_groups: bool) -> bool:
    """Whether integers in so many groups a row have a type, and kernels or at least a pattern that is decoded."""
    return round(bits) in CODE_BITS and (whole_groups or n_groups == 1)


def is_foldable(bits: int, group_size: int | None, shape: tuple[int, ...]) -> bool:
    """Whether indices have a type, and no row has weights of two codebooks, each for so many weights."""
    return bits in CODE_BITS and (group_size is None or group_size % shape[1] == 0)
