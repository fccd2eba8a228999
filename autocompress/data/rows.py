"""Rows of data with named columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Columns of equal length, keyed by role (``text``, ``label``, ``audio`` …), and where they come from.

    Values are strings, numbers, NumPy arrays, or a `Path` for an image or audio file.
    """

    source: str
    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def take(self, indices: Sequence[int]) -> Rows:
        """The rows at these indices, in that order."""
        return Rows(self.source, {name: [column[i] for i in indices] for name, column in self.columns.items()})


def content_digest(*values: Any) -> bytes:
    """SHA-256 over values and their types; of a `Path`, the file's bytes count and not its name."""
    hasher = hashlib.sha256()
    for value in values:
        _feed(hasher, value)
    return hasher.digest()


def rows_digest(rows: Rows) -> str:
    """SHA-256 over all columns' names and contents, in order of the rows; independent of where the files lie."""
    hasher = hashlib.sha256()
    for name in sorted(rows.columns):
        hasher.update(f"{name} {len(rows)} ".encode())
        for value in rows.columns[name]:
            hasher.update(content_digest(value))
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, Path):
        with value.open("rb") as stream:
            hasher.update(b"file " + hashlib.file_digest(stream, "sha256").digest())
    elif isinstance(value, np.ndarray):
        hasher.update(f"array {value.dtype.str} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for name in sorted(value):
            _feed(hasher, name)
            _feed(hasher, value[name])
    else:
        plain = value.item() if isinstance(value, np.generic) else value
        text = f"{type(plain).__name__} {plain}".encode()
        hasher.update(f"{len(text)} ".encode() + text)
