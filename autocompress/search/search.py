"""A whole search: the original first, then recipe after recipe, at the end the judgement of the finalists."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocompress.control import Tail
from autocompress.errors import ModelError
from autocompress.event_log import EventLog, finished_trials
from autocompress.events import (
    Event,
    Heartbeat,
    ModelRead,
    Note,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    StateChanged,
    TrialFinished,
    TrialStarted,
)
from autocompress.jobs import (
    ORIGINAL_FORMAT,
    Answer,
    BuildJob,
    Failed,
    Job,
    MeasureJob,
    Prepared,
    PreparedAnswer,
    PrepareJob,
    StageBegan,
    StageEnded,
    StageMoved,
    TrialAnswer,
    TrialJob,
)
from autocompress.limits import UNMEASURED_VIOLATION
from autocompress.objectives import LARGEST_FINALISTS, original_among, pareto_front, ranking, violations
from autocompress.outcome import Outcome
from autocompress.recipe import Recipe
from autocompress.records import Status, TrialRecord
from autocompress.runs import RunFolder
from autocompress.search import telling
from autocompress.search.bench import as_error
from autocompress.search.crew import Crew, Told
from autocompress.search.finals import Finals
from autocompress.search.launcher import SECONDS_BETWEEN_HEARTBEATS, SECONDS_BETWEEN_LOOKS, Launcher
from autocompress.search.preflight import Checked, check_limits, workspace_of
from autocompress.search.proposer import Proposer
from autocompress.search.room import trials_at_once
from autocompress.search.steering import Steering
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


class Search:
    """Runs a search in a run folder that this process has locked.

    Args:
        run: where it is kept.
        study: its record, new or from before.
        checked: task and plug-ins.
        on_event: called with every event, for display.
        tail: what is asked of the search while it runs.
    """

    def __init__(
        self,
        run: RunFolder,
        study: Study,
        checked: Checked,
        launcher: Launcher,
        on_event: Callable[[Event], None],
        tail: Tail,
    ) -> None:
        self.run = run
        self.study = study
        self.checked = checked
        self.launcher = launcher
        self.workspace = workspace_of(self.spec, checked.task, run.baseline)
        self._on_event = on_event
        self._log = EventLog(run.events)
        self.steering = Steering(run, study, checked, tail, self._emit, study.spec.budget.trials)
        self._started = time.monotonic()
        self._paused_seconds = 0.0
        self._running: dict[int, _Running] = {}
        self._crew = Crew(
            launcher,
            timeout_seconds=study.spec.budget.trial_timeout,
            memory_bytes=study.spec.budget.trial_memory,
            on_heartbeat=lambda ram_bytes: self._emit(Heartbeat, ram_bytes=ram_bytes),
            on_look=self._look,
        )

    @property
    def spec(self) -> SearchSpec:
        """What is asked for now."""
        return self.study.spec

    def _emit(self, kind: Any, **fields: Any) -> None:
        """Write an event and show it."""
        told_before = self._log.lost
        self._on_event(self._log.append(kind, **fields))
        if self._log.lost and not told_before:
            note = f"the event log cannot be written ({self._log.lost}); the search goes on without it"
            self._on_event(self._log.append(Note, text=note))

    def carry_out(self, trials: int) -> Outcome:
        """Search until ``trials`` recipes were tried, the time is over, or the space is empty; then judge.

        Raises:
            KeyboardInterrupt: the running trials are closed as cancelled first.
            AutocompressError: the original cannot be read or run.
        """
        try:
            return self._carry_out(trials)
        except KeyboardInterrupt:
            self._cancel_all()
            raise
        finally:
            self._crew.end_all()

    def _carry_out(self, trials: int) -> Outcome:
        self.study.close_interrupted()
        self.steering.trials = trials
        records = tuple(self.study.records())
        self._emit(
            RunStarted,
            **telling.run_started(self.run.name, self.spec, self.checked.methods, self.checked.formats, trials),
            records=records,
        )
        self._complete_log(records)
        for name, why in self.checked.unavailable.items():
            self._emit(Note, text=f"format {name} is left out: {why}")
        if self.checked.left_out:
            self._emit(Note, text=f"methods that train are left out (--train): {', '.join(self.checked.left_out)}")
        prepared = self._prepare()
        check_limits(self.spec, prepared.metric, is_rate=prepared.metric_is_rate)
        self._emit(ModelRead, **telling.model_read(prepared))
        space = SearchSpace(
            self.checked.methods, self.checked.formats, prepared.facts, self.spec.device, self.spec.seed
        )
        original = self._original(prepared, space)
        before = len(self.study.records())
        reason = self._try_recipes(prepared, space, original)
        self.steering.end(reason)
        known = self.study.outcome
        if known is not None and len(self.study.records()) == before:
            outcome = known  # nothing new to judge: the holdout is not asked twice
        else:
            outcome = self._conclude(prepared, original, reason)
        self.steering.poll()
        self._emit(RunFinished, **telling.run_finished(outcome, reason))
        return outcome

    def _complete_log(self, records: Sequence[TrialRecord]) -> None:
        """Add the trials' ends that the log lacks: it may have been lost, and what a kill cut off was never told."""
        told = finished_trials(self._log.path) if records else frozenset()
        for record in records:
            if record.number not in told:
                self._log.append(TrialFinished, **telling.trial_finished(record))

    # The original ---------------------------------------------------------------------------------------------------

    def _prepare(self) -> Prepared:
        known = self.study.prepared
        if known is not None and self.run.baseline.is_dir():
            return known
        answer = self._ask(PrepareJob(workspace=self.workspace), number=0)
        if isinstance(answer, Failed):
            raise as_error(answer)
        assert isinstance(answer, PreparedAnswer)
        for note in answer.prepared.notes:
            self._emit(Note, text=note)
        self.study.prepared = answer.prepared
        return answer.prepared

    def _original(self, prepared: Prepared, space: SearchSpace) -> TrialRecord:
        """Trial 0: the original as it is. Without its figures there is nothing to compare with."""
        known = original_among(self.study.records())
        if known is not None and self.run.artifact(known.number).is_dir():
            return known
        recipe = Recipe(format=ORIGINAL_FORMAT, seed=self.spec.seed)
        record = self._try(recipe, "baseline", prepared, space, original=None)
        if record.measurement is None:
            error = record.error
            assert error is not None
            raise ModelError(f"the original cannot be run: {error.message}", remedy=error.remedy)
        return record

    # Trials ---------------------------------------------------------------------------------------------------------

    def _try_recipes(
        self,
        prepared: Prepared,
        space: SearchSpace,
        original: TrialRecord,
    ) -> str:
        """Try recipes, as many at a time as there is room for; gives the reason why it ended."""
        proposer = Proposer(space, self.spec.seed, original, self.spec.constraints)
        tried = {record.recipe.digest for record in self.study.records()}
        for recipe in self._to_retry():
            proposer.retry(recipe)
            tried.discard(recipe.digest)
        if left_out := proposer.left_out():
            self._emit(Note, text=left_out)
        self.steering.begin(space, proposer)
        at_once = trials_at_once(self.spec, prepared.facts)
        if at_once > 1:
            self._emit(Note, text=f"up to {at_once} trials run at a time; all others wait while one is timed")
        while True:
            reason = self._why_no_more(len(tried), proposer)
            if reason is None and len(self._crew) < at_once and not self.steering.is_pausing:
                with self.launcher.quiet.busy():  # proposing computes, too
                    proposal = proposer.next(tried, self.study.known_trials())
                if proposal is not None:
                    recipe, origin = proposal
                    tried.add(recipe.digest)
                    self._begin(recipe, origin, prepared, space, original)
                    continue
                reason = "no recipe that was not tried yet could be found"
            if len(self._crew):
                if self._take() is not None:
                    self._keep_artifacts_of_the_best(original)
            elif reason is not None:
                return reason
            else:
                self._wait_while_paused()

    def _why_no_more(self, n_tried: int, proposer: Proposer) -> str | None:
        """Why no further trial is to begin, or None."""
        self._look()
        if self.steering.is_stopping:
            return "it was asked to stop"
        if n_tried >= self.steering.trials:
            return f"all {self.steering.trials} trials are done"
        timeout = self.spec.budget.timeout
        if timeout is not None and time.monotonic() - self._started - self._paused_seconds >= timeout:
            return f"the time limit of {timeout:g} s is reached"
        if proposer.is_spent and not proposer.n_asked_for:
            return "nothing more is expected of further trials"
        return None

    def _wait_while_paused(self) -> None:
        """Nothing runs: while it was asked to pause, wait."""
        if not self._is_pausing():
            return
        since = time.monotonic()
        self._emit(StateChanged, state="paused", why="a pause was asked for")
        next_heartbeat = 0.0
        while self._is_pausing():
            if time.monotonic() >= next_heartbeat:
                self._emit(Heartbeat)
                next_heartbeat = time.monotonic() + SECONDS_BETWEEN_HEARTBEATS
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._paused_seconds += time.monotonic() - since
        if not self.steering.is_stopping:
            self._emit(StateChanged, state="running", why="the pause is over")

    def _is_pausing(self) -> bool:
        self.steering.poll()
        return self.steering.is_pausing

    def _to_retry(self) -> list[Recipe]:
        """Recipes whose trial the end of a search cut off, once each."""
        records = self.study.records()
        times = Counter(record.recipe.digest for record in records)
        return [r.recipe for r in records if r.was_cut_off and r.origin != "baseline" and times[r.recipe.digest] == 1]

    def _try(
        self, recipe: Recipe, origin: str, prepared: Prepared, space: SearchSpace, original: TrialRecord | None
    ) -> TrialRecord:
        """Run one trial alone to its end, and enter that, whatever it is."""
        self._begin(recipe, origin, prepared, space, original)
        while True:
            ended = self._take()
            if ended is not None:
                return ended

    def _begin(
        self, recipe: Recipe, origin: str, prepared: Prepared, space: SearchSpace, original: TrialRecord | None
    ) -> None:
        """Start a trial."""
        record = self.study.start(recipe, origin, space if space.contains(recipe) else None)
        number = record.number
        self._emit(TrialStarted, **telling.trial_started(record))
        artifact = self.run.artifact(number).absolute()
        build = self._build_job(recipe, prepared, artifact)
        measure = MeasureJob(
            workspace=self.workspace,
            prepared=prepared,
            format=recipe.format,
            artifact=artifact,
            original=self.run.artifact(original.number).absolute() if original else None,
            stakes=self._stakes(origin, original),
        )
        self._running[number] = _Running(record, original, time.monotonic())
        self.steering.begun(record)
        self._crew.begin(number, TrialJob(build=build, measure=measure), self._log_of(number, "log.txt"))

    def _take(self) -> TrialRecord | None:
        """Take in what the running trials tell next; the record of one, if it has ended."""
        told = self._crew.next()
        if not isinstance(told.message, Answer):
            self._show(told)
            return None
        running = self._running[told.number]
        self.steering.ended(told.number)
        wall_seconds = time.monotonic() - running.started
        record = _ended(running.record, told.message).model_copy(update={"wall_seconds": wall_seconds})
        return self._finish(record, running.original)

    def _cancel_all(self) -> None:
        """End what runs and enter it as cancelled."""
        self._crew.end_all()
        for running in list(self._running.values()):
            self._finish(running.record.model_copy(update={"status": Status.CANCELLED}), running.original)

    def _stakes(self, origin: str, original: TrialRecord | None) -> Stakes | None:
        """What a trial must reach; who asks for a recipe wants to see all its figures."""
        if original is None or origin == "user":
            return None
        return Stakes.of(self.spec.constraints, self.study.records(), original)

    def _build_job(self, recipe: Recipe, prepared: Prepared, artifact: Path) -> BuildJob:
        return BuildJob(workspace=self.workspace, prepared=prepared, recipe=recipe, artifact=artifact)

    def _finish(self, record: TrialRecord, original: TrialRecord | None) -> TrialRecord:
        if record.measurement is not None:
            reference = (original or record).measurement
            assert reference is not None
            limits = violations(self.spec.constraints, record.measurement, reference)
            record = record.model_copy(update={"violations": limits})
        else:
            limits = dict.fromkeys(_limit_names(self.spec), UNMEASURED_VIOLATION)
            shutil.rmtree(self.run.artifact(record.number), ignore_errors=True)
        self.study.finish(record, original, limits)
        self._running.pop(record.number, None)
        self._emit(TrialFinished, **telling.trial_finished(record))
        return record

    def _ask(self, job: Job, number: int, log_name: str = "log.txt") -> Answer:
        """Do a job in a child, alone, and show its progress as that of trial ``number``."""
        self._crew.begin(number, job, self._log_of(number, log_name))
        while True:
            told = self._crew.next()
            if isinstance(told.message, Answer):
                return told.message
            self._show(told)

    def _log_of(self, number: int, name: str) -> Path:
        return self.run.trial(number).absolute() / name

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

    def _look(self) -> None:
        """Take in what was asked of the search, and end the trials that were cancelled."""
        self.steering.poll()
        for number in self.steering.cancelled:
            self._crew.cancel(number, "cancelled as asked")

    def _keep_artifacts_of_the_best(self, original: TrialRecord) -> None:
        """Delete the files of trials that can no longer win; their recipes can make them again."""
        records = self.study.records()
        kept = {original.number, *self._running, *pareto_front(records, original)}
        kept |= {record.number for record in ranking(records, original, self.spec.prefer)[:LARGEST_FINALISTS]}
        for folder in (self.run.path / "artifacts").iterdir():
            if folder.name.isdigit() and int(folder.name) not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    # The end --------------------------------------------------------------------------------------------------------

    def _conclude(self, prepared: Prepared, original: TrialRecord, reason: str) -> Outcome:
        records = self.study.records()
        front = tuple(sorted(pareto_front(records, original)))
        order = ranking(records, original, self.spec.prefer)[:LARGEST_FINALISTS]
        finals = Finals(
            self.run,
            self.workspace,
            prepared,
            original,
            self.checked.task.metric_of(self.spec.model),
            self.spec.constraints.quality_drop,
            lambda job, number: self._judge(job, number, prepared),
        )
        finalists = finals.judge(order) if order else ()
        certified = [f.number for f in finalists if f.certificate and f.certificate.certified]
        best = certified[0] if certified else (order[0].number if order else None)
        outcome = Outcome(reason=reason, best=best, front=front, finalists=finalists)
        self.study.outcome = outcome
        if outcome.why_no_energy:
            self._emit(Note, text=f"energy is not measured: {outcome.why_no_energy}")
        return outcome

    def _judge(self, job: MeasureJob, number: int, prepared: Prepared) -> Answer:
        """Measure a finalist; its files are made again where another limit brought it back."""
        if not job.artifact.is_dir():
            recipe = self.study.record(number).recipe
            built = self._ask(self._build_job(recipe, prepared, job.artifact), number, "judged.txt")
            if isinstance(built, Failed):
                return built
        return self._ask(job, number, "judged.txt")


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
