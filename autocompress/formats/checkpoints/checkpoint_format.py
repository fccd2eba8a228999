"""What the layouts have in common: which recipes end in one, and the way to the files and back."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt

from autocompress.formats.base import Format, Runner, Unavailable
from autocompress.formats.pytorch import PyTorchFormat
from autocompress.frozen import Frozen
from autocompress.recipe import Phase, steps_from_plain

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, StepContext
    from autocompress.encodings import FloatArray, GroupedIntegers
    from autocompress.facts import ModelFacts, WeightFact
    from autocompress.formats.foresight import FileSize
    from autocompress.outline import Outline
    from autocompress.recipe import Step
    from autocompress.spec import ModelSpec

INTEGER_KNOBS = {"bits", "group_size", "scope"}
"""A quantizing step with these leaves integers in groups."""
_IN_A_BLOCK = re.compile(r"\.\d+\.")


class Packing(Frozen):
    """How all packed layers of a checkpoint are coded: these formats know one way per file."""

    bits: int
    group_size: int
    symmetric: bool


class CheckpointFormat(Format):
    """Linear layers of the model's repeated blocks as packed integers, everything else dense in float16.

    That is what the packages pack: a head, a pooler or a patch embedding that a step has coded too is stored dense by
    its decoded values. Scales are float16 of either sign; readers only multiply by them.
    """

    searched = False
    imports = ("torch", "safetensors.torch", "transformers")
    bits: ClassVar[tuple[int, ...]]
    """Of a code."""
    in_multiple: ClassVar[int]
    out_multiple: ClassVar[int]
    """What a layer's features must be multiples of, to fill whole words."""
    parts: ClassVar[tuple[str, ...]]
    """The tensors that stand for a layer's weight, by the end of their names."""
    takes_transposed: ClassVar[bool]
    """Whether readers know GPT-2's ``Conv1D``, which stores its weight transposed."""

    @abstractmethod
    def pack(self, integers: GroupedIntegers) -> dict[str, npt.NDArray[Any]]:
        """The tensors of one layer by the end of their names; the scales are float16 already."""

    @abstractmethod
    def unpack(self, parts: Mapping[str, npt.NDArray[Any]], packing: Packing) -> FloatArray:
        """The matrix, shape (out_features, in_features), that the tensors of one layer stand for."""

    @abstractmethod
    def quantization_config(self, packing: Packing, packed: tuple[str, ...], dense: tuple[str, ...]) -> dict[str, Any]:
        """What readers look for in ``config.json``.

        Args:
            packing: of all packed layers.
            packed: names of the linear layers that are packed.
            dense: names of the other linear layers.
        """

    def write_more(self, folder: Path, quantization_config: Mapping[str, Any]) -> None:
        """Write what the package wants beside weights and ``config.json``."""

    def unavailable(self, device: str) -> Unavailable | None:
        """See `Format.unavailable`."""
        return PyTorchFormat().unavailable(device)

    def refuses(self, steps: tuple[Step, ...], facts: ModelFacts, device: str) -> str | None:
        """See `Format.refuses`."""
        del device
        if facts.task == "own":
            return "only models whose code is in transformers can be read from it"
        return next((reason for step in steps if (reason := self._refuses_step(step, facts))), None)

    def lacks(self, steps: tuple[Step, ...]) -> str | None:
        """See `Format.lacks`."""
        if any(step.phase is Phase.QUANTIZE for step in steps):
            return None
        return "it holds integers in groups, so the recipe needs a step such as rtn, gptq or awq"

    def _refuses_step(self, step: Step, facts: ModelFacts) -> str | None:
        if step.tag == "fp16":
            return "it stores what is not packed in float16 anyway; leave fp16 out"
        if step.phase is Phase.COMPUTE:
            return f"it is float16 and integers in groups only, so {step.tag} cannot be kept"
        if step.phase is Phase.CLUSTER:
            return f"it has no codebooks, so what {step.tag} saves would be lost"
        return self._refuses_integers(step, facts) if step.phase is Phase.QUANTIZE else None

    def _refuses_integers(self, step: Step, facts: ModelFacts) -> str | None:
        knobs = step.model_dump()
        if not knobs.keys() >= INTEGER_KNOBS:
            return f"it takes integers in groups, such as those of rtn, gptq and awq, not those of {step.tag}"
        if knobs.get("effective_bits") is not None:
            return "all its packed layers have the same bits; set bits instead of effective_bits"
        if knobs.get("exponents") and not knobs.get("fold_scales"):
            return f"it has no place for the input scales of {step.tag}; set `fold_scales: true`"
        bits, group_size, scope = knobs["bits"], knobs["group_size"], knobs["scope"]
        if bits not in self.bits:
            return f"it knows {' and '.join(map(str, self.bits))} bits, not {bits}"
        if scope == "all" and facts.of_kind("embedding"):
            return "it keeps embeddings dense; set the scope to layers or attention"
        weights = [weight for weight in facts.in_scope(scope) if is_packed(weight) and weight.in_features >= group_size]
        if not weights:
            return f"no linear layer of a repeated block is in the scope {scope!r} and at least {group_size} wide"
        return next((reason for weight in weights if (reason := self.misfit(weight, group_size))), None)

    def misfit(self, weight: WeightFact, group_size: int) -> str | None:
        """Why a weight of this shape cannot be packed in such groups, or None."""
        for features, what, multiple in (
            (weight.in_features, "inputs", group_size),
            (weight.in_features, "inputs", self.in_multiple),
            (weight.out_features, "outputs", self.out_multiple),
        ):
            if features % multiple:
                return f"{weight.name} has {features} {what}, which is no multiple of {multiple}"
        return None

    def known_good(self) -> tuple[tuple[Step, ...], ...]:
        """See `Format.known_good`."""
        knobs = {"bits": 4, "group_size": 64, "scope": "layers"}
        awq = {**knobs, "symmetric": False, "fold_scales": True}
        return tuple(steps_from_plain([step]) for step in ({"awq": awq}, {"gptq": knobs}, {"rtn": knobs}))

    def foresee(self, outline: Outline, *, is_original: bool) -> FileSize:
        """See `Format.foresee`."""
        from autocompress.formats.checkpoints.size import foreseen_size

        del is_original  # what is not packed is in float16
        return foreseen_size(outline, self.parts)

    def export(self, model: CompressibleModel, folder: Path, context: StepContext) -> str:
        """See `Format.export`; writes ``model.safetensors``, ``config.json`` and what the package wants beside them."""
        from autocompress.formats.checkpoints.files import compute_dtype, write_files

        write_files(self, model, folder)
        return f"{compute_dtype(context.device)} after unpacking at load"

    def load(self, folder: Path, device: str, threads: int, model: ModelSpec | None = None) -> Runner:
        """See `Format.load`; the layers are unpacked to dense ones.

        Raises:
            ModelError: the folder is not what `export` writes.
        """
        del model
        import torch

        from autocompress.formats.checkpoints.files import compute_dtype, read_module
        from autocompress.formats.pytorch.runner import PyTorchRunner

        torch.set_num_threads(threads)
        return PyTorchRunner(read_module(self, folder, compute_dtype(device)).to(device), device)


def is_packed(weight: WeightFact) -> bool:
    """Whether the packages pack such a weight if it is coded: that of a linear layer in a repeated block."""
    return weight.kind == "linear" and _IN_A_BLOCK.search(weight.name) is not None
