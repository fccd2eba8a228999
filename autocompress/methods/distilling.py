"""What the methods share that train: their knobs, and a training of the module towards the original's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocompress.batches import as_tensors
from autocompress.compressible import CompressibleModel, StepContext, Weight, as_numpy
from autocompress.encodings import Dense, Sparse
from autocompress.errors import Unsupported
from autocompress.recipe import Choice, Step
from autocompress.training.distillation import Distillation, LossWeights, configured
from autocompress.training.loop import Problem, TrainedGroup, Training
from autocompress.training.plan import Decay, TrainingPlan

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHT_DECAY = 0.01
Substitutes = Mapping[str, "Tensor"]


class Distilling(Step):
    """A step that trains the module on the training rows, towards the original's answers and the labels.

    Dropout is off and statistics of batch norms stand still, so that the training is free of chance. A tenth of the
    training rows, at most 500, judge every 100 steps; the weights that do best on them are kept, and training ends
    after ``patience`` looks without a better one (0: never). The learning rate rises over a tenth of the steps and
    then falls to zero, ``decay``. The loss is ``alpha`` times that of the labels, where there are any, and the rest
    times the difference from the original's classes, softened by ``temperature``; to it come ``features`` times the
    error of the hidden states and ``attention`` times that of the attention maps. Embeddings stand still unless
    ``train_embeddings``: a step over a whole vocabulary, of which a batch holds little, is slow.
    """

    needs_training = True

    steps: Annotated[int, Field(ge=1, le=1_000_000), Choice(100, 300, 1000)] = 300
    learning_rate: Annotated[float, Field(gt=0, le=1), Choice(3e-5, 1e-4, 3e-4)] = 1e-4
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    temperature: Annotated[float, Field(gt=0, le=100)] = 2.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.3
    features: Annotated[float, Field(ge=0, le=1000)] = 1.0
    attention: Annotated[float, Field(ge=0, le=1000)] = 0.0
    decay: Decay = "linear"
    patience: Annotated[int, Field(ge=0, le=1000)] = 5
    train_embeddings: bool = False

    def teach(self, model: CompressibleModel, context: StepContext, student: Student) -> None:
        """Train the module's parameters in place; those that ``student`` freezes stay as they are.

        Raises:
            Unsupported: there are no training rows, or the loss is no longer finite.
            NonFiniteWeight: a weight holds inf or nan before training.
        """
        model.require_finite()
        samples, teacher = context.training(), context.teacher()
        if not samples:
            raise Unsupported("this method trains, and there is nothing to train on")
        weights = LossWeights(self.temperature, self.alpha, self.features, self.attention)
        flags = {parameter: parameter.requires_grad for parameter in model.module.parameters()}
        with configured(model.module, teacher, attention=self.attention > 0):
            try:
                trained = student.trainable(model.module, self.train_embeddings)
                moving = {id(tensor) for tensor in trained.values()}
                for parameter in flags:
                    parameter.requires_grad_(id(parameter) in moving)
                example = as_tensors(samples[0], context.device)
                loss = Distillation(model.module, teacher, weights, example, context.seed)
                groups = [*_groups({**trained, **loss.projections}, self.learning_rate), *student.groups()]
                plan = TrainingPlan(
                    self.steps, self.batch_size, context.seed, self.decay, self.patience, student.judged_from
                )
                Training(Problem(groups, loss, student.values), samples, plan, context).run()
            finally:
                for parameter, flag in flags.items():
                    parameter.requires_grad_(flag).grad = None


class Student:
    """The module in training: which parameters are trained, and what it computes with in place of some.

    Here: pruned weights stay pruned, and weights stored as codes stay as they are.

    Args:
        model: what an earlier step has stored, `Sparse`, is held.
    """

    judged_from: int = 0
    """The first step in which the student is what it is to become; see `TrainingPlan`."""

    def __init__(self, model: CompressibleModel) -> None:
        self.weights = {weight.name: weight for weight in model.weights()}
        self.pruned: dict[str, Sparse] = {}
        self.frozen: set[str] = set()
        for name, encoding in model.encodings.items():
            if isinstance(encoding, Sparse) and isinstance(encoding.values, Dense):
                self.pruned[name] = encoding
            else:
                self.frozen.add(name)
        self.masks = {name: self._mask(name) for name in self.pruned}

    def trainable(self, module: nn.Module, with_embeddings: bool) -> dict[str, Tensor]:
        """The parameters to train, by name."""
        embeddings = {id(weight.parameter) for weight in self.weights.values() if weight.kind == "embedding"}
        return {
            name: parameter
            for name, parameter in module.named_parameters()
            if parameter.is_floating_point()
            and name not in self.frozen
            and (with_embeddings or id(parameter) not in embeddings)
        }

    def groups(self) -> Sequence[TrainedGroup]:
        """What is trained besides parameters."""
        return ()

    def values(self, step: int) -> dict[str, Tensor]:
        """What stands in for parameters at a step, by name."""
        del step
        return {name: self.weights[name].parameter * mask for name, mask in self.masks.items()}

    def store(self, model: CompressibleModel) -> None:
        """Store the pruned weights again, with their new values."""
        for name, encoding in self.pruned.items():
            weight = self.weights[name]
            kept = as_numpy(weight.matrix)[encoding.mask].reshape(1, -1).astype(encoding.values.parts()["values"].dtype)
            model.encode(weight, replace(encoding, values=Dense(kept)))

    def _mask(self, name: str) -> Tensor:
        import torch

        weight = self.weights[name]
        mask = torch.from_numpy(self.pruned[name].mask).to(weight.parameter.device, weight.parameter.dtype)
        return as_parameter(weight, mask)


def _groups(tensors: Mapping[str, Tensor], learning_rate: float) -> list[TrainedGroup]:
    """Matrices, which decay, apart from biases and norms, which don't."""
    matrices = {name: tensor for name, tensor in tensors.items() if tensor.dim() > 1}
    others = {name: tensor for name, tensor in tensors.items() if tensor.dim() <= 1}
    groups = (TrainedGroup(matrices, learning_rate, WEIGHT_DECAY), TrainedGroup(others, learning_rate))
    return [group for group in groups if group.tensors]


def as_parameter(weight: Weight, matrix: Tensor) -> Tensor:
    """A matrix of shape (out_features, in_features) in the shape of the weight's parameter."""
    return matrix.T if weight.transposed else matrix.reshape(weight.parameter.shape)


def straight_through(parameter: Tensor, values: Tensor) -> Tensor:
    """``values``, whose gradient goes to ``parameter`` as it is.

    Source: Bengio et al. 2013, arXiv:1308.3432, section 4.
    """
    return values.detach() + (parameter - parameter.detach())
