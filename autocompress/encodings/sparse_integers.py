"""A pruned weight stored as integers in groups, of which only those that do not stand for zero are stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings.base import Encoding, FloatArray
from autocompress.encodings.bits import ByteArray, pack_bits, packed_length
from autocompress.encodings.forms import SparseForm, matrix_shape
from autocompress.encodings.grouped_integers import GroupedIntegers

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SparseIntegers(Encoding):
    """A bit per weight, the codes of the kept weights in row order, and all that the groups share.

    ``mask`` has the weight's shape and is true where a weight is kept; ``integers`` is the whole weight, whose codes
    count only there. A weight takes 1 bit and ``integers.bits`` more if it is kept.
    """

    kind = "sparse_integers"
    mask: Mask
    integers: GroupedIntegers

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the mask."""
        return self.mask.shape

    @property
    def kept_codes(self) -> ByteArray:
        """The codes of the kept weights in row order, shape (n_kept,)."""
        return self.integers.codes[self.mask]

    @property
    def words(self) -> str:
        """See `Encoding.words`."""
        return f"bit mask and kept values as {self.integers.words}"

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        return np.where(self.mask, self.integers.decode(), np.float32(0))

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """``mask`` packed, and the parts of ``integers`` under ``integers.``, their codes those of the kept weights."""
        kept = pack_bits(self.kept_codes, self.integers.bits)
        shared = replace(self.integers, codes=self.integers.codes[:0]).parts() | {"codes": kept}
        mask = pack_bits(self.mask.astype(np.uint8), 1)
        return {"mask": mask, **{f"integers.{name}": part for name, part in shared.items()}}

    @property
    def form(self) -> SparseForm:
        """See `Encoding.form`."""
        return SparseForm(matrix_shape(self.shape), int(np.count_nonzero(self.mask)), self.integers.form)

    def with_float16(self) -> SparseIntegers:
        """See `Encoding.with_float16`."""
        return replace(self, integers=self.integers.with_float16())


def zero_codes(integers: GroupedIntegers) -> ByteArray:
    """The code of each weight that stands for zero, of a shape that broadcasts to that of the codes."""
    if integers.zero_points is None:
        return np.array(2 ** (integers.bits - 1), np.uint8)
    return np.repeat(integers.zero_points, integers.group_size, axis=1)[:, : integers.shape[1]]


def packed_zeros(integers: GroupedIntegers, mask: Mask) -> GroupedIntegers | SparseIntegers:
    """A pruned weight in the smaller of two forms that decode alike: a code for every weight, or for kept ones only.

    Weights outside ``mask`` become exactly zero. Kept ones whose code stands for zero are dropped too: that loses
    nothing and saves their codes.
    """
    zeros = zero_codes(integers)
    whole = replace(integers, codes=np.where(mask, integers.codes, zeros))
    kept = whole.codes != zeros
    n_weights, n_kept = kept.size, int(np.count_nonzero(kept))
    saved = packed_length(n_weights, whole.bits) - packed_length(n_kept, whole.bits)
    return SparseIntegers(kept, whole) if saved > packed_length(n_weights, 1) else whole
