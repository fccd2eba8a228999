"""Rows of data with named columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rows:
    """Columns of equal length, keyed by role (``text``, ``label``, ``audio`` …), and where they come from.

    Values are strings, numbers, NumPy arrays, or paths of files for images and audio.
    """

    source: str
    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def take(self, indices: Sequence[int]) -> Rows:
        """The rows at these indices, in that order."""
        return Rows(self.source, {name: [column[i] for i in indices] for name, column in self.columns.items()})
