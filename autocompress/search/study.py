"""The record of a search in Optuna's storage: enough, alone, to resume, report and export."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autocompress.errors import EnvironmentProblem, RunError
from autocompress.jobs import Prepared
from autocompress.limits import LIMIT_NAMES, UNMEASURED_VIOLATION
from autocompress.objectives import judged, objective_values, original_among
from autocompress.outcome import Outcome
from autocompress.recipe import Recipe
from autocompress.records import Status, TrialError, TrialRecord
from autocompress.registry import suggestion
from autocompress.space import SearchSpace
from autocompress.spec import SearchSpec

DIRECTIONS = [StudyDirection.MINIMIZE] * 3
METRIC_NAMES = ("log size ratio", "log latency ratio", "quality drop")
WORST_VALUES = (2.0, 3.0, 1.0)
"""What a trial without figures is told as: seven times the size, twenty times the latency, everything lost.

Samplers ignore failed trials and propose them again; with worst values and every constraint broken they keep away.
"""

Span = tuple[float | None, float | None]
"""When a trial began and when it ended, in seconds since the epoch."""

optuna.logging.set_verbosity(logging.WARNING)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


class Study:
    """One search's trials, each whole as JSON beside Optuna's own columns."""

    def __init__(self, study: optuna.Study, storage: str) -> None:
        self._study = study
        self._storage = storage
        self._running: dict[int, optuna.Trial] = {}
        self._ended: dict[int, TrialRecord] = {}
        self._spec: SearchSpec | None = None
        self._seen: list[Any] = []

    @classmethod
    def create(cls, name: str, storage: str, spec: SearchSpec) -> Study:
        """Begin the record.

        Raises:
            EnvironmentProblem: the storage cannot be reached or written.
        """
        with _reaching(storage):
            study = optuna.create_study(study_name=name, storage=_storage(storage), directions=DIRECTIONS)
            study.set_metric_names(list(METRIC_NAMES))
            study.set_user_attr("spec", spec.model_dump_json())
        return cls(study, storage)

    @classmethod
    def open(cls, name: str, storage: str) -> Study:
        """The record of an existing search.

        Raises:
            RunError: the storage holds no search of that name; the message tells the nearest or the known ones.
            EnvironmentProblem: the storage cannot be reached.
        """
        try:
            with _reaching(storage):
                return cls(optuna.load_study(study_name=name, storage=_storage(storage)), storage)
        except KeyError:
            known = study_names(storage)
            remedy = (
                suggestion(name, known) if known else "It holds none yet; `search --storage URL` records one there."
            )
            raise RunError(
                f"the storage holds no search named {name!r}", where=_shown(storage), remedy=remedy
            ) from None

    @property
    def spec(self) -> SearchSpec:
        """What was asked for.

        Raises:
            RunError: the search was ended before it had written it.
        """
        if self._spec is None:
            stored = self._study.user_attrs.get("spec")
            if stored is None:
                remedy = "Nothing was tried in it yet: start it again under another --name."
                raise RunError("the run was ended before it began", where=self._study.study_name, remedy=remedy)
            self._spec = SearchSpec.model_validate_json(stored)
        return self._spec

    def change_spec(self, spec: SearchSpec) -> None:
        """From now on this is asked for. Other limits hold for all trials, and make the outcome so far void.

        Raises:
            EnvironmentProblem: the storage cannot be written.
        """
        with _reaching(self._storage):
            if spec.constraints != self.spec.constraints:
                self._study.set_user_attr("limits_changed", True)
                self._study.set_user_attr("outcome", "")
            self._study.set_user_attr("spec", spec.model_dump_json())
        self._spec = spec
        self._ended.clear()

    @property
    def _limits_changed(self) -> bool:
        """Whether what the storage holds as the trials' violations may be that of other limits."""
        return bool(self._study.user_attrs.get("limits_changed"))

    @property
    def notes(self) -> dict[int, tuple[str, ...]]:
        """What the user wrote about trials, by number; Optuna lets nobody change a trial that has ended."""
        stored = json.loads(self._study.user_attrs.get("notes") or "{}")
        return {int(number): tuple(texts) for number, texts in stored.items()}

    def add_note(self, number: int, text: str) -> None:
        """Keep a text with a trial.

        Raises:
            RunError: there is no trial of that number.
            EnvironmentProblem: the storage cannot be written.
        """
        self.record(number)
        notes = self.notes
        notes[number] = (*notes.get(number, ()), text)
        with _reaching(self._storage):
            self._study.set_user_attr("notes", json.dumps(notes))
        self._ended.clear()

    @property
    def prepared(self) -> Prepared | None:
        """What is known of model and data, once they were read."""
        stored = self._study.user_attrs.get("prepared")
        return Prepared.model_validate_json(stored) if stored else None

    @prepared.setter
    def prepared(self, prepared: Prepared) -> None:
        with _reaching(self._storage):
            self._study.set_user_attr("prepared", prepared.model_dump_json())

    @property
    def outcome(self) -> Outcome | None:
        """How the search ended, once it did."""
        stored = self._study.user_attrs.get("outcome")
        return Outcome.model_validate_json(stored) if stored else None

    @outcome.setter
    def outcome(self, outcome: Outcome) -> None:
        with _reaching(self._storage):
            self._study.set_user_attr("outcome", outcome.model_dump_json())

    def reread(self) -> None:
        """Take in what another process has changed of the search."""
        state = [self._study.user_attrs.get(name) for name in ("spec", "notes", "limits_changed")]
        if state != self._seen:
            self._seen = state
            self._spec = None
            self._ended.clear()

    def spans(self) -> dict[int, Span]:
        """When each trial began and ended."""
        return {
            trial.number: (_seconds(trial.datetime_start), _seconds(trial.datetime_complete))
            for trial in self._study.get_trials(deepcopy=False)
        }

    def records(self) -> list[TrialRecord]:
        """Every trial, in order of number."""
        trials = [trial for trial in self._study.get_trials(deepcopy=False) if "record" in trial.user_attrs]
        fresh = {trial.number: _record(trial) for trial in trials if trial.number not in self._ended}
        records = {number: self._ended.get(number) or fresh[number] for number in (trial.number for trial in trials)}
        if fresh:
            records |= self._as_judged_now(fresh, original_among(records.values()))
            ended = {trial.number for trial in trials if trial.state.is_finished()}
            self._ended.update({number: records[number] for number in fresh if number in ended})
        return list(records.values())

    def _as_judged_now(self, records: dict[int, TrialRecord], original: TrialRecord | None) -> dict[int, TrialRecord]:
        """The records with the violations of the present limits, and with the user's notes."""
        notes = self.notes
        if self._limits_changed and original is not None:
            constraints = self.spec.constraints
            records = {number: judged(record, constraints, original) for number, record in records.items()}
        return {
            number: record.model_copy(update={"notes": notes[number]}) if number in notes else record
            for number, record in records.items()
        }

    def record(self, number: int) -> TrialRecord:
        """One trial.

        Raises:
            RunError: there is no trial of that number.
        """
        found = next((record for record in self.records() if record.number == number), None)
        if found is None:
            raise RunError(f"the run has no trial {number}", remedy=f"It has 0 to {len(self.records()) - 1}.")
        return found

    def start(self, recipe: Recipe, origin: str, space: SearchSpace | None) -> TrialRecord:
        """Enter a trial as running; ``space`` gives its parameters, None enters it without (the original).

        Raises:
            EnvironmentProblem: the storage cannot be written; so for `finish` and `close_interrupted`.
        """
        with _reaching(self._storage):
            if space is not None:
                self._study.enqueue_trial(space.parameters(recipe))
            trial = self._study.ask()
            if space is not None:
                space.propose(trial)
            record = TrialRecord.model_validate(
                {"number": trial.number, "recipe": recipe, "status": Status.RUNNING, "origin": origin}
            )
            trial.set_user_attr("record", record.model_dump_json())
        self._running[record.number] = trial
        return record

    def close_interrupted(self) -> list[TrialRecord]:
        """Close the trials that a search which is gone left running, and give their records."""
        left = [record for record in self.records() if record.status is Status.RUNNING]
        with _reaching(self._storage):
            for _ in self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                self._study.ask()  # its search ended before it could begin; only what runs can be closed
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._study.tell(trial.number, state=TrialState.FAIL)
        return left

    def finish(self, record: TrialRecord, original: TrialRecord | None, limits: Mapping[str, float]) -> None:
        """Enter a trial's end. ``limits`` are its violations, or what stands for them where it has no figures.

        A cancelled or crashed trial is closed as failed, since it says nothing about its recipe.
        """
        trial = self._running.pop(record.number)
        with _reaching(self._storage):
            trial.set_user_attr("record", record.model_dump_json())
            if record.status in (Status.CANCELLED, Status.CRASHED):
                self._study.tell(trial, state=TrialState.FAIL)
                return
            for name, value in limits.items():
                trial.set_constraint(name, value)
            values = objective_values(record, original or record)
            self._study.tell(trial, list(values or WORST_VALUES))

    def known_trials(self) -> list[FrozenTrial]:
        """Optuna's view of the trials that a sampler can learn from: those that have ended, and those that run."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        if not self._limits_changed:
            return trials
        records = {record.number: record for record in self.records()}
        names = [name for name in LIMIT_NAMES if getattr(self.spec.constraints, name) is not None]
        unmeasured = dict.fromkeys(names, UNMEASURED_VIOLATION)
        return [
            _under_limits(trial, found.violations if (found := records[trial.number]).measurement else unmeasured)
            if trial.state.is_finished()
            else trial
            for trial in trials
        ]


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def study_names(storage: str) -> list[str]:
    """The names of all studies that a storage holds.

    Raises:
        EnvironmentProblem: the storage cannot be reached.
    """
    with _reaching(storage):
        return sorted(optuna.get_all_study_names(_storage(storage)))


def _under_limits(trial: FrozenTrial, limits: Mapping[str, float]) -> FrozenTrial:
    """A trial as Optuna would know it, had it been judged by other limits."""
    told = copy.copy(trial)
    told.system_attrs = {key: value for key, value in trial.system_attrs.items() if not key.startswith("constraints")}
    for name, value in limits.items():
        told.set_constraint(name, value)
    return told


def _record(trial: FrozenTrial) -> TrialRecord:
    record = TrialRecord.model_validate(json.loads(trial.user_attrs["record"]))
    if record.status is Status.RUNNING and trial.state.is_finished():
        error = TrialError(
            message="the search was interrupted while this trial ran", remedy="Its recipe is tried again."
        )
        return record.model_copy(update={"status": Status.CRASHED, "error": error})
    return record


def sqlite_url(path: Path) -> str:
    """The storage URL of a database file."""
    return f"sqlite:///{path.absolute()}"


def _storage(url: str) -> optuna.storages.RDBStorage:
    # A trial is a handful of small writes: waiting for the disk at each would cost more than the search itself. The
    # write-ahead log keeps the database whole when the process is killed.
    storage = optuna.storages.RDBStorage(url)
    if url.startswith("sqlite"):
        from sqlalchemy import event

        @event.listens_for(storage.engine, "connect")
        def _set_pragmas(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        storage.engine.dispose()
    return storage


def _shown(url: str) -> str:
    """The storage without its password."""
    return url.rpartition("@")[2]


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Tell in a sentence why the storage cannot be used."""
    from sqlalchemy.exc import SQLAlchemyError

    shown = _shown(url)
    try:
        yield
    except (SQLAlchemyError, ImportError) as problem:
        reason = str(problem.__cause__ or problem).splitlines()[0]
        raise EnvironmentProblem(f"the storage cannot be used: {reason}", where=shown) from problem
    except optuna.exceptions.StorageInternalError as problem:
        remedy = "Free disk space, then go on with `autocompress resume`."
        raise EnvironmentProblem("the storage cannot be written", where=shown, remedy=remedy) from problem
    except optuna.exceptions.DuplicatedStudyError:
        remedy = "Choose another --name, or resume it."
        raise RunError("the storage holds a search of this name", where=shown, remedy=remedy) from None
