"""What the methods share that choose integer codes by what goes into each layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocompress.compressible import CompressibleModel, Inputs, StepContext, Weight
from autocompress.encodings import Encoding, GroupedIntegers, Sparse
from autocompress.errors import Unsupported
from autocompress.layer_inputs import InputStatistics, layer_groups, observe, sharing_inputs
from autocompress.methods.coding import encode_integers
from autocompress.methods.integer_coding import IntegerCoding, round_to_nearest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Target:
    """A weight about to be coded.

    Attributes:
        matrix: its values, shape (out_features, in_features), on the device; zero where it was pruned.
        kept: True where an earlier step did not prune it, or None where none did.
        bits: of its codes.
    """

    matrix: Tensor
    kept: Tensor | None
    bits: int

    @classmethod
    def of(cls, weight: Weight, encoding: Encoding | None, bits: int, device: str) -> Target:
        """A weight of a model, with the encoding that it has so far."""
        import torch

        kept = torch.from_numpy(encoding.mask).to(device) if isinstance(encoding, Sparse) else None
        return cls(weight.matrix.to(device), kept, bits)

    def error(self, integers: GroupedIntegers, inputs: InputStatistics) -> float:
        """Mean squared change of the layer's output."""
        import torch

        return inputs.output_error(torch.from_numpy(integers.decode()).to(self.matrix.device) - self.matrix)


@dataclass(frozen=True)
class Readers:
    """Weights of layers that read the same tensor, about to be coded.

    Attributes:
        weights: several where a calibration pass reaches them and they share their input.
        bits: of each one's codes.
        inputs: statistics of what they read, or None where calibration does not reach the layer.
    """

    weights: tuple[Weight, ...]
    bits: tuple[int, ...]
    inputs: InputStatistics | None

    def targets(self, model: CompressibleModel, device: str) -> list[Target]:
        """The weights as they are now."""
        found = zip(self.weights, self.bits, strict=True)
        return [Target.of(weight, model.encodings.get(weight.name), bits, device) for weight, bits in found]


class CalibratedCoding(IntegerCoding):
    """An `IntegerCoding` step that looks at calibration data.

    Layer group after layer group, so that the inputs of later layers show what has become of earlier ones, and no more
    than one group's statistics are in memory. Weights that calibration does not reach (embeddings, which come first,
    grouped convolutions, layers that are never called) are rounded to nearest. So is every weight whose layer's output
    would err more on the calibration data otherwise.
    """

    needs_calibration = True

    n_calibration_samples: Annotated[int, Field(ge=1, le=128)] = 128

    @abstractmethod
    def code(self, targets: Sequence[Target], inputs: InputStatistics) -> list[GroupedIntegers]:
        """The codes of weights that read the same inputs."""

    def prepare(self, model: CompressibleModel, group: Sequence[Readers], call: Inputs, device: str) -> None:
        """Called before the weights of a layer group are coded: may change weights and statistics so that they fit.

        Args:
            model: its module runs on ``device``.
            group: all that is coded next.
            call: inputs of one calibration pass.
            device: where the statistics lie.
        """

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Replace weights by their decoded values and record a `GroupedIntegers` encoding for each.

        Raises:
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
            Unsupported: there is no calibration data, or it makes a layer's input overflow.
        """
        model.require_finite()
        planned = self.planned(model, context)
        bits = {weight.name: width for weight, width in planned}
        weights = sorted((weight for weight, _ in planned), key=lambda weight: weight.kind != "embedding")
        calls = context.calibration()[: self.n_calibration_samples]
        n_done = 0
        for group in layer_groups(weights):
            inputs = observe(model.module, group, calls, context.device)
            _require_finite(inputs)
            readers = [
                Readers(tuple(sharing), tuple(bits[weight.name] for weight in sharing), inputs.get(sharing[0].name))
                for sharing in sharing_inputs(group, inputs)
            ]
            self.prepare(model, readers, calls[0], context.device)
            for together in readers:
                self._encode(model, together, context.device)
                n_done += len(together.weights)
                context.progress(n_done, len(weights))

    def _encode(self, model: CompressibleModel, readers: Readers, device: str) -> None:
        """Encode weights that read the same inputs, or one that calibration did not reach."""
        targets, inputs = readers.targets(model, device), readers.inputs
        plain = [round_to_nearest(t.matrix, t.bits, self.group_size, self.symmetric) for t in targets]
        chosen = plain
        if inputs is not None:
            candidates = zip(targets, self.code(targets, inputs), plain, strict=True)
            chosen = [min(integers, key=lambda i: target.error(i, inputs)) for target, *integers in candidates]
        for weight, integers in zip(readers.weights, chosen, strict=True):
            encode_integers(model, weight, integers)


def _require_finite(inputs: Mapping[str, InputStatistics]) -> None:
    for name, statistics in inputs.items():
        if not bool(statistics.gram.isfinite().all()):
            raise Unsupported(f"on the calibration data, the input of {name} overflows")
