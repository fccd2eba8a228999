"""Half precision: weights and arithmetic in float16."""

from __future__ import annotations

from autocompress.methods.half_precision import HalfPrecision


class Float16(HalfPrecision, tag="fp16"):
    """Store and compute in float16 (5 bits of exponent, 10 of fraction); codebooks and kept values become float16 too.

    ``part`` leaves the other half of an encoder-decoder in float32.

    Source: Micikevicius et al. 2018, Mixed Precision Training, arXiv:1710.03740, section 2.
    """

    summary = "Store and compute in float16"
    dtype = "float16"
    refused_dtypes = ("float16",)
