"""When to stop: once nothing much is expected of further trials."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import FrozenTrial

from autocompress.search.sampler.recipe_sampler import RecipeSampler


class StopWhenSpent:
    """A callback for ``Study.optimize``: stops when several trials in a row promised too little.

    Args:
        share: of the hypervolume, that one more trial must be expected to add.
        patience: so many proposals in a row must promise less.
    """

    def __init__(self, share: float = 0.001, patience: int = 5) -> None:
        self.share = share
        self.patience = patience
        self._in_a_row = 0

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Look at what is left after each trial."""
        del trial
        sampler = study.sampler
        if isinstance(sampler, RecipeSampler) and self.is_spent(sampler):
            study.stop()

    def is_spent(self, sampler: RecipeSampler[Any]) -> bool:
        """Count the last proposal; whether it was one too many that promised too little."""
        left = sampler.gain_left()
        self._in_a_row = self._in_a_row + 1 if left is not None and left < self.share else 0
        return self._in_a_row >= self.patience
