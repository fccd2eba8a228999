"""Codes of a few bits in 32-bit words, without gaps: what both layouts are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings import ByteArray, pack_bits, unpack_bits

WORD_BITS = 32
Words = npt.NDArray[np.int32]


def pack_words(codes: npt.NDArray[Any], bits: int) -> Words:
    """Pack each row of codes, the first code in the lowest bits of the row's first word.

    Args:
        codes: shape (rows, columns), below ``2**bits``; a row must fill whole words.
        bits: of a code; where it does not divide 32, codes run on from one word into the next.
    """
    return pack_bits(codes, bits).view("<i4").astype(np.int32).reshape(len(codes), -1)


def unpack_words(words: Words, bits: int) -> ByteArray:
    """The codes that `pack_words` packed, shape (rows, columns)."""
    rows, n_words = words.shape
    columns = n_words * WORD_BITS // bits
    packed = np.ascontiguousarray(words, dtype="<i4").view(np.uint8).reshape(-1)
    return unpack_bits(packed, bits, rows * columns).reshape(rows, columns)
