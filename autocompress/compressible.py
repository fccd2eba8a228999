"""The model while it is being compressed: a torch module, and beside it how each weight will be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from autocompress.encodings import Encoding, FloatArray
from autocompress.errors import ModelError, Unsupported
from autocompress.facts import ModelFacts, Part, WeightFact, WeightKind, WeightScope
from autocompress.half_part import convert_part, part_of
from autocompress.structure import Structure

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.recipe import Step
    from autocompress.stage_cache import StageCache

Precision = Literal["float32", "float16", "bfloat16"]
Inputs = Mapping[str, npt.NDArray[Any]]
"""One batch as the runtime takes it: input name to array, batch first."""


class NonFiniteWeight(ModelError):
    """A weight holds inf or nan; the message names the parameter."""


@dataclass(frozen=True)
class Weight:
    """A parameter seen as a matrix of shape (out_features, in_features).

    Convolution kernels are flattened into the input axis; the transposed storage of GPT-2's ``Conv1D`` is undone.
    """

    name: str
    kind: WeightKind
    parameter: nn.Parameter
    transposed: bool = False
    in_attention: bool = False

    @property
    def matrix(self) -> Tensor:
        """The values as a float32 matrix; a copy where the storage differs.

        Raises:
            NonFiniteWeight: the weight holds inf or nan.
        """
        values = self.parameter.detach().float()
        if not bool(values.isfinite().all()):
            raise NonFiniteWeight(f"the weight {self.name} holds inf or nan", remedy="Repair or retrain the model.")
        return values.T if self.transposed else values.reshape(values.shape[0], -1)

    def write(self, matrix: Tensor) -> None:
        """Replace the values by those of a matrix of the same shape."""
        values = matrix.T if self.transposed else matrix.reshape(self.parameter.shape)
        self.parameter.data.copy_(values.to(self.parameter.dtype))

    @property
    def fact(self) -> WeightFact:
        """Its shape, without the values."""
        rows, columns = self.parameter.shape[0], self.parameter[0].numel()
        if self.transposed:
            rows, columns = columns, rows
        return WeightFact(
            name=self.name, kind=self.kind, out_features=rows, in_features=columns, in_attention=self.in_attention
        )


@dataclass
class CompressibleModel:
    """A module in evaluation mode, and what the steps have decided about its storage.

    Attributes:
        module: the model; its parameters always hold the decoded values, so that any runtime can run it.
        encodings: parameter name to its stored form; a parameter that is missing here is stored dense.
        overrides: fields of the model's configuration that a structural step changed.
        structure: what structural steps changed that the configuration cannot express.
        precision: what the runtime computes in.
        half_part: the part that ``precision`` is of; all else is float32.
        activation_step: the step whose int8 kernels the format must use, if any (activations belong to the format).
        float_layers: names of weights whose layers compute in float all the same, the most sensitive one first.
        smoothing: weight name to what, before they become integers, the layer's inputs are divided and the weight's
            columns multiplied by, shape (in_features,). Layers that read the same tensor have equal factors.
    """

    module: nn.Module
    encodings: dict[str, Encoding] = field(default_factory=dict)
    overrides: dict[str, int] = field(default_factory=dict)
    structure: Structure = field(default_factory=Structure)
    precision: Precision = "float32"
    half_part: Part = "model"
    activation_step: Step | None = None
    float_layers: tuple[str, ...] = ()
    smoothing: dict[str, FloatArray] = field(default_factory=dict)

    def weights(self, *kinds: WeightKind) -> Iterator[Weight]:
        """The weight matrices of the given kinds (all when none is given), each shared parameter once.

        Only modules of the listed kinds count: biases, norms and position tables stay as they are.
        """
        from torch import nn

        seen: set[int] = set()
        attention: tuple[str, ...] = ()
        for prefix, module in self.module.named_modules(remove_duplicate=True):
            if "attention" in type(module).__name__.lower():
                attention = (*attention, f"{prefix}.")
            kind: WeightKind
            if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D":
                kind = "linear"
            elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
                kind = "convolution"
            elif isinstance(module, nn.Embedding):
                kind = "embedding"
            else:
                continue
            parameter = dict(module.named_parameters(recurse=False)).get("weight")
            if parameter is None or parameter.dim() < 2 or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if not kinds or kind in kinds:
                name = f"{prefix}.weight" if prefix else "weight"
                transposed = type(module).__name__ == "Conv1D"
                yield Weight(name, kind, parameter, transposed, in_attention=name.startswith(attention))

    def in_scope(self, scope: WeightScope) -> Iterator[Weight]:
        """The weights that a method of this scope takes; see `weights`."""
        return (weight for weight in self.weights() if weight.fact.is_in(scope))

    def encode(self, weight: Weight, encoding: Encoding) -> None:
        """Store a weight by this encoding from now on, and put the values it decodes to in place."""
        import torch

        self.encodings[weight.name] = encoding
        weight.write(torch.from_numpy(encoding.decode()).to(weight.parameter.device))

    def precision_of(self, part: Part) -> Precision:
        """What a part computes in."""
        return self.precision if self.half_part in ("model", part) else "float32"

    def convert(self, precision: Literal["float16", "bfloat16"], part: Part = "model") -> None:
        """Store and compute a part in half precision: parameters, persistent buffers, and the floats of its encodings.

        Encodings keep their floats in float16 either way: NumPy has no bfloat16, and float16 has more digits.

        Raises:
            NonFiniteWeight: a parameter holds inf or nan.
            Unsupported: a weight is beyond the largest value of the new type.
        """
        import torch

        self.require_finite()
        convert_part(self.module, part, getattr(torch, precision))
        converted = {id(tensor) for module in part_of(self.module, part) for tensor in module.parameters()}
        for weight in self.weights():
            if weight.name in self.encodings and id(weight.parameter) in converted:
                self.encode(weight, self.encodings[weight.name].with_float16())
        for name, parameter in self.module.named_parameters():
            if not bool(parameter.isfinite().all()):
                raise Unsupported(f"the weight {name} is beyond the largest value of {precision}")
        self.precision, self.half_part = precision, part

    def require_finite(self) -> None:
        """Check every parameter.

        Raises:
            NonFiniteWeight: a parameter holds inf or nan.
        """
        for name, parameter in self.module.named_parameters():
            if not bool(parameter.isfinite().all()):
                raise NonFiniteWeight(f"the weight {name} holds inf or nan", remedy="Repair or retrain the model.")


@dataclass(frozen=True)
class StepContext:
    """What a step or an export may use besides the model.

    Attributes:
        facts: shape of the original model.
        calibration: inputs of the calibration part, a batch of one each: what one forward pass of the module takes,
            the answer's tokens included where the model decodes. Reads the data when called.
        training: the same of the training rows, which are more; with ``labels`` where the task knows them, so that
            modules of Hugging Face give their ``loss``.
        teacher: the original in float32 on the device; loads it when called.
        scratch: a folder of this step's own that survives an interruption: what lies in it from an earlier attempt
            at the same step of the same recipe may be gone on from. Emptied once the step has ended well.
        example: inputs of one call, for tracing; empty when a recipe is applied without data.
        task: the task's name.
        device: ``cpu`` or ``cuda``.
        seed: for anything random.
        cache: content-addressed folders kept between trials.
        model_key: what, with the steps so far, determines the model: part of every cache key.
        progress: called with (done, total) during long work.
    """

    facts: ModelFacts
    calibration: Callable[[], Sequence[Inputs]]
    training: Callable[[], Sequence[Inputs]]
    teacher: Callable[[], nn.Module]
    scratch: Path
    example: Inputs
    task: str
    device: str
    seed: int
    cache: StageCache
    model_key: str
    progress: Callable[[int, int], None]


def as_numpy(tensor: Tensor) -> npt.NDArray[np.float32]:
    """A tensor's values as a float32 array on the CPU."""
    return tensor.detach().float().cpu().numpy()
