"""The training loop: AdamW on batches of any shapes, the best weights kept, gone on from after an interruption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from autocompress.batches import as_tensors, batches
from autocompress.errors import Unsupported
from autocompress.training.checkpoint import load_checkpoint, save_checkpoint
from autocompress.training.draws import LARGEST_PASS, Draws, split
from autocompress.training.plan import TrainingPlan

if TYPE_CHECKING:
    from torch import Tensor

    from autocompress.compressible import Inputs, StepContext

EVALUATE_EVERY = 100
"""Steps between two looks at the validation samples."""

LARGEST_GRADIENT_NORM = 1.0
CHECKPOINT_SECONDS = 20.0
"""An interruption costs no more than about these."""

Values = Mapping[str, "Tensor"]
Loss = Callable[[Mapping[str, "Tensor"], Values], "Tensor"]
"""The mean loss over the samples of one pass, of its inputs and of the values that stand in for parameters."""


@dataclass(frozen=True)
class TrainedGroup:
    """Tensors that are trained alike; names are unique over all groups, and gradients are required of all."""

    tensors: Mapping[str, Tensor]
    learning_rate: float
    weight_decay: float = 0.0


def _no_values(step: int) -> dict[str, Tensor]:
    del step
    return {}


@dataclass(frozen=True)
class Problem:
    """What is trained, and towards what.

    Attributes:
        groups: the tensors that the optimizer moves, in place.
        loss: see `Loss`.
        values: what the loss computes with in place of parameters, at a step: tensors made out of those of the groups,
            so that gradients flow back. Made once for all passes of a step.
    """

    groups: Sequence[TrainedGroup]
    loss: Loss
    values: Callable[[int], dict[str, Tensor]] = _no_values

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors of all groups."""
        return {name: tensor for group in self.groups for name, tensor in group.tensors.items()}


@dataclass
class _Progress:
    """Where a training stands."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    n_worse: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        names = ("step", "best_loss", "best_step", "n_worse")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        steps: done in all, fewer than planned where it ended early.
        best_step: the step whose weights were kept.
        validation_loss: of these weights; None without validation samples.
    """

    steps: int
    best_step: int
    validation_loss: float | None


class Training:
    """One training; `run` leaves the best tensors in place.

    A tenth of the samples, at most 500, judge: every 100 steps and at both ends the mean loss over them is taken, and
    the tensors that did best are kept. The same problem, samples and plan give the same tensors on the same machine,
    interrupted or not: the order of the samples follows from the seed and the step, and a checkpoint holds the rest.

    Args:
        problem: its loss must be free of chance; modules in evaluation mode are, as dropout is then off.
        samples: a batch of one each, at least one.
        plan: how long and how fast.
        context: device, progress, and the folder that checkpoints lie in.
    """

    def __init__(self, problem: Problem, samples: Sequence[Inputs], plan: TrainingPlan, context: StepContext) -> None:
        from torch.optim import AdamW

        training, judging = split(samples)
        self.problem = problem
        self.plan = plan
        self.device = context.device
        self.progress = context.progress
        self.scratch: Path = context.scratch
        self.draws = Draws(training, plan.batch_size, plan.seed)
        self.judging = batches(judging, LARGEST_PASS)
        self.optimizer = AdamW(
            [
                {"params": list(group.tensors.values()), "lr": group.learning_rate, "weight_decay": group.weight_decay}
                for group in problem.groups
            ]
        )
        self.state = _Progress()

    def run(self) -> TrainingResult:
        """Train to the end, from the last checkpoint where there is one.

        Raises:
            Unsupported: the loss is no longer finite.
        """
        self._restore()
        state, plan = self.state, self.plan
        saved = time.monotonic()
        if state.step == 0:
            self._judge()
        while state.step < plan.steps and not self._has_stalled():
            self._step()
            state.step += 1
            if state.step % EVALUATE_EVERY == 0 or state.step == plan.steps:
                self._judge()
            self.progress(state.step, plan.steps)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._save()
                saved = time.monotonic()
        self.progress(plan.steps, plan.steps)
        _write(self.problem.tensors, state.best)
        judged = math.isfinite(state.best_loss)
        return TrainingResult(
            state.step, state.best_step if judged else state.step, state.best_loss if judged else None
        )

    def _step(self) -> None:
        import torch

        for settings, group in zip(self.optimizer.param_groups, self.problem.groups, strict=True):
            settings["lr"] = group.learning_rate * self.plan.rate(self.state.step)
        self.optimizer.zero_grad()
        values = self.problem.values(self.state.step)
        # Gradients of all passes are gathered at these, and flow on from there to the tensors once.
        leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
        passes = self.draws.batch(self.state.step)
        n_samples = sum(_n_samples(call) for call in passes)
        for call in passes:
            loss = self.problem.loss(as_tensors(call, self.device), leaves)
            torch.autograd.backward(loss * (_n_samples(call) / n_samples))
        reached = [name for name, leaf in leaves.items() if leaf.grad is not None]
        if reached:
            torch.autograd.backward([values[name] for name in reached], [leaves[name].grad for name in reached])
        norm = torch.nn.utils.clip_grad_norm_(self.problem.tensors.values(), LARGEST_GRADIENT_NORM)
        if not bool(norm.isfinite()):
            raise Unsupported(
                f"the loss or its gradient is no longer finite in training step {self.state.step + 1}; "
                "a smaller learning_rate may cure it"
            )
        self.optimizer.step()

    def _judge(self) -> None:
        """Keep the tensors where they do better on the validation samples than any before."""
        import torch

        state = self.state
        if not self.judging or state.step < self.plan.judged_from:
            return
        with torch.no_grad():
            values = self.problem.values(state.step)
            losses = [
                (float(self.problem.loss(as_tensors(call, self.device), values)), _n_samples(call))
                for call in self.judging
            ]
        mean = sum(loss * n_samples for loss, n_samples in losses) / sum(n_samples for _, n_samples in losses)
        if mean < state.best_loss:
            state.best_loss, state.best_step, state.n_worse = mean, state.step, 0
            state.best = {name: tensor.detach().clone() for name, tensor in self.problem.tensors.items()}
        else:
            state.n_worse += 1

    def _has_stalled(self) -> bool:
        return 0 < self.plan.patience <= self.state.n_worse

    def _save(self) -> None:
        moments = self.optimizer.state_dict()["state"]
        tensors = {f"now.{name}": tensor for name, tensor in self.problem.tensors.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.state.best.items()}
        tensors |= {
            f"optimizer.{index}.{name}": tensor for index, held in moments.items() for name, tensor in held.items()
        }
        save_checkpoint(self.scratch, tensors, self.state.figures())

    def _restore(self) -> None:
        found = load_checkpoint(self.scratch)
        if found is None:
            return
        tensors, figures = found
        parts: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        _write(self.problem.tensors, parts["now"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, _, moment = name.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.state = _Progress(**figures, best=parts["best"])


def _n_samples(call: Inputs) -> int:
    return len(next(iter(call.values())))


def _write(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        tensors[name].data.copy_(value)
