"""From stored parts back to an encoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings.base import Encoding
from autocompress.encodings.bits import pack_bits, unpack_bits
from autocompress.encodings.codebook import Codebook
from autocompress.encodings.dense import Dense
from autocompress.encodings.grouped_integers import GroupedIntegers
from autocompress.encodings.sparse import Sparse
from autocompress.encodings.sparse_integers import SparseIntegers


def encoding_from_parts(header: dict[str, Any], parts: dict[str, npt.NDArray[Any]]) -> Encoding:
    """Make an encoding again from what `Encoding.header` and `Encoding.parts` gave.

    Raises:
        ValueError: unknown kind, or parts that do not fit the header.
    """
    kind = header.get("kind")
    if kind == Dense.kind:
        return Dense(parts["values"])
    if kind == Codebook.kind:
        return Codebook.from_parts(header, parts)
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
            input_scales=parts.get("input_scales"),
        )
    if kind == Sparse.kind:
        mask = unpack_bits(parts["mask"], 1, count).reshape(shape).astype(np.bool_)
        return Sparse(mask, encoding_from_parts(header["values"], _within(parts, "values.")))
    if kind == SparseIntegers.kind:
        mask = unpack_bits(parts["mask"], 1, count).reshape(shape).astype(np.bool_)
        return SparseIntegers(mask, _integers_of_kept(header["integers"], _within(parts, "integers."), mask))
    raise ValueError(f"unknown encoding {kind!r}")


def _within(parts: dict[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    """The parts of an encoding inside another one."""
    return {name.removeprefix(prefix): part for name, part in parts.items() if name.startswith(prefix)}


def _integers_of_kept(
    header: dict[str, Any], parts: dict[str, npt.NDArray[Any]], mask: npt.NDArray[np.bool_]
) -> GroupedIntegers:
    """The whole weight from the codes of its kept values; the code of the others is 0."""
    bits = int(header["bits"])
    codes = np.zeros(mask.shape, np.uint8)
    codes[mask] = unpack_bits(parts["codes"], bits, int(mask.sum()))
    whole = encoding_from_parts(header, {**parts, "codes": pack_bits(codes, bits)})
    if not isinstance(whole, GroupedIntegers):
        raise ValueError(f"integers cannot be stored as {whole.kind!r}")
    return whole
