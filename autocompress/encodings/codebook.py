"""A weight stored as indices into a codebook."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings.base import Encoding, FloatArray
from autocompress.encodings.bits import ByteArray, pack_bits


@dataclass(frozen=True)
class Codebook(Encoding):
    """Indices into a codebook of centroids; ``indices`` has the weight's shape, ``centroids`` shape (n_centroids,).

    Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3.
    """

    kind = "codebook"
    indices: ByteArray
    centroids: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the indices."""
        return self.indices.shape

    @property
    def bits(self) -> int:
        """Bits of one index."""
        return max(1, int(len(self.centroids) - 1).bit_length())

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        return self.centroids.astype(np.float32)[self.indices]

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """``indices`` packed, ``centroids`` as they are."""
        return {"indices": pack_bits(self.indices, self.bits), "centroids": self.centroids}

    def header(self) -> dict[str, Any]:
        """See `Encoding.header`."""
        return {"kind": self.kind, "shape": list(self.shape)}

    def with_float16(self) -> Codebook:
        """See `Encoding.with_float16`."""
        return replace(self, centroids=self.centroids.astype(np.float16))
