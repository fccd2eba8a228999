"""What a trial told: its figures with their uncertainty, why it failed, how long it took."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """Something that is measured of every trial and predicted for others.

    The objectives come first, in the study's order; then others that limits are about. All are minimised.

    Attributes:
        name: by which limits and readings go.
        shift: for a figure that gets out of hand when it gets large, as a loss of quality does: log(figure + shift)
            is predicted instead of the figure itself. Differences of about this size are what matters.
        cap: a value beyond which all are equally bad; they are not told apart.
        floor: a value below which all are equally good: what lies lower enlarges no hypervolume.
        deviation: standard deviation of a reading where the trial does not tell it.
    """

    name: str
    shift: float | None = None
    cap: float | None = None
    floor: float = -math.inf
    deviation: float = 0.0

    def scaled(self, values: Array, deviations: Array) -> tuple[Array, Array]:
        """Values and the deviations of their errors on the scale on which effects add up.

        What lies surely beyond the cap is known as well as anything, however roughly it was measured.
        """
        return self._scaled(values), (self._scaled(values + deviations) - self._scaled(values - deviations)) / 2

    def _scaled(self, values: Array) -> Array:
        values = values if self.cap is None else np.minimum(values, self.cap)
        return values if self.shift is None else np.log(np.maximum(values + self.shift, self.shift / 4))

    def unscaled(self, values: Array) -> Array:
        """The inverse, as far down as it matters."""
        return np.maximum(values if self.shift is None else np.exp(values) - self.shift, self.floor)


@dataclass(frozen=True)
class Reading:
    """A figure as it was measured, and the standard deviation of its error; None: see `Figure.deviation`."""

    value: float
    deviation: float | None = None


@dataclass(frozen=True)
class TrialOutcome:
    """What is learnt of a trial.

    Attributes:
        readings: by the figure's name; a failed trial has none.
        failure: the error in words that are the same for the same cause; None where there was none.
        seconds: how long stages took, by their kind; those that a cache answered are left out.
    """

    readings: Mapping[str, Reading] = field(default_factory=dict)
    failure: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


ReadTrial = Callable[[FrozenTrial], TrialOutcome | None]
"""What a finished trial told; None: nothing about its configuration."""


def reader_of(figures: Sequence[Figure]) -> ReadTrial:
    """How trials of any Optuna study are read.

    The objectives' values are the first figures. What else there is to tell stands in the trial's user attributes:
    ``figures`` (name to value, those that are no objectives), ``deviations`` (name to standard deviation), ``seconds``
    (kind of stage to seconds) and ``failure``. Any other trial that did not complete has failed, too: in which way,
    Optuna does not keep.
    """

    def read(trial: FrozenTrial) -> TrialOutcome:
        told = trial.user_attrs
        seconds = told.get("seconds", {})
        failure = told.get("failure")
        if failure is None and trial.state is not TrialState.COMPLETE:
            failure = f"trial ended as {trial.state.name}"
        if failure is not None:
            return TrialOutcome(failure=str(failure), seconds=seconds)
        deviations = told.get("deviations", {})
        names = [figure.name for figure in figures]
        values = {**dict(zip(names, trial.values, strict=False)), **told.get("figures", {})}
        readings = {name: Reading(value, deviations.get(name)) for name, value in values.items()}
        return TrialOutcome(readings=readings, seconds=seconds)

    return read
