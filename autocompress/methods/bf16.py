"""Brain floating point: weights and arithmetic in bfloat16."""

from __future__ import annotations

from autocompress.methods.half_precision import HalfPrecision


class BFloat16(HalfPrecision, tag="bf16"):
    """Store and compute in bfloat16 (8 bits of exponent as float32 has, 7 of fraction).

    Codebooks and the kept values of pruned weights are stored in float16, which has more digits in as many bits.
    ``part`` leaves the other half of an encoder-decoder in float32.

    Source: Kalamkar et al. 2019, A Study of BFLOAT16 for Deep Learning Training, arXiv:1905.12322.
    """

    summary = "Store and compute in bfloat16"
    dtype = "bfloat16"
    refused_dtypes = ("bfloat16", "float16")
