"""Huffman coding of packed codes: frequent ones take fewer bits than rare ones."""

from __future__ import annotations

import zlib

import numpy as np

from autocompress.encodings.bits import ByteArray, pack_bits, unpack_bits

SYMBOL_BITS = (8, 7, 6, 5)
"""Widths that the bits are cut into: codes of 1 to 8 bits fit one of them without a rest."""
SAMPLE_BYTES = 8 * 7 * 5 * 3 * 1024
"""Enough to tell the best width; a whole number of symbols of every width."""


def huffman_coded(packed: ByteArray) -> ByteArray | None:
    """A stream that `huffman_decoded` turns back into ``packed``; None where that would not be shorter.

    The bits are cut into symbols of the width that holds most order, so codes of any number of bits packed without
    gaps are coded as whole codes, several together where they fit. A stream is zlib's format (RFC 1950, with its
    checksum) of that width and the symbols, a byte each; only Huffman's codes are used, fresh ones for every few ten
    thousand symbols.

    Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 4; Deutsch 1996, RFC 1951, section 3.2.7.
    """
    width = min(SYMBOL_BITS, key=lambda bits: _entropy_bits(_symbols(packed[:SAMPLE_BYTES], bits)))
    coder = zlib.compressobj(level=9, memLevel=9, strategy=zlib.Z_HUFFMAN_ONLY)
    stream = coder.compress(bytes([width])) + coder.compress(_symbols(packed, width).tobytes()) + coder.flush()
    return np.frombuffer(stream, np.uint8) if len(stream) < packed.size else None


def huffman_decoded(stream: ByteArray) -> ByteArray:
    """The packed bytes that `huffman_coded` made the stream of.

    Raises:
        ValueError: the stream is damaged.
    """
    decoder = zlib.decompressobj()
    try:
        # A symbol takes a bit at least: a stream that gives more is none of ours, and must not fill the memory.
        content = np.frombuffer(decoder.decompress(stream.tobytes(), 8 * stream.size + 1), np.uint8)
    except zlib.error as problem:
        raise ValueError(f"a Huffman-coded stream is damaged: {problem}") from None
    width, symbols = int(content[0]) if content.size else 0, content[1:]
    if not decoder.eof or decoder.unused_data or width not in SYMBOL_BITS or bool((symbols >> (width - 1) > 1).any()):
        raise ValueError("a Huffman-coded stream is damaged: it does not end where it should, or holds other symbols")
    return pack_bits(symbols, width)[: symbols.size * width // 8]


def _symbols(packed: ByteArray, bits: int) -> ByteArray:
    """All bits cut into symbols of so many, the last one filled up with zeros."""
    return unpack_bits(packed, bits, -(-8 * packed.size // bits))


def _entropy_bits(symbols: ByteArray) -> float:
    """Bits that the symbols take when each is coded by how often it occurs."""
    counts = np.bincount(symbols)
    counts = counts[counts > 0]
    return float((counts * np.log2(symbols.size / counts)).sum())
