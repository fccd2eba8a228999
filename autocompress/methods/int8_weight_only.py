"""Int8 weights with one scale per output channel."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from autocompress.compressible import CompressibleModel, StepContext, as_numpy
from autocompress.encodings import Form, GroupedIntegers, IntegersForm
from autocompress.encodings.forms import FLOAT32_BYTES
from autocompress.facts import WeightScope
from autocompress.methods.coding import WeightCoding, encode_integers, integers_form
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Choice, Phase

LARGEST_MAGNITUDE = 127


class Int8WeightOnly(WeightCoding, tag="int8_weight_only"):
    """Symmetric 8-bit weights, one scale per output channel (per row of an embedding); activations stay float.

    ``scope`` is linear and convolution ``layers``, or ``all`` weights, embeddings included. Codes are -127 to 127, so
    that the range is the same on both sides of zero. Zeros of a pruned weight stay exactly zero and are packed as
    `SparseIntegers` where that is smaller.

    Source: Krishnamoorthi 2018, Quantizing deep convolutional networks for efficient inference, arXiv:1806.08342,
    section 3.1.
    """

    phase = Phase.QUANTIZE
    summary = "Store weights as int8 with one scale per output channel"

    scope: Annotated[WeightScope, Choice("layers", "all")] = "all"

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""
        return outline.coded(self.scope, _form)

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace weights by their decoded values and record a `GroupedIntegers` encoding, a group per row, for each.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        import torch

        weights = self.uncoded(model)
        for index, weight in enumerate(weights):
            matrix = weight.matrix.to(context.device)
            largest = matrix.abs().amax(dim=1, keepdim=True)
            scales = torch.where(largest > 0, largest / LARGEST_MAGNITUDE, torch.ones_like(largest))
            codes = (matrix / scales).round_().clamp_(-LARGEST_MAGNITUDE, LARGEST_MAGNITUDE).add_(128)
            encoding = GroupedIntegers(
                codes=codes.to(torch.uint8).cpu().numpy(),
                bits=8,
                group_size=matrix.shape[1],
                scales=as_numpy(scales).astype(np.float32),
            )
            encode_integers(model, weight, encoding)
            context.progress(index + 1, len(weights))


def _form(group: WeightGroup) -> Form:
    shape = group.fact.out_features, group.fact.in_features
    return integers_form(group, IntegersForm(shape, bits=8, group_size=shape[1], scale_bytes=FLOAT32_BYTES))
