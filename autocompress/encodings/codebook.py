"""A weight stored as indices into codebooks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings.base import Encoding, FloatArray
from autocompress.encodings.bits import ByteArray, pack_bits, unpack_bits
from autocompress.encodings.forms import CodebookForm, matrix_shape


@dataclass(frozen=True)
class Codebook(Encoding):
    """Indices into one codebook of centroids, or into one for each run of weights.

    ``indices`` has the weight's shape; ``centroids`` has shape (n_groups, n_centroids) and is float32, float16 or int8.
    In row order every ``group_size`` weights share a codebook (the last ones may be fewer); None: all weights share
    one. With ``scales``, shape (n_groups,), a weight is its centroid times its codebook's scale.

    Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3.
    """

    kind = "codebook"
    indices: ByteArray
    centroids: npt.NDArray[Any]
    group_size: int | None = None
    scales: npt.NDArray[Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the indices."""
        return self.indices.shape

    @property
    def bits(self) -> int:
        """Bits of one index."""
        return index_bits(self.centroids)

    @property
    def values(self) -> FloatArray:
        """What each centroid stands for, shape (n_groups, n_centroids)."""
        centroids = self.centroids.astype(np.float32)
        return centroids if self.scales is None else centroids * self.scales.astype(np.float32)[:, None]

    @property
    def words(self) -> str:
        """See `Encoding.words`."""
        return f"{self.bits}-bit codebook indices"

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        flat = self.indices.reshape(-1)
        decoded = np.empty(flat.size, np.float32)
        size = self.group_size or flat.size
        for group, book in enumerate(self.values):
            run = slice(group * size, (group + 1) * size)
            decoded[run] = book[flat[run]]
        return decoded.reshape(self.shape)

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """``indices`` packed, ``centroids`` as they are, and ``scales`` if there are any."""
        stored: dict[str, npt.NDArray[Any]] = {
            "indices": pack_bits(self.indices, self.bits),
            "centroids": self.centroids,
        }
        if self.scales is not None:
            stored["scales"] = self.scales
        return stored

    @classmethod
    def from_parts(cls, header: dict[str, Any], parts: dict[str, npt.NDArray[Any]]) -> Codebook:
        """What `header` and `parts` gave.

        Raises:
            ValueError: the parts do not fit the header or each other.
            KeyError: a part is missing.
        """
        shape = tuple(int(size) for size in header["shape"])
        count = int(np.prod(shape))
        group_size, centroids, scales = header.get("group_size"), parts["centroids"], parts.get("scales")
        n_groups = 1 if group_size is None else -(-count // group_size)
        if centroids.ndim != 2 or len(centroids) != n_groups or (scales is not None and scales.shape != (n_groups,)):
            raise ValueError(f"codebooks of shape {centroids.shape} do not fit a weight of {n_groups} groups")
        indices = unpack_bits(parts["indices"], index_bits(centroids), count).reshape(shape)
        if count and int(indices.max()) >= centroids.shape[1]:
            raise ValueError(f"an index is beyond the last of {centroids.shape[1]} centroids")
        return cls(indices, centroids, group_size, scales)

    @property
    def form(self) -> CodebookForm:
        """See `Encoding.form`."""
        scale_bytes = 0 if self.scales is None else self.scales.itemsize
        n_centroids = self.centroids.shape[1]
        return CodebookForm(
            matrix_shape(self.shape), n_centroids, self.group_size, self.centroids.itemsize, scale_bytes
        )

    def with_float16(self) -> Codebook:
        """See `Encoding.with_float16`."""
        if self.scales is not None:
            return replace(self, scales=self.scales.astype(np.float16))
        return replace(self, centroids=self.centroids.astype(np.float16))


def index_bits(centroids: npt.NDArray[Any]) -> int:
    """Bits of an index into codebooks of shape (n_groups, n_centroids)."""
    return max(1, int(centroids.shape[1] - 1).bit_length())
