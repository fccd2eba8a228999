"""How much a model's output changes when one of its parts is altered: what compression may do to that part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.batches import as_tensors, batches
from autocompress.errors import Unsupported

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocompress.compressible import Inputs
    from autocompress.stage_cache import StageCache

CALLS_AT_ONCE = 4
LARGEST_HELD_BYTES = 2**28
"""Outputs of the unaltered model are held up to this size; beyond it, alterations are made anew for the next calls."""
LOGITS = "logits"
FILE = "sensitivities.json"

Alteration = Callable[[], AbstractContextManager[object]]
"""Makes a context in which the model is altered, and after which it is as it was."""


def sensitivities(
    module: nn.Module, calls: Sequence[Inputs], alterations: Mapping[str, Alteration], device: str
) -> dict[str, float]:
    """The mean change of the first float output while each alteration is in force; 0 where nothing changes.

    Of ``logits`` of several classes the Kullback-Leibler divergence from what they are without the alteration, in nats
    per position; of any other output the squared change over the squared output.

    Args:
        module: in evaluation mode, on ``device``.
        calls: inputs of one forward pass each.
        alterations: the contexts to try, one at a time; each is entered once, or once for as many calls as have
            outputs of `LARGEST_HELD_BYTES`.
        device: where the passes run.

    Raises:
        Unsupported: there are no calls, or the model gives no float output.
    """
    import torch

    if not calls:
        raise Unsupported("sensitivities are measured on calibration data, and there is none")
    sums = dict.fromkeys(alterations, 0.0)
    n_samples = 0
    with torch.inference_mode():
        for held in _held(module, batches(calls, CALLS_AT_ONCE), device):
            n_samples += sum(unaltered.n_samples for unaltered in held)
            for name, alteration in alterations.items():
                with alteration():
                    sums[name] += sum(unaltered.n_samples * unaltered.change(module) for unaltered in held)
    return {name: total / n_samples for name, total in sums.items()}


@dataclass(frozen=True)
class _Unaltered:
    """A call, and what the model gives for it as long as nothing is altered.

    Attributes:
        call: the inputs of one forward pass.
        n_samples: in that pass.
        output: log-probabilities of the classes where these are compared, the output itself where not.
        of_classes: which of both it is.
    """

    call: Mapping[str, Tensor]
    n_samples: int
    output: Tensor
    of_classes: bool

    @classmethod
    def of(cls, module: nn.Module, call: Inputs, device: str) -> _Unaltered:
        """Runs the model as it is."""
        tensors = as_tensors(call, device)
        name, output = _first_float(module(**tensors))
        of_classes = name == LOGITS and output.shape[-1] > 1
        n_samples = len(next(iter(call.values())))
        return cls(tensors, n_samples, output.log_softmax(dim=-1) if of_classes else output, of_classes)

    def change(self, module: nn.Module) -> float:
        """Runs the model as it is now; how far its output has moved."""
        altered = _first_float(module(**self.call))[1]
        return (_mean_divergence if self.of_classes else _relative_error)(self.output, altered)


def _held(module: nn.Module, calls: Sequence[Inputs], device: str) -> Iterator[list[_Unaltered]]:
    """All calls with their outputs, at once or in parts, so that no part but its last call exceeds what may be held."""
    held: list[_Unaltered] = []
    n_bytes = 0
    for call in calls:
        held.append(_Unaltered.of(module, call, device))
        n_bytes += held[-1].output.nbytes
        if n_bytes >= LARGEST_HELD_BYTES:
            yield held
            held, n_bytes = [], 0
    if held:
        yield held


def _first_float(outputs: Mapping[str, Any]) -> tuple[str, Tensor]:
    import torch

    for name, value in outputs.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return name, value.float()
    raise Unsupported("the model gives no float output, so its change cannot be measured")


def _mean_divergence(expected: Tensor, altered: Tensor) -> float:
    given = altered.log_softmax(dim=-1)
    return max(0.0, float((expected.exp() * (expected - given)).sum(dim=-1).mean()))


def _relative_error(reference: Tensor, altered: Tensor) -> float:
    scale = float(reference.square().mean())
    return float((altered - reference).square().mean()) / scale if scale else float(altered.square().mean())


def kept_sensitivities(
    module: nn.Module,
    calls: Sequence[Inputs],
    determinants: Mapping[str, Any],
    cache: StageCache,
    measure: Callable[[], Mapping[str, float]],
) -> dict[str, float]:
    """Sensitivities that were measured before, in this search or another one, out of the stage cache; else now.

    Args:
        module: the model as it is now.
        calls: by which is measured.
        determinants: plain data; what else decides about the result.
        cache: where they are kept.
        measure: measures them.
    """

    def keep(folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(dict(measure())), encoding="utf-8")

    key = cache.key("sensitivities", determinants, _digest(module, calls))
    folder, _ = cache.find_or_build(key, keep)
    kept: dict[str, float] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return kept


def _digest(module: nn.Module, calls: Sequence[Inputs]) -> str:
    """Of the model's values and of the calls."""
    import torch

    hasher = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        hasher.update(f"{name} {tensor.dtype}".encode())
        hasher.update(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data)
    for call in calls:
        for name in sorted(call):
            hasher.update(name.encode() + call[name].tobytes())
    return hasher.hexdigest()
