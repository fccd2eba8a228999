"""Encodings: what is packed comes back, and takes the bytes that arithmetic says."""

from __future__ import annotations

import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autocompress.encodings import (
    Codebook,
    Dense,
    Encoding,
    GroupedIntegers,
    Sparse,
    SparseIntegers,
    encoding_from_parts,
    huffman_coded,
    huffman_decoded,
    pack_bits,
    packed_length,
    packed_zeros,
    unpack_bits,
)
from autocompress.model_state import pack_encodings, unpack_encodings


@given(st.integers(1, 8), st.lists(st.integers(0, 255), max_size=70))
def test_packed_codes_come_back_and_leave_no_gaps(bits: int, values: list[int]) -> None:
    codes = np.array([value % 2**bits for value in values], np.uint8)
    packed = pack_bits(codes, bits)
    assert len(packed) == packed_length(len(codes), bits)
    assert np.array_equal(unpack_bits(packed, bits, len(codes)), codes)


def test_the_first_code_lies_in_the_lowest_bits() -> None:
    assert pack_bits(np.array([1, 2], np.uint8), 4).tolist() == [0x21]


@st.composite
def encodings(draw: st.DrawFn) -> Encoding:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 40))
    floats = st.floats(-100, 100, width=16)
    kind = draw(st.sampled_from(["dense", "integers", "codebook", "sparse", "sparse integers"]))
    if kind == "dense":
        return Dense(draw(hnp.arrays(np.float32, (rows, columns), elements=st.floats(-1e3, 1e3, width=32))))
    if kind == "integers":
        bits, group_size = draw(st.sampled_from([2, 3, 4, 8])), draw(st.integers(1, 16))
        codes = st.integers(0, 2**bits - 1)
        groups = (rows, -(-columns // group_size))
        zeros = draw(st.none() | hnp.arrays(np.uint8, groups, elements=codes))
        scales = draw(hnp.arrays(np.float16, groups, elements=floats))
        floats_type = draw(st.sampled_from([np.float16, np.float32]))
        inputs = draw(st.none() | hnp.arrays(floats_type, columns, elements=st.floats(2**-10, 2**10, width=16)))
        return GroupedIntegers(
            draw(hnp.arrays(np.uint8, (rows, columns), elements=codes)), bits, group_size, scales, zeros, inputs
        )
    if kind == "sparse integers":
        integers, mask = draw(pruned_integers())
        return SparseIntegers(mask, integers)
    if kind == "codebook":
        return draw(codebooks((rows, columns)))
    mask = draw(hnp.arrays(np.bool_, (rows, columns)))
    return Sparse(mask, draw(codebooks((1, int(mask.sum())))))


@st.composite
def codebooks(draw: st.DrawFn, shape: tuple[int, int]) -> Codebook:
    """One codebook or several, of floats or of integers with a scale each."""
    size, n_centroids = shape[0] * shape[1], draw(st.integers(1, 20))
    group_size = draw(st.none() | st.integers(1, 60))
    n_groups = 1 if group_size is None else -(-size // group_size)
    floats = st.floats(-100, 100, width=16)
    kind = draw(st.sampled_from([np.float32, np.float16, np.int8]))
    elements = st.integers(-127, 127) if kind is np.int8 else floats
    centroids = draw(hnp.arrays(kind, (n_groups, n_centroids), elements=elements))
    scales = draw(hnp.arrays(np.float32, n_groups, elements=floats)) if kind is np.int8 else None
    indices = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, n_centroids - 1)))
    return Codebook(indices, centroids, group_size, scales)


@given(encodings())
def test_the_form_tells_the_bytes_of_every_part(encoding: Encoding) -> None:
    stored = {name: part.nbytes for name, part in encoding.parts().items()}
    assert {name: part.n_bytes for name, part in encoding.form.parts.items()} == stored
    assert encoding.packed_bytes == sum(stored.values())


@given(encodings())
def test_header_and_parts_make_the_same_encoding_again(encoding: Encoding) -> None:
    again = encoding_from_parts(encoding.header(), encoding.parts())
    assert again.shape == encoding.shape
    assert np.array_equal(again.decode(), encoding.decode())


@given(encodings(), encodings())
def test_encodings_packed_together_come_apart_again(first: Encoding, second: Encoding) -> None:
    parts, headers = pack_encodings({"layer.1.weight": first, "layer.10.weight": second})
    again = unpack_encodings({**parts, "layer.1.bias": np.zeros(3)}, headers)
    assert np.array_equal(again["layer.1.weight"].decode(), first.decode())
    assert np.array_equal(again["layer.10.weight"].decode(), second.decode())


@given(encodings())
def test_half_precision_never_takes_more_bytes(encoding: Encoding) -> None:
    assert encoding.with_float16().packed_bytes <= encoding.packed_bytes


def test_packed_bytes_are_what_arithmetic_says() -> None:
    codes = np.zeros((10, 100), np.uint8)
    scales = np.ones((10, 4), np.float16)
    assert GroupedIntegers(codes, 4, 32, scales).packed_bytes == 500 + 80
    assert GroupedIntegers(codes, 4, 32, scales, np.zeros((10, 4), np.uint8)).packed_bytes == 500 + 80 + 20
    assert Codebook(codes, np.zeros((1, 16), np.float32)).packed_bytes == 500 + 64
    assert Codebook(codes, np.zeros((5, 8), np.int8), 200, np.ones(5, np.float32)).packed_bytes == 375 + 40 + 20
    mask = np.arange(1000).reshape(10, 100) % 2 == 0
    assert Sparse(mask, Dense(np.ones((1, 500), np.float32))).packed_bytes == 125 + 2000


def test_input_scales_divide_the_columns() -> None:
    codes, scales = np.array([[9, 10, 4]], np.uint8), np.array([[0.5, 2]], np.float16)
    encoding = GroupedIntegers(codes, 4, 2, scales, input_scales=np.array([1, 2, 4], np.float16))
    assert encoding.decode().tolist() == [[0.5, 0.5, -2.0]]
    assert encoding.packed_bytes == 2 + 4 + 6


@st.composite
def pruned_integers(draw: st.DrawFn) -> tuple[GroupedIntegers, np.ndarray]:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 40))
    bits, group_size = draw(st.integers(1, 8)), draw(st.integers(1, 45))
    groups = (rows, -(-columns // group_size))
    codes = st.integers(0, 2**bits - 1)
    scales = hnp.arrays(np.float16, groups, elements=st.floats(-100, 100, width=16))
    integers = GroupedIntegers(
        draw(hnp.arrays(np.uint8, (rows, columns), elements=codes)),
        bits,
        group_size,
        draw(scales),
        draw(st.none() | hnp.arrays(np.uint8, groups, elements=codes)),
        draw(st.none() | hnp.arrays(np.float16, columns, elements=st.floats(0.5, 2, width=16))),
    )
    masks = draw(st.sampled_from(["any", "none kept", "all kept", "one kept", "a row of zeros"]))
    mask = np.full((rows, columns), masks in ("all kept", "a row of zeros"))
    if masks == "any":
        mask = draw(hnp.arrays(np.bool_, (rows, columns)))
    elif masks == "one kept":
        mask[-1, -1] = True
    elif masks == "a row of zeros":
        mask[0] = False
    return integers, mask


@given(pruned_integers())
def test_kept_codes_come_back_in_their_places_whatever_was_pruned(case: tuple[GroupedIntegers, np.ndarray]) -> None:
    integers, mask = case
    encoding = SparseIntegers(mask, integers)
    parts = encoding.parts()
    assert parts["mask"].nbytes == packed_length(mask.size, 1)
    assert parts["integers.codes"].nbytes == packed_length(int(mask.sum()), integers.bits)
    again = encoding_from_parts(encoding.header(), parts)
    assert np.array_equal(again.decode(), encoding.decode())
    assert np.array_equal(again.decode(), np.where(mask, integers.decode(), 0))


@given(pruned_integers())
def test_packed_zeros_decode_alike_and_take_the_fewer_bytes(case: tuple[GroupedIntegers, np.ndarray]) -> None:
    integers, mask = case
    packed = packed_zeros(integers, mask)
    assert np.array_equal(packed.decode(), np.where(mask, integers.decode(), 0))
    assert packed.packed_bytes <= min(integers.packed_bytes, SparseIntegers(mask, integers).packed_bytes)


def test_four_bits_are_packed_from_a_quarter_of_zeros_on() -> None:
    def packed(n_zeros: int) -> Encoding:
        mask = np.arange(1600).reshape(10, 160) >= n_zeros
        return packed_zeros(GroupedIntegers(np.full((10, 160), 3, np.uint8), 4, 32, np.ones((10, 5))), mask)

    assert isinstance(packed(400), GroupedIntegers)
    assert isinstance(packed(416), SparseIntegers)


def test_a_missing_part_is_named() -> None:
    _, headers = pack_encodings({"w": Codebook(np.zeros((2, 2), np.uint8), np.zeros((1, 2), np.float32))})
    with pytest.raises(ValueError, match=r"'(indices|centroids)' of w"):
        unpack_encodings({}, headers)


def test_every_run_of_weights_reads_its_own_codebook_and_scale() -> None:
    indices = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
    books, scales = np.array([[1, -1], [3, 4]], np.int8), np.array([0.5, 2], np.float32)
    decoded = Codebook(indices, books, group_size=4, scales=scales).decode()
    assert decoded.tolist() == [[0.5, -0.5, -0.5], [0.5, 6, 8]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centroids": np.zeros(3, np.float32)}, "do not fit"),
        ({"centroids": np.zeros((2, 3), np.float32)}, "do not fit"),
        ({"scales": np.ones(2, np.float32)}, "do not fit"),
        ({"indices": np.full(1, 0xFF, np.uint8)}, "beyond the last of 3"),
    ],
    ids=str,
)
def test_parts_of_a_codebook_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    book = Codebook(np.zeros((2, 2), np.uint8), np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match=message):
        encoding_from_parts(book.header(), {**book.parts(), **change})


@given(st.integers(1, 8), st.integers(0, 3000), st.floats(0.05, 1), st.integers(0, 99))
def test_huffman_coded_codes_come_back_and_take_fewer_bytes(bits: int, count: int, spread: float, seed: int) -> None:
    drawn = np.random.default_rng(seed).normal(2 ** (bits - 1), spread * 2 ** (bits - 1), count)
    packed = pack_bits(np.clip(np.rint(drawn), 0, 2**bits - 1).astype(np.uint8), bits)
    stream = huffman_coded(packed)
    if stream is not None:
        assert stream.size < packed.size
        assert np.array_equal(huffman_decoded(stream), packed)


@given(hnp.arrays(np.uint8, st.integers(0, 400)))
def test_any_bytes_come_back_or_are_not_coded(packed: np.ndarray) -> None:
    stream = huffman_coded(packed)
    assert stream is None or np.array_equal(huffman_decoded(stream), packed)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8])
def test_huffman_codes_come_near_the_entropy(bits: int) -> None:
    drawn = np.random.default_rng(0).normal(2 ** (bits - 1), 2 ** (bits - 1) / 3, 200_000)
    codes = np.clip(np.rint(drawn), 0, 2**bits - 1).astype(np.uint8) if bits > 1 else (drawn > 1.3).astype(np.uint8)
    counts = np.bincount(codes)
    counts = counts[counts > 0]
    entropy_bytes = -(counts * np.log2(counts / codes.size)).sum() / 8
    stream = huffman_coded(pack_bits(codes, bits))
    assert stream is not None
    assert entropy_bytes <= stream.size <= 1.015 * entropy_bytes + 200


def test_codes_without_order_are_left_as_they_are() -> None:
    assert huffman_coded(np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8)) is None
    assert huffman_coded(np.zeros(0, np.uint8)) is None


@given(st.integers(0, 10**6), st.integers(0, 7), st.sampled_from([3, 4, 6]))
def test_a_damaged_stream_is_refused_or_decoded_to_the_same(place: int, bit: int, bits: int) -> None:
    codes = np.random.default_rng(0).binomial(2**bits - 1, 0.3, 3000).astype(np.uint8)
    packed = pack_bits(codes, bits)
    stream = huffman_coded(packed)
    assert stream is not None
    damaged = stream.copy()
    damaged[place % stream.size] ^= 1 << bit
    with suppress(ValueError):  # a bit that fills up the last byte says nothing
        assert np.array_equal(huffman_decoded(damaged), packed)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\x08",
        zlib.compress(b""),
        zlib.compress(b"\x09" + bytes(100)),
        zlib.compress(b"\x08" + bytes(10**7)),
        zlib.compress(b"\x05" + bytes(range(100))),
        zlib.compress(b"\x08" + bytes(range(100))) + b"more",
        zlib.compress(b"\x08" + bytes(range(100)))[:-1],
    ],
    ids=["empty", "no zlib", "nothing in it", "no such width", "a bomb", "symbols too wide", "too long", "cut off"],
)
def test_what_is_no_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(ValueError, match="Huffman"):
        huffman_decoded(np.frombuffer(stream, np.uint8))
