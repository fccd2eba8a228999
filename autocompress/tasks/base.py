"""What a task must offer: the model, the samples, one call of the model, and the score of a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from autocompress.frozen import Frozen

if TYPE_CHECKING:
    from torch import nn

    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec

Part = Literal["calibration", "search", "holdout"]
PARTS: tuple[Part, ...] = ("calibration", "search", "holdout")
Score = Mapping[str, tuple[float, float]]
"""Of one sample: metric name to (numerator, denominator); see `Metric`."""


class Metric(Frozen):
    """A figure over many samples: ``sum of numerators / sum of denominators``, or the exponential of that.

    Accuracy: (1 if right else 0, 1). Word error rate: (errors, reference words). Perplexity: (negative log-likelihood
    in nats, tokens) with ``exponential``.
    """

    name: str
    higher_is_better: bool
    exponential: bool = False
    is_rate: bool = True
    """Whether it lies on a 0-to-1 scale, so that percentage points make sense."""

    def value(self, numerators: npt.NDArray[np.float64], denominators: npt.NDArray[np.float64]) -> float:
        """The figure over all samples."""
        mean = float(numerators.sum() / denominators.sum())
        return float(np.exp(mean)) if self.exponential else mean


@dataclass(frozen=True)
class Sample:
    """One sample as the runtime takes it (a batch of one), and what the answer should be.

    The target is an array, or plain data that JSON can hold.
    """

    inputs: Inputs
    target: Any


@dataclass(frozen=True)
class Role:
    """A column that the task needs: its role, and the names under which people store it."""

    name: str
    usual_names: tuple[str, ...]


class Task(ABC):
    """A kind of problem; a plug-in of the ``autocompress.tasks`` group. The class imports nothing heavy."""

    name: ClassVar[str]
    summary: ClassVar[str]
    metric: Metric
    other_metrics: tuple[Metric, ...] = ()
    roles: ClassVar[tuple[Role, ...]]
    generates: ClassVar[bool] = False
    """Whether the task decodes, so that an export needs the decoder with its cache."""
    needs_data: ClassVar[bool] = True

    def metric_of(self, model: ModelSpec) -> Metric:
        """What the model is judged by; runs no code of the user's.

        Raises:
            ModelError: the model has a metric of its own, and it cannot be read.
        """
        del model
        return self.metric

    @abstractmethod
    def claims(self, config: Mapping[str, Any]) -> bool:
        """Whether a model with this ``config.json`` is of this task."""

    def check_rows(self, rows: Rows) -> None:
        """Refuse data that cannot serve, before anything heavy is loaded.

        Raises:
            DataError: for example only one class; names the file and what was found.
        """
        del rows

    @abstractmethod
    def load_model(self, model: ModelSpec) -> nn.Module:
        """The original in evaluation mode, on the CPU, in the precision it is stored in.

        Raises:
            ModelError: not found, pickled without permission, or of another architecture.
        """

    @abstractmethod
    def rebuild(self, model: ModelSpec, overrides: Mapping[str, int]) -> nn.Module:
        """A module of the same architecture with changed configuration fields and arbitrary weights."""

    @abstractmethod
    def samples(self, model: ModelSpec, rows: Rows) -> Sequence[Sample]:
        """Rows as samples, in order.

        Raises:
            DataError: a row cannot be used, for example unreadable audio; names it.
        """

    def samples_by_part(
        self, model: ModelSpec, parts: Mapping[Part, Rows], seed: int
    ) -> Mapping[Part, Sequence[Sample]]:
        """The samples of every part; a task that brings its own data (``needs_data`` is False) makes them here.

        Raises:
            DataError: see `samples`.
        """
        del seed
        return {part: self.samples(model, rows) for part, rows in parts.items()}

    def training_samples(self, model: ModelSpec, rows: Rows | None, seed: int) -> Sequence[Sample]:
        """The samples to train on; a task that brings its own data gets no rows, and draws with the seed.

        Raises:
            DataError: see `samples`.
        """
        del seed
        return self.samples(model, rows) if rows is not None else []

    def training_inputs(self, model: ModelSpec, sample: Sample) -> Inputs:
        """What one forward pass of the module takes on this sample, as in training, a batch of one.

        Where the model decodes, the answer's tokens are among it; ``labels`` too where the task has a loss, under the
        name and in the form in which modules of Hugging Face take them.
        """
        del model
        return sample.inputs

    @abstractmethod
    def timing_inputs(self, model: ModelSpec, samples: Sequence[Sample]) -> Inputs:
        """The inputs of the one call that latency and memory are measured on, the same for every candidate."""

    @abstractmethod
    def run(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> Any:
        """One call as the user would make it; its answer is scored."""

    def timed_call(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> None:
        """The call that latency and memory are measured on: the same amount of work for every candidate."""
        self.run(model, runner, inputs)

    @abstractmethod
    def score(self, model: ModelSpec, answer: Any, target: Any) -> Score:
        """Numerator and denominator of each metric for one sample."""
