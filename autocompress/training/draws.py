"""Which samples are trained on in which step, and which only judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocompress.batches import batches

if TYPE_CHECKING:
    from autocompress.compressible import Inputs

VALIDATION_SHARE = 0.1
MOST_VALIDATION_SAMPLES = 500
LARGEST_PASS = 32
"""Samples of one forward pass; a larger batch is made of several."""

POOL_BATCHES = 16
"""Batches that are drawn together and then sorted by shape, so that a batch needs few passes."""


def split(samples: Sequence[Inputs]) -> tuple[Sequence[Inputs], Sequence[Inputs]]:
    """Samples to train on, and those that judge: the last tenth, at most 500; none of fewer than ten samples."""
    n_judging = min(MOST_VALIDATION_SAMPLES, int(len(samples) * VALIDATION_SHARE))
    return samples[: len(samples) - n_judging], samples[len(samples) - n_judging :]


class Draws:
    """The batch of every step, a function of seed and step alone, so that an interrupted training goes on as before.

    In an epoch every sample is drawn once, save a remainder smaller than a batch. Batches are cut from pools sorted by
    shape: a batch then holds one shape or few, and needs no padding.
    """

    def __init__(self, samples: Sequence[Inputs], batch_size: int, seed: int) -> None:
        self.samples = samples
        self.batch_size = min(batch_size, len(samples))
        self.seed = seed
        self._shapes = [sorted((name, array.shape) for name, array in sample.items()) for sample in samples]
        self._epoch = -1
        self._batches: list[list[int]] = []

    def batch(self, step: int) -> list[Inputs]:
        """The samples of a step, joined into as few passes as their shapes allow."""
        epoch, index = divmod(step, len(self.samples) // self.batch_size)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._drawn(epoch)
        return batches([self.samples[sample] for sample in self._batches[index]], LARGEST_PASS)

    def _drawn(self, epoch: int) -> list[list[int]]:
        random = np.random.default_rng([self.seed, epoch])
        n_drawn = len(self.samples) // self.batch_size * self.batch_size
        order = random.permutation(len(self.samples))[:n_drawn].tolist()
        pool = self.batch_size * POOL_BATCHES
        alike = [
            index
            for start in range(0, n_drawn, pool)
            for index in sorted(order[start : start + pool], key=self._shapes.__getitem__)
        ]
        starts = random.permutation(np.arange(0, n_drawn, self.batch_size)).tolist()
        return [alike[start : start + self.batch_size] for start in starts]
