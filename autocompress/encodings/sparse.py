"""A weight of which only the values that are not zero are stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings.base import Encoding, FloatArray
from autocompress.encodings.bits import pack_bits
from autocompress.encodings.forms import IntegersForm, SparseForm, matrix_shape


@dataclass(frozen=True)
class Sparse(Encoding):
    """A bit per weight, and the values of the kept ones in row order, themselves encoded as a row."""

    kind = "sparse"
    mask: npt.NDArray[np.bool_]
    values: Encoding

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the mask."""
        return self.mask.shape

    @property
    def words(self) -> str:
        """See `Encoding.words`."""
        return f"bit mask and kept values as {self.values.words}"

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        decoded = np.zeros(self.mask.shape, np.float32)
        decoded[self.mask] = self.values.decode().reshape(-1)
        return decoded

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """``mask`` packed, and the parts of ``values`` under ``values.``."""
        mask = pack_bits(self.mask.astype(np.uint8), 1)
        return {"mask": mask, **{f"values.{name}": part for name, part in self.values.parts().items()}}

    @property
    def form(self) -> SparseForm:
        """See `Encoding.form`."""
        values = self.values.form
        if isinstance(values, SparseForm | IntegersForm):
            raise TypeError(f"kept values cannot be stored as {self.values.kind}")
        return SparseForm(matrix_shape(self.shape), self.values.shape[-1], values)

    def with_float16(self) -> Sparse:
        """See `Encoding.with_float16`."""
        return replace(self, values=self.values.with_float16())
