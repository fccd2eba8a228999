"""Batches of samples that need no padding: only samples of equal shapes are put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from autocompress.compressible import Inputs


def batches(calls: Sequence[Inputs], largest: int) -> list[Inputs]:
    """Calls of equal shapes joined along the first axis, at most ``largest`` together, in order of first appearance.

    Nothing is padded, so no mask can be forgotten: what a sample gives in a batch it gives alone.
    """
    alike: dict[tuple[object, ...], list[Inputs]] = {}
    for call in calls:
        alike.setdefault(_shape(call), []).append(call)
    return [
        _joined(group[start : start + largest]) for group in alike.values() for start in range(0, len(group), largest)
    ]


def as_tensors(inputs: Inputs, device: str) -> dict[str, Tensor]:
    """Arrays as tensors on a device."""
    import torch

    return {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}


def _shape(call: Inputs) -> tuple[object, ...]:
    return tuple((name, call[name].shape[1:], call[name].dtype.str) for name in sorted(call))


def _joined(calls: Iterable[Inputs]) -> Inputs:
    calls = list(calls)
    return {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}
