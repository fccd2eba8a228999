"""A weight stored as integers, with a scale for every group of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings.base import Encoding, FloatArray
from autocompress.encodings.bits import ByteArray, pack_bits
from autocompress.encodings.forms import IntegersForm, matrix_shape


@dataclass(frozen=True)
class GroupedIntegers(Encoding):
    """Integer codes; each group of ``group_size`` columns of a row shares a scale and a zero point.

    The value of a code is ``(code - zero_point) * scale / input_scale``. ``codes`` has shape (out_features,
    in_features), unsigned, below ``2**bits``; ``scales`` has shape (out_features, n_groups); ``zero_points`` has that
    shape, or is None for the symmetric form, whose zero point is ``2**(bits - 1)``. The last group of a row may be
    narrower. ``input_scales`` has shape (in_features,), or is None where all are one; a runtime may divide the layer's
    input by them instead of the weight.
    """

    kind = "grouped_integers"
    codes: ByteArray
    bits: int
    group_size: int
    scales: npt.NDArray[Any]
    zero_points: ByteArray | None = None
    input_scales: npt.NDArray[Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the codes."""
        return self.codes.shape

    @property
    def words(self) -> str:
        """See `Encoding.words`."""
        return f"int{self.bits} weights"

    def decode(self) -> FloatArray:
        """See `Encoding.decode`."""
        columns = self.codes.shape[1]
        scales = np.repeat(self.scales.astype(np.float32), self.group_size, axis=1)[:, :columns]
        if self.zero_points is None:
            centred = self.codes.astype(np.float32) - np.float32(2 ** (self.bits - 1))
        else:
            zeros = np.repeat(self.zero_points, self.group_size, axis=1)[:, :columns]
            centred = self.codes.astype(np.float32) - zeros.astype(np.float32)
        values: FloatArray = centred * scales
        if self.input_scales is not None:
            values /= self.input_scales.astype(np.float32)
        return values

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """``codes`` and ``zero_points`` packed to ``bits`` bits, ``scales`` and ``input_scales`` as they are."""
        stored: dict[str, npt.NDArray[Any]] = {"codes": pack_bits(self.codes, self.bits), "scales": self.scales}
        if self.zero_points is not None:
            stored["zero_points"] = pack_bits(self.zero_points, self.bits)
        if self.input_scales is not None:
            stored["input_scales"] = self.input_scales
        return stored

    @property
    def form(self) -> IntegersForm:
        """See `Encoding.form`."""
        return IntegersForm(
            matrix_shape(self.shape),
            self.bits,
            self.group_size,
            scale_bytes=self.scales.itemsize,
            has_zero_points=self.zero_points is not None,
            input_scale_bytes=0 if self.input_scales is None else self.input_scales.itemsize,
        )

    def with_float16(self) -> GroupedIntegers:
        """See `Encoding.with_float16`."""
        input_scales = None if self.input_scales is None else self.input_scales.astype(np.float16)
        return replace(self, scales=self.scales.astype(np.float16), input_scales=input_scales)
