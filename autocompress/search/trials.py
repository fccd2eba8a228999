"""The trials of a search: begins them, follows those that run, and enters their ends in the record."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from autocompress.drift import drift, original_ms
from autocompress.events import Heartbeat, StageFinished, StageProgress, StageStarted, TrialFinished, TrialStarted
from autocompress.jobs import (
    Answer,
    BuildJob,
    Failed,
    Job,
    MeasureJob,
    Prepared,
    StageBegan,
    StageEnded,
    StageMoved,
    TrialAnswer,
    TrialJob,
    Workspace,
)
from autocompress.limits import UNMEASURED_VIOLATION
from autocompress.objectives import violations
from autocompress.recipe import Recipe
from autocompress.records import Status, TrialRecord
from autocompress.runs import RunFolder
from autocompress.search import telling
from autocompress.search.crew import Crew, Told
from autocompress.search.launcher import Launcher
from autocompress.search.steering import Emit, Steering
from autocompress.search.study import Study
from autocompress.space import SearchSpace
from autocompress.spec import SearchSpec
from autocompress.stakes import Stakes


@dataclass(frozen=True)
class _Running:
    """A trial that runs: its record so far, what it is compared with, and since when (monotonic seconds)."""

    record: TrialRecord
    original: TrialRecord | None
    started: float


class Trials:
    """The trials of one search, and other jobs that are done for it.

    Args:
        run: where their files and logs lie.
        study: the record.
        workspace: what all jobs share.
        launcher: starts their children.
        steering: what is asked of the search; told of what runs.
        emit: writes an event.
    """

    def __init__(
        self, run: RunFolder, study: Study, workspace: Workspace, launcher: Launcher, steering: Steering, emit: Emit
    ) -> None:
        self._run = run
        self._study = study
        self._workspace = workspace
        self._steering = steering
        self._emit = emit
        self._running: dict[int, _Running] = {}
        self._crew = Crew(
            launcher,
            timeout_seconds=study.spec.budget.trial_timeout,
            memory_bytes=study.spec.budget.trial_memory,
            on_heartbeat=lambda ram_bytes: emit(Heartbeat, ram_bytes=ram_bytes),
            on_look=self.look,
        )

    @property
    def running(self) -> frozenset[int]:
        """Numbers of the trials that run."""
        return frozenset(self._running)

    def begin(
        self, recipe: Recipe, origin: str, prepared: Prepared, space: SearchSpace, original: TrialRecord | None
    ) -> None:
        """Start a trial."""
        record = self._study.start(recipe, origin, space if space.contains(recipe) else None)
        number = record.number
        self._emit(TrialStarted, **telling.trial_started(record))
        artifact = self._run.artifact(number).absolute()
        build = self.build_job(recipe, prepared, artifact)
        measure = MeasureJob(
            workspace=self._workspace,
            prepared=prepared,
            format=recipe.format,
            artifact=artifact,
            original=self._run.artifact(original.number).absolute() if original else None,
            stakes=self._stakes(origin, original),
            drift=self.drift(),
        )
        self._running[number] = _Running(record, original, time.monotonic())
        self._steering.begun(record)
        self._crew.begin(number, TrialJob(build=build, measure=measure), self._log_of(number, "log.txt"))

    def take(self) -> TrialRecord | None:
        """Take in what the running trials tell next; the record of one, if it has ended."""
        told = self._crew.next()
        if not isinstance(told.message, Answer):
            self._show(told)
            return None
        running = self._running[told.number]
        self._steering.ended(told.number)
        wall_seconds = time.monotonic() - running.started
        record = _ended(running.record, told.message).model_copy(update={"wall_seconds": wall_seconds})
        return self._finish(record, running.original)

    def try_alone(
        self, recipe: Recipe, origin: str, prepared: Prepared, space: SearchSpace, original: TrialRecord | None
    ) -> TrialRecord:
        """Run one trial alone to its end, and enter that, whatever it is."""
        self.begin(recipe, origin, prepared, space, original)
        while True:
            ended = self.take()
            if ended is not None:
                return ended

    def cancel_all(self) -> None:
        """End what runs and enter it as cancelled."""
        self._crew.end_all()
        for running in list(self._running.values()):
            self._finish(running.record.model_copy(update={"status": Status.CANCELLED}), running.original)

    def end_all(self) -> None:
        """End every child, and enter nothing."""
        self._crew.end_all()

    def look(self) -> None:
        """Take in what was asked of the search, and end the trials that were cancelled."""
        self._steering.poll()
        for number in self._steering.cancelled:
            self._crew.cancel(number, "cancelled as asked")

    def ask(self, job: Job, number: int, log_name: str = "log.txt") -> Answer:
        """Do a job in a child, alone, and show its progress as that of trial ``number``."""
        self._crew.begin(number, job, self._log_of(number, log_name))
        while True:
            told = self._crew.next()
            if isinstance(told.message, Answer):
                return told.message
            self._show(told)

    def build_job(self, recipe: Recipe, prepared: Prepared, artifact: Path) -> BuildJob:
        """The job that makes a recipe's files in a folder."""
        return BuildJob(workspace=self._workspace, prepared=prepared, recipe=recipe, artifact=artifact)

    def drift(self) -> float:
        """Of the machine's timings, by those of the trials so far."""
        measured = [record.measurement for record in self._study.records() if record.measurement]
        return drift(original_ms(figures.latency for figures in measured))

    def _stakes(self, origin: str, original: TrialRecord | None) -> Stakes | None:
        """What a trial must reach; who asks for a recipe wants to see all its figures."""
        if original is None or origin == "user":
            return None
        return Stakes.of(self._study.spec.constraints, self._study.records(), original)

    def _finish(self, record: TrialRecord, original: TrialRecord | None) -> TrialRecord:
        """Enter a trial's end, judged by the limits of now."""
        if record.measurement is not None:
            reference = (original or record).measurement
            assert reference is not None
            limits = violations(self._study.spec.constraints, record.measurement, reference)
            record = record.model_copy(update={"violations": limits})
        else:
            limits = dict.fromkeys(_limit_names(self._study.spec), UNMEASURED_VIOLATION)
            shutil.rmtree(self._run.artifact(record.number), ignore_errors=True)
        self._study.finish(record, original, limits)
        self._running.pop(record.number, None)
        self._emit(TrialFinished, **telling.trial_finished(record))
        return record

    def _log_of(self, number: int, name: str) -> Path:
        return self._run.trial(number).absolute() / name

    def _show(self, told: Told) -> None:
        """Tell how a job goes on."""
        number, message = told.number, told.message
        match message:
            case StageBegan():
                self._emit(StageStarted, number=number, stage=message.stage)
            case StageEnded():
                time_ = message.time
                self._emit(StageFinished, number=number, stage=time_.stage, seconds=time_.seconds, cached=time_.cached)
            case StageMoved():
                self._emit(StageProgress, number=number, stage=message.stage, done=message.done, total=message.total)


def _limit_names(spec: SearchSpec) -> list[str]:
    constraints = spec.constraints
    return [name for name in type(constraints).model_fields if getattr(constraints, name) is not None]


def _ended(record: TrialRecord, answer: Answer) -> TrialRecord:
    """The record with what became of its trial."""
    if isinstance(answer, TrialAnswer):
        return record.model_copy(
            update={
                "status": Status.COMPLETE,
                "artifact": answer.built.artifact,
                "measurement": answer.measured.measurement,
                "stages": answer.built.stages + answer.measured.stages,
                "environment": answer.measured.environment,
            }
        )
    assert isinstance(answer, Failed)
    return record.model_copy(update={"status": Status(answer.status), "error": answer.error, "stages": answer.stages})
