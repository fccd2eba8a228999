"""Configurations as numbers: what was chosen, each choice a feature, numbers also by their place in their range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from autocompress.search.sampler.space import Candidate, options_of

Array = NDArray[np.float64]

SINGLE_OPTION_OF_A_NUMBER = 0.5
CURVATURE = 0.5


class Features:
    """Turns candidates into rows; grows a column when it meets a choice that it does not know yet.

    Two rows' product says how much two configurations have in common. An option of a plain choice has its own column.
    Numbers have a linear and a quadratic column over their range, and options of their own that weigh less, so that
    what is learnt at 3 bits says something about 4.
    """

    def __init__(self) -> None:
        self._columns: dict[tuple[str, Any], int] = {}
        self._rows: dict[str, tuple[NDArray[np.int64], Array]] = {}
        self._scales: dict[str, dict[Any, float] | None] = {}

    def rows(self, candidates: Sequence[Candidate[Any]]) -> Array:
        """Shape (n_candidates, n_columns so far)."""
        sparse = [self._row(candidate) for candidate in candidates]
        dense = np.zeros((len(sparse), len(self._columns)))
        if sparse:
            place = np.repeat(np.arange(len(sparse)), [len(columns) for columns, _ in sparse])
            dense[place, np.concatenate([c for c, _ in sparse])] = np.concatenate([values for _, values in sparse])
        return dense

    def _row(self, candidate: Candidate[Any]) -> tuple[NDArray[np.int64], Array]:
        """Columns and values."""
        if candidate.key not in self._rows:
            row: dict[int, float] = {}
            for name, distribution in candidate.distributions.items():
                self._add(row, name.partition("[")[0], candidate.params[name], distribution)
            self._rows[candidate.key] = np.array(list(row), dtype=np.int64), np.array(list(row.values()))
        return self._rows[candidate.key]

    def _add(self, row: dict[int, float], name: str, value: Any, distribution: BaseDistribution) -> None:
        scale = self._scale(name, distribution)
        if scale is None or value not in scale:
            row[self._column(name, value)] = 1.0
            return
        place = scale[value]
        row[self._column(name, "any")] = 0.5
        row[self._column(name, "linear")] = place
        row[self._column(name, "quadratic")] = CURVATURE * (place**2 - 0.5)
        row[self._column(name, value)] = SINGLE_OPTION_OF_A_NUMBER

    def _column(self, name: str, value: Any) -> int:
        return self._columns.setdefault((name, f"{type(value).__name__} {value}"), len(self._columns))

    def _scale(self, name: str, distribution: BaseDistribution) -> dict[Any, float] | None:
        """Options of a number to places from -1 to 1, by logarithms where they span more than a factor of four."""
        if name not in self._scales:
            options = list(options_of(distribution))
            numeric = len(options) > 2 and all(type(option) in (int, float) for option in options)
            if not numeric and isinstance(distribution, CategoricalDistribution):
                self._scales[name] = None
            else:
                low, high = min(options), max(options)
                by_logarithm = low > 0 and high / low > 4
                places = [math.log(option) if by_logarithm else float(option) for option in options]
                span = (max(places) - min(places)) or 1.0
                middle = (max(places) + min(places)) / 2
                self._scales[name] = {
                    option: 2 * (place - middle) / span for option, place in zip(options, places, strict=True)
                }
        return self._scales[name]
