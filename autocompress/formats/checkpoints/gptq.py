"""The layout of AutoGPTQ and its successor GPTQModel, which transformers and vLLM read too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.encodings import FloatArray, GroupedIntegers
from autocompress.formats.checkpoints.checkpoint_format import CheckpointFormat, Packing
from autocompress.formats.checkpoints.int32_words import pack_words, unpack_words

QUANTIZE_CONFIG_FILE = "quantize_config.json"
_BLOCK = re.compile(r"(.+?)\.\d+\.(.+)")


class GptqFormat(CheckpointFormat):
    """AutoGPTQ's layout, version 1.

    Of a linear layer ``NAME`` of ``in`` × ``out`` features in groups of ``group`` it holds

    | tensor | shape and type | content |
    |---|---|---|
    | ``NAME.qweight`` | (in · bits / 32, out), int32 | the codes of an output's inputs run down a column |
    | ``NAME.qzeros`` | (in / group, out · bits / 32), int32 | zero points *less one*, those of a group in a row |
    | ``NAME.scales`` | (in / group, out), float16 | a weight is (code - zero point) · scale |
    | ``NAME.g_idx`` | (in,), int32 | the group of each input |

    Words are filled from their lowest bits without gaps, so codes of 3 bits run on from one word into the next.
    """

    name = "gptq"
    summary = "AutoGPTQ's checkpoint: linear layers in 2, 3, 4 or 8 bits, for transformers, vLLM and GPTQModel"
    bits = (2, 3, 4, 8)
    in_multiple = 32
    out_multiple = 32
    parts = ("qweight", "qzeros", "scales", "g_idx")
    takes_transposed = True

    def pack(self, integers: GroupedIntegers) -> dict[str, npt.NDArray[Any]]:
        """See `CheckpointFormat.pack`."""
        integers = _without_zero_points_of_zero(integers)
        rows, columns = integers.shape
        zeros = integers.zero_points
        if zeros is None:
            zeros = np.full((rows, columns // integers.group_size), 2 ** (integers.bits - 1), np.uint8)
        return {
            "qweight": np.ascontiguousarray(pack_words(integers.codes, integers.bits).T),
            "qzeros": pack_words(zeros.T - np.uint8(1), integers.bits),
            "scales": np.ascontiguousarray(integers.scales.T),
            "g_idx": np.arange(columns, dtype=np.int32) // integers.group_size,
        }

    def unpack(self, parts: Mapping[str, npt.NDArray[Any]], packing: Packing) -> FloatArray:
        """See `CheckpointFormat.unpack`."""
        codes = unpack_words(np.ascontiguousarray(parts["qweight"].T), packing.bits).astype(np.float32)
        zeros = unpack_words(parts["qzeros"], packing.bits).astype(np.float32) + 1
        group_of_input = parts["g_idx"]
        scales = parts["scales"].astype(np.float32)
        matrix: FloatArray = (codes - zeros[group_of_input].T) * scales[group_of_input].T
        return matrix

    def quantization_config(self, packing: Packing, packed: tuple[str, ...], dense: tuple[str, ...]) -> dict[str, Any]:
        """See `CheckpointFormat.quantization_config`."""
        config: dict[str, Any] = {
            "quant_method": "gptq",
            "checkpoint_format": "gptq",
            "bits": packing.bits,
            "group_size": packing.group_size,
            "sym": packing.symmetric,
            "desc_act": False,
            "lm_head": False,
            "pack_dtype": "int32",
            "model_file_base_name": "model",
        }
        places = [match.groups() for layer in packed if (match := _BLOCK.fullmatch(layer))]
        stacks = {stack for stack, _ in places}
        if len(stacks) == 1:  # what transformers replaces by layers that unpack; it knows one stack of blocks only
            config["block_name_to_quantize"] = stacks.pop()
            config["modules_in_block_to_quantize"] = [sorted({inner for _, inner in places})]
        left_out: dict[str, Any] = {f"-:^{re.escape(layer)}$": {} for layer in dense if _BLOCK.fullmatch(layer)}
        return {**config, **({"dynamic": left_out} if left_out else {})}

    def write_more(self, folder: Path, quantization_config: Mapping[str, Any]) -> None:
        """See `CheckpointFormat.write_more`."""
        text = json.dumps(quantization_config, indent=2, sort_keys=True)
        (folder / QUANTIZE_CONFIG_FILE).write_text(text, encoding="utf-8")


def _without_zero_points_of_zero(integers: GroupedIntegers) -> GroupedIntegers:
    """The same values, groups whose zero point is 0 mirrored: codes and zero point counted from above, scale negated.

    A zero point of 0 less one would be -1, which readers take for ``2**bits - 1`` and turn into ``2**bits``.
    """
    if integers.zero_points is None:
        return integers
    largest = np.uint8(2**integers.bits - 1)
    mirrored = integers.zero_points == 0
    mirrored_columns = np.repeat(mirrored, integers.group_size, axis=1)
    return replace(
        integers,
        codes=np.where(mirrored_columns, largest - integers.codes, integers.codes),
        zero_points=np.where(mirrored, largest, integers.zero_points),
        scales=np.where(mirrored, -integers.scales, integers.scales),
    )
