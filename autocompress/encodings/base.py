"""What every stored form of a weight must offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from autocompress.encodings.forms import Form, form_bytes

FloatArray = npt.NDArray[np.float32]


class Encoding(ABC):
    """A stored form of one weight matrix of shape ``shape``."""

    kind: ClassVar[str]
    shape: tuple[int, ...]

    @property
    @abstractmethod
    def words(self) -> str:
        """What is stored, in words."""

    @abstractmethod
    def decode(self) -> FloatArray:
        """The values that the stored form stands for, float32, shape ``shape``."""

    @abstractmethod
    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to store, packed."""

    def header(self) -> dict[str, Any]:
        """Plain data that, with the parts, makes the encoding again; see `encoding_from_parts`."""
        return self.form.header()

    @abstractmethod
    def with_float16(self) -> Encoding:
        """The same encoding with what it holds of floats in half precision."""

    @property
    @abstractmethod
    def form(self) -> Form:
        """What it is made of, without the values."""

    @property
    def packed_bytes(self) -> int:
        """Bytes of all parts."""
        return form_bytes(self.form)
