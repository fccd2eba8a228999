"""A weight stored as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings.base import Encoding, FloatArray
from autocompress.encodings.forms import DenseForm, matrix_shape


@dataclass(frozen=True)
class Dense(Encoding):
    """Plain values in float32 or float16."""

    kind = "dense"
    values: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the values."""
        return self.values.shape

    @property
    def words(self) -> str:
        """See `Encoding.words`."""
        return f"{self.values.dtype} weights"

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        return self.values.astype(np.float32)

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """One part, ``values``."""
        return {"values": self.values}

    @property
    def form(self) -> DenseForm:
        """See `Encoding.form`."""
        return DenseForm(matrix_shape(self.shape), self.values.itemsize)

    def with_float16(self) -> Dense:
        """See `Encoding.with_float16`."""
        return Dense(self.values.astype(np.float16))
