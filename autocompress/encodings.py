"""How a weight is stored: dense, integers in groups, codebook and indices, sparse.

A method leaves one `Encoding` per weight beside the decoded values; a format packs it in its own best way. Every
encoding knows the parts it is made of, so that any format can store it and the size can be foretold by arithmetic.
All arrays are NumPy's, and a weight is always seen as a matrix of shape (out_features, in_features).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]


def packed_length(n_codes: int, bits: int) -> int:
    """Bytes that ``n_codes`` codes of ``bits`` bits take, packed without gaps."""
    return (n_codes * bits + 7) // 8


def pack_bits(codes: npt.NDArray[Any], bits: int) -> ByteArray:
    """Pack codes below ``2**bits`` into bytes, the first code in the lowest bits of the first byte."""
    flat = np.ascontiguousarray(codes, dtype=np.uint8).reshape(-1)
    if bits == 8:
        return flat
    planes = (flat[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(planes.reshape(-1), bitorder="little")


def unpack_bits(packed: ByteArray, bits: int, n_codes: int) -> ByteArray:
    """The codes that `pack_bits` packed, shape (n_codes,)."""
    if bits == 8:
        return packed[:n_codes]
    planes = np.unpackbits(packed, count=n_codes * bits, bitorder="little").reshape(n_codes, bits)
    weights = (1 << np.arange(bits)).astype(np.uint8)
    codes: ByteArray = planes @ weights
    return codes


class Encoding(ABC):
    """A stored form of one weight matrix of shape ``shape``."""

    kind: ClassVar[str]
    shape: tuple[int, ...]

    @abstractmethod
    def decode(self) -> FloatArray:
        """The values that the stored form stands for, float32, shape ``shape``."""

    @abstractmethod
    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to store, packed."""

    @abstractmethod
    def header(self) -> dict[str, Any]:
        """Plain data that, with the parts, makes the encoding again; see `encoding_from_parts`."""

    @abstractmethod
    def with_float16(self) -> Encoding:
        """The same encoding with what it holds of floats in half precision."""

    @property
    def packed_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.nbytes for part in self.parts().values())


@dataclass(frozen=True)
class Dense(Encoding):
    """Plain values in float32 or float16."""

    kind = "dense"
    values: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the values."""
        return self.values.shape

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        return self.values.astype(np.float32)

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """One part, ``values``."""
        return {"values": self.values}

    def header(self) -> dict[str, Any]:
        """See `Encoding.header`."""
        return {"kind": self.kind}

    def with_float16(self) -> Dense:
        """See `Encoding.with_float16`."""
        return Dense(self.values.astype(np.float16))


@dataclass(frozen=True)
class GroupedIntegers(Encoding):
    """Integer codes; each group of ``group_size`` columns of a row shares a scale and a zero point.

    The value of a code is ``(code - zero_point) * scale``. ``codes`` has shape (out_features, in_features), unsigned,
    below ``2**bits``; ``scales`` has shape (out_features, n_groups); ``zero_points`` has that shape, or is None for the
    symmetric form, whose zero point is ``2**(bits - 1)``. The last group of a row may be narrower.
    """

    kind = "grouped_integers"
    codes: ByteArray
    bits: int
    group_size: int
    scales: npt.NDArray[Any]
    zero_points: ByteArray | None = None

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the codes."""
        return self.codes.shape

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        columns = self.codes.shape[1]
        scales = np.repeat(self.scales.astype(np.float32), self.group_size, axis=1)[:, :columns]
        if self.zero_points is None:
            centred = self.codes.astype(np.float32) - np.float32(2 ** (self.bits - 1))
        else:
            zeros = np.repeat(self.zero_points, self.group_size, axis=1)[:, :columns]
            centred = self.codes.astype(np.float32) - zeros.astype(np.float32)
        return centred * scales

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """``codes`` and ``zero_points`` packed to ``bits`` bits, ``scales`` as they are."""
        stored: dict[str, npt.NDArray[Any]] = {"codes": pack_bits(self.codes, self.bits), "scales": self.scales}
        if self.zero_points is not None:
            stored["zero_points"] = pack_bits(self.zero_points, self.bits)
        return stored

    def header(self) -> dict[str, Any]:
        """See `Encoding.header`."""
        return {"kind": self.kind, "shape": list(self.shape), "bits": self.bits, "group_size": self.group_size}

    def with_float16(self) -> GroupedIntegers:
        """See `Encoding.with_float16`."""
        return replace(self, scales=self.scales.astype(np.float16))


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

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        decoded = np.zeros(self.mask.shape, np.float32)
        decoded[self.mask] = self.values.decode().reshape(-1)
        return decoded

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """``mask`` packed, and the parts of ``values`` under ``values.``."""
        mask = pack_bits(self.mask.astype(np.uint8), 1)
        return {"mask": mask, **{f"values.{name}": part for name, part in self.values.parts().items()}}

    def header(self) -> dict[str, Any]:
        """See `Encoding.header`."""
        return {"kind": self.kind, "shape": list(self.shape), "values": self.values.header()}

    def with_float16(self) -> Sparse:
        """See `Encoding.with_float16`."""
        return replace(self, values=self.values.with_float16())


def encoding_from_parts(header: dict[str, Any], parts: dict[str, npt.NDArray[Any]]) -> Encoding:
    """Make an encoding again from what `Encoding.header` and `Encoding.parts` gave.

    Raises:
        ValueError: unknown kind, or parts that do not fit the header.
    """
    kind = header.get("kind")
    if kind == Dense.kind:
        return Dense(parts["values"])
    shape = tuple(int(size) for size in header["shape"])
    count = int(np.prod(shape))
    if kind == GroupedIntegers.kind:
        bits, zeros = int(header["bits"]), parts.get("zero_points")
        scales = parts["scales"]
        return GroupedIntegers(
            codes=unpack_bits(parts["codes"], bits, count).reshape(shape),
            bits=bits,
            group_size=int(header["group_size"]),
            scales=scales,
            zero_points=None if zeros is None else unpack_bits(zeros, bits, scales.size).reshape(scales.shape),
        )
    if kind == Codebook.kind:
        centroids = parts["centroids"]
        bits = max(1, int(len(centroids) - 1).bit_length())
        return Codebook(unpack_bits(parts["indices"], bits, count).reshape(shape), centroids)
    if kind == Sparse.kind:
        inner = {name.removeprefix("values."): part for name, part in parts.items() if name.startswith("values.")}
        mask = unpack_bits(parts["mask"], 1, count).reshape(shape).astype(np.bool_)
        return Sparse(mask, encoding_from_parts(header["values"], inner))
    raise ValueError(f"unknown encoding {kind!r}")
