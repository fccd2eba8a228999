"""Codes of a few bits packed into bytes without gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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
