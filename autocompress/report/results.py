"""What every part of the report looks at: the records of a run, and what was decided about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from autocompress.records import Certificate, Energy, Status, TrialRecord
from autocompress.spec import Constraints


@dataclass(frozen=True)
class Results:
    """A run's trials, and the verdicts on them.

    Attributes:
        records: all trials, in order of number.
        front: numbers of the trials on the Pareto front.
        constraints: the limits that the search had.
        baseline: trial 0, the original as it is.
        best: number of the best feasible trial, if there is one.
        certificate: what the holdout said of the best trial, if it was asked.
        energies: what a call of each finalist takes, where that is known; by number, the best first.
        metric_is_rate: whether the metric lies on a 0-to-1 scale, so that its differences are percentage points.
    """

    records: tuple[TrialRecord, ...]
    front: frozenset[int]
    constraints: Constraints
    baseline: TrialRecord
    best: int | None = None
    certificate: Certificate | None = None
    metric_is_rate: bool = True
    energies: Mapping[int, Energy] = field(default_factory=dict)

    @property
    def best_record(self) -> TrialRecord | None:
        """The best trial."""
        return next((record for record in self.records if record.number == self.best), None)

    @property
    def unfinished(self) -> tuple[TrialRecord, ...]:
        """The trials that ended without figures for a reason, in order of number."""
        return tuple(r for r in self.records if r.status not in (Status.COMPLETE, Status.RUNNING))

    def float_twin(self, record: TrialRecord) -> TrialRecord | None:
        """The trial that only exports the original to the same format."""
        return self._measured_like(record, steps_without=None)

    def counterpart(self, record: TrialRecord, without: str) -> TrialRecord | None:
        """The trial whose recipe is the same but for the step with this tag: the difference is that step's doing."""
        return self._measured_like(record, steps_without=without)

    def _measured_like(self, record: TrialRecord, steps_without: str | None) -> TrialRecord | None:
        wanted = tuple(step for step in record.recipe.steps if steps_without and step.tag != steps_without)
        return next((other for other in self._measured() if _same(other, wanted, record.recipe.format)), None)

    def _measured(self) -> Iterator[TrialRecord]:
        return (record for record in self.records if record.measurement)


def _same(record: TrialRecord, steps: tuple[object, ...], format_name: str) -> bool:
    return record.recipe.format == format_name and tuple(record.recipe.steps) == steps
