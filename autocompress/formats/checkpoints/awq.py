"""The layout of AutoAWQ for its GEMM kernels, which transformers and vLLM read too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings import FloatArray, GroupedIntegers
from autocompress.formats.checkpoints.checkpoint_format import CheckpointFormat, Packing
from autocompress.formats.checkpoints.int32_words import pack_words, unpack_words

BITS = 4
CODES_PER_WORD = 8
PLACES = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight neighbouring outputs stands in each four bits of a word, the lowest first."""


class AwqFormat(CheckpointFormat):
    """AutoAWQ's layout ``gemm``.

    Of a linear layer ``NAME`` of ``in`` × ``out`` features in groups of ``group`` it holds

    | tensor | shape and type | content |
    |---|---|---|
    | ``NAME.qweight`` | (in, out / 8), int32 | the codes of an input's outputs run along a row |
    | ``NAME.qzeros`` | (in / group, out / 8), int32 | zero points, those of a group in a row |
    | ``NAME.scales`` | (in / group, out), float16 | a weight is (code - zero point) · scale |

    A word holds eight neighbouring outputs in the order 0, 2, 4, 6, 1, 3, 5, 7, from its lowest bits.
    """

    name = "awq"
    summary = "AutoAWQ's checkpoint: linear layers in 4 bits, for transformers and vLLM"
    bits = (BITS,)
    in_multiple = 1
    out_multiple = CODES_PER_WORD
    parts = ("qweight", "qzeros", "scales")
    takes_transposed = False

    def pack(self, integers: GroupedIntegers) -> dict[str, npt.NDArray[Any]]:
        """See `CheckpointFormat.pack`."""
        zeros = integers.zero_points
        if zeros is None:
            zeros = np.full(integers.scales.shape, 2 ** (BITS - 1), np.uint8)
        return {
            "qweight": pack_words(_interleaved(integers.codes.T), BITS),
            "qzeros": pack_words(_interleaved(zeros.T), BITS),
            "scales": np.ascontiguousarray(integers.scales.T),
        }

    def unpack(self, parts: Mapping[str, npt.NDArray[Any]], packing: Packing) -> FloatArray:
        """See `CheckpointFormat.unpack`."""
        codes = _in_order(unpack_words(parts["qweight"], BITS)).astype(np.float32)
        zeros = _in_order(unpack_words(parts["qzeros"], BITS)).astype(np.float32)
        scales = parts["scales"].astype(np.float32)
        centred = codes - zeros.repeat(packing.group_size, axis=0)
        return np.ascontiguousarray((centred * scales.repeat(packing.group_size, axis=0)).T)

    def quantization_config(self, packing: Packing, packed: tuple[str, ...], dense: tuple[str, ...]) -> dict[str, Any]:
        """See `CheckpointFormat.quantization_config`."""
        del packed
        return {
            "quant_method": "awq",
            "version": "gemm",
            "bits": packing.bits,
            "group_size": packing.group_size,
            "zero_point": True,  # symmetric codes too are read with the zero points that are stored
            "modules_to_not_convert": list(dense) or None,
        }


def _interleaved(columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    in_eights = columns.reshape(len(columns), -1, CODES_PER_WORD)
    return in_eights[:, :, PLACES].reshape(columns.shape)


def _in_order(columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    in_eights = columns.reshape(len(columns), -1, CODES_PER_WORD)
    return in_eights[:, :, np.argsort(PLACES)].reshape(columns.shape)
