"""What the methods of half precision share: which part they convert, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.facts import ModelFacts, Part
from autocompress.outline import Outline, WeightGroup
from autocompress.recipe import Choice, Phase, Step


class HalfPrecision(Step):
    """Store and compute in 16 bits: all of the model, or the encoder or the decoder of an encoder-decoder.

    A part that is half takes and gives float32. The formats onnx and openvino compute the keys and values of
    cross-attention in the encoder's graph, and so in the encoder's type.
    """

    dtype: ClassVar[Literal["float16", "bfloat16"]]
    refused_dtypes: ClassVar[tuple[str, ...]]
    """Types of the stored model that leave the step nothing to do."""
    phase = Phase.COMPUTE

    part: Annotated[Part, Choice("model", "encoder", "decoder")] = "model"

    def __str__(self) -> str:
        return self.tag if self.part == "model" else super().__str__()

    def refuses(self, facts: ModelFacts) -> str | None:
        """See `Step.refuses`."""
        if facts.dtype in self.refused_dtypes:
            return f"the model is stored in {facts.dtype} already"
        if self.part not in facts.parts:
            return f"the model has no {self.part} that shares no weight with the rest; use part: model"
        if self.part != "model" and facts.dtype != "float32":
            return f"beside a half part the rest is float32, and the model is stored in {facts.dtype}; use part: model"
        return None

    def foresee(self, outline: Outline) -> Outline:
        """See `Step.foresee`."""

        def halved(group: WeightGroup) -> WeightGroup:
            is_taken = self.part in ("model", group.part)
            return replace(group, form=group.form.with_float16()) if is_taken and group.is_coded else group

        return replace(outline.changed(halved), half=self.dtype, half_part=self.part)

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Turn parameters and persistent buffers of the part into 16 bits, and its encodings' floats into float16.

        Raises:
            Unsupported: a value is beyond the largest one of its new type; the message names the parameter.
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        model.convert(self.dtype, self.part)
        context.progress(1, 1)
