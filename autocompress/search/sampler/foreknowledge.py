"""What the space says of candidates beforehand, asked once of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from autocompress.search.sampler.features import Features
from autocompress.search.sampler.figures import Figure
from autocompress.search.sampler.space import Candidate, Configuration, Space, Stage

Array = NDArray[np.float64]


class Foreknowledge(Generic[Configuration]):
    """Answers of one space; `Features` are its candidates as rows of numbers."""

    def __init__(self, space: Space[Configuration]) -> None:
        self.features = Features()
        self._space = space
        self._predicted: dict[str, Mapping[str, float]] = {}
        self._stages: dict[str, Sequence[Stage]] = {}

    def predicted(self, figure: Figure, candidates: Sequence[Candidate[Configuration]]) -> Array | None:
        """The figure as it is predicted, on the scale on which it is modelled, shape (n,); None where it is not."""
        values = [self._all_predicted(candidate).get(figure.name) for candidate in candidates]
        if any(value is None for value in values):
            return None
        return figure.scaled(np.array(values, dtype=float), np.zeros(len(values)))[0]

    def stages(self, candidate: Candidate[Configuration]) -> Sequence[Stage]:
        """What a trial of it does."""
        if candidate.key not in self._stages:
            self._stages[candidate.key] = self._space.stages(candidate.configuration)
        return self._stages[candidate.key]

    def _all_predicted(self, candidate: Candidate[Configuration]) -> Mapping[str, float]:
        if candidate.key not in self._predicted:
            self._predicted[candidate.key] = self._space.predicted(candidate.configuration)
        return self._predicted[candidate.key]
