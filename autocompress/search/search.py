"""A whole search: the original first, then recipe after recipe, at the end the judgement of the finalists."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
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
    StateChanged,
    TrialFinished,
)
from autocompress.jobs import (
    ORIGINAL_FORMAT,
    Answer,
    Failed,
    MeasureJob,
    Prepared,
    PreparedAnswer,
    PrepareJob,
)
from autocompress.objectives import LARGEST_FINALISTS, original_among, pareto_front, ranking, worth_completing
from autocompress.outcome import Outcome
from autocompress.recipe import Recipe
from autocompress.records import TrialRecord
from autocompress.runs import RunFolder
from autocompress.search import telling
from autocompress.search.bench import as_error
from autocompress.search.finals import Finals
from autocompress.search.interrupts import Interrupts
from autocompress.search.launcher import SECONDS_BETWEEN_HEARTBEATS, SECONDS_BETWEEN_LOOKS, Launcher
from autocompress.search.preflight import Checked, check_limits, workspace_of
from autocompress.search.proposer import Proposer
from autocompress.search.room import trials_at_once
from autocompress.search.steering import Steering
from autocompress.search.study import Study
from autocompress.search.trials import Trials
from autocompress.space import SearchSpace
from autocompress.spec import SearchSpec


class Search:
    """Runs a search in a run folder that this process has locked.

    Args:
        run: where it is kept.
        study: its record, new or from before.
        checked: task and plug-ins.
        on_event: called with every event, for display.
        tail: what is asked of the search while it runs.
        interrupts: heeded as often as what is asked.
    """

    def __init__(
        self,
        run: RunFolder,
        study: Study,
        checked: Checked,
        launcher: Launcher,
        on_event: Callable[[Event], None],
        tail: Tail,
        interrupts: Interrupts,
    ) -> None:
        self.run = run
        self.study = study
        self.checked = checked
        self.launcher = launcher
        self.workspace = workspace_of(self.spec, checked.task, run.baseline)
        self._on_event = on_event
        self._log = EventLog(run.events)
        self.steering = Steering(run, study, checked, tail, interrupts, self._emit, study.spec.budget.trials)
        self._started = time.monotonic()
        self._paused_seconds = 0.0
        self.trials = Trials(run, study, self.workspace, launcher, self.steering, self._emit)

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
            self.trials.cancel_all()
            raise
        finally:
            self.trials.end_all()

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
        answer = self.trials.ask(PrepareJob(workspace=self.workspace), number=0)
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
        record = self.trials.try_alone(recipe, "baseline", prepared, space, original=None)
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
            if len(self.trials.running) < at_once:
                self._complete(proposer, tried, original)
            reason = self._why_no_more(len(tried), proposer)
            if reason is None and len(self.trials.running) < at_once and not self.steering.is_pausing:
                with self.launcher.quiet.busy():  # proposing computes, too
                    proposal = proposer.next(tried, self.study.known_trials())
                if proposal is not None:
                    recipe, origin = proposal
                    tried.add(recipe.digest)
                    self.trials.begin(recipe, origin, prepared, space, original)
                    continue
                reason = "no recipe that was not tried yet could be found"
            if self.trials.running:
                if self.trials.take() is not None:
                    self._keep_artifacts_of_the_best(original)
            elif reason is not None:
                return reason
            else:
                self._wait_while_paused()

    def _complete(self, proposer: Proposer, tried: set[str], original: TrialRecord) -> None:
        """Have those trials tried again of which too little was measured for the limits as they are now."""
        for record in worth_completing(self.study.records(), original, self.spec.constraints):
            if record.recipe.digest in tried:
                tried.discard(record.recipe.digest)
                proposer.retry(record.recipe)
                self._emit(
                    Note,
                    text=f"too little is known of trial {record.number} for these limits: its recipe is tried again",
                )

    def _why_no_more(self, n_tried: int, proposer: Proposer) -> str | None:
        """Why no further trial is to begin, or None."""
        self.trials.look()
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

    def _keep_artifacts_of_the_best(self, original: TrialRecord) -> None:
        """Delete the files of trials that can no longer win; their recipes can make them again."""
        records = self.study.records()
        kept = {original.number, *self.trials.running, *pareto_front(records, original)}
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
            self.trials.drift(),
            lambda job, number: self._judge(job, number, prepared),
        )
        finalists = finals.judge(order) if order else ()
        certified = [f.number for f in finalists if f.certificate and f.certificate.certified]
        best = certified[0] if certified else (order[0].number if order else None)
        unweighed = [r for r in records if r.number in {*front, *(f.number for f in finalists)}]
        memories = finals.weigh(unweighed)
        outcome = Outcome(reason=reason, best=best, front=front, finalists=finalists, memories=memories)
        self.study.outcome = outcome
        if outcome.why_no_energy:
            self._emit(Note, text=f"energy is not measured: {outcome.why_no_energy}")
        return outcome

    def _judge(self, job: MeasureJob, number: int, prepared: Prepared) -> Answer:
        """Measure a finalist; its files are made again where another limit brought it back."""
        if not job.artifact.is_dir():
            recipe = self.study.record(number).recipe
            built = self.trials.ask(self.trials.build_job(recipe, prepared, job.artifact), number, "judged.txt")
            if isinstance(built, Failed):
                return built
        return self.trials.ask(job, number, "judged.txt")
