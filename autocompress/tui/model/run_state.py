"""A run as its events tell it: the trials, the front, the best one, what is running, and what was said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

from autocompress.limits import Bound, parse_bound
from autocompress.tui.model.front import Front, point_of
from autocompress.tui.model.judging import measured_violations, preference_key
from autocompress.tui.model.trial import EnergyFigure, Interval, Place, Trial

Line = tuple[bytes, Place | None]
"""A whole line of the log and where it lies."""

READING, JUDGING = "reading", "judging"
"""What runs without being a trial: model and data are read, finalists are judged."""
STAGES_OF_READING = ("load model", "read data")
STARTING, RUNNING, PAUSED, STOPPING, FINISHED = "starting", "running", "paused", "stopping", "finished"


@dataclass(slots=True)
class Metric:
    """What quality is measured in."""

    name: str
    is_rate: bool
    higher_is_better: bool


@dataclass(slots=True)
class Stage:
    """A stage of the running trial; ``seconds`` once it ended."""

    name: str
    started: float | None = None
    seconds: float | None = None
    cached: bool = False
    done: int = 0
    total: int = 0

    @property
    def share(self) -> float | None:
        """How far it is, 0 to 1; None where that is not known."""
        return self.done / self.total if self.total else None


@dataclass(slots=True)
class Running:
    """A trial that runs now, or what runs without being a trial: its origin is then `READING` or `JUDGING`."""

    number: int
    labels: tuple[str, ...]
    format: str
    origin: str
    started: float
    stages: list[Stage] = field(default_factory=list)

    @property
    def is_trial(self) -> bool:
        """Whether it will end as one."""
        return self.origin not in (READING, JUDGING)

    @property
    def label(self) -> str:
        """Its recipe in one short line."""
        return " → ".join((*self.labels, self.format))

    def stage(self, name: str) -> Stage:
        """The first stage of this name that has not ended; one that was not announced comes before those to come."""
        for stage in self.stages:
            if stage.name == name and stage.seconds is None:
                return stage
        at = next((at for at, stage in enumerate(self.stages) if stage.started is None), len(self.stages))
        self.stages.insert(at, Stage(name))
        return self.stages[at]


@dataclass(slots=True)
class Said:
    """A note of the search, or its answer to what was asked."""

    time: float
    text: str
    accepted: bool | None = None
    request_id: str | None = None


@dataclass(slots=True)
class Ending:
    """Why and how the search ended."""

    reason: str
    best: int | None
    certified: bool | None
    sentence: str | None


class RunState:
    """Folds events, however the log is cut into batches, into what the screens draw.

    ``revision`` grows with whatever changes; ``trials_revision`` with what changes the table and the plot.
    """

    def __init__(self) -> None:
        self.name = ""
        self.model = ""
        self.architecture = ""
        self.n_parameters = 0
        self.n_samples: dict[str, int] = {}
        self.prefer = "balanced"
        self.device = "cpu"
        self.total = 0
        self.timeout_seconds: float | None = None
        self.constraints: dict[str, Bound] = {}
        self.metric: Metric | None = None
        self.activity = STARTING
        self.why = ""
        self.started: float | None = None
        """When the search began, or was resumed last."""
        self.seconds_before = 0.0
        """That it was at work before it was resumed."""
        self.last_event: float | None = None
        self.trials: dict[int, Trial] = {}
        self.counts: Counter[str] = Counter()
        self._cut_off: set[int] = set()
        self._latest: dict[str, int] = {}
        self._repeated: set[int] = set()
        self.original: Trial | None = None
        self.front = Front()
        self.best: int | None = None
        self.last_improvement: int | None = None
        self.all_running: dict[int, Running] = {}
        self.said: list[Said] = []
        self.ending: Ending | None = None
        self.revision = 0
        self.trials_revision = 0
        self._stage_lines: list[bytes] = []

    @property
    def running(self) -> Running | None:
        """The trial that runs; of several, the one that began first."""
        return next(iter(self.all_running.values()), None)

    # Taking events --------------------------------------------------------------------------------------------------

    def take(self, lines: Iterable[Line]) -> None:
        """Add lines of the log, in order; a torn or foreign one is passed over.

        Most lines tell of stages of trials that ended since, or that the search was alive then. They are not even
        parsed: only the running trials' stages count, and the last sign of life.
        """
        heartbeat: bytes | None = None
        for line, place in lines:
            head = line[:100]
            if b'"kind":"heartbeat"' in head:
                heartbeat = line
                continue
            heartbeat = None  # there is a later sign of life
            if b'"kind":"stage_' in head:
                self._stage_lines.append(line)
                continue
            ends_stages = b'"kind":"trial_started"' in head or b'"kind":"trial_finished"' in head
            if not ends_stages:
                self._take_stages()
            event = parsed(line)
            if event is not None and self._apply(event, place) and ends_stages:
                self._forget_stages(int(event.get("record", event)["number"]))
        self._take_stages()
        if heartbeat is not None and (event := parsed(heartbeat)) is not None:
            self._apply(event, None)

    def _forget_stages(self, number: int) -> None:
        """Nobody asks any more how a trial went on that has ended, or what was done before it began."""
        of_it = b'"number":%d,' % number
        self._stage_lines = [line for line in self._stage_lines if of_it not in line[:100]]

    def _take_stages(self) -> None:
        for line in self._stage_lines:
            event = parsed(line)
            if event is not None:
                self._apply(event, None)
        self._stage_lines.clear()

    def _apply(self, event: Mapping[str, Any], place: Place | None) -> bool:
        """Take an event; tells whether it could be."""
        taker = _TAKERS.get(event.get("kind", ""))
        if taker is None:
            return False
        try:
            taker(self, event, place)
            if event["kind"] != "trial_noted":  # which people write when the search is long over
                self.last_event = float(event["time"])
        except (KeyError, TypeError, ValueError):
            return False  # of another version
        self.revision += 1
        return True

    def _run_started(self, event: Mapping[str, Any], _: Place | None) -> None:
        self.name, self.model = str(event["name"]), str(event["model"])
        self.total = int(event["trials"])
        self.timeout_seconds = event.get("timeout_seconds")
        self.prefer = event.get("prefer", "balanced")
        self.device = event.get("device", "cpu")
        self.activity, self.why, self.ending = STARTING, "", None
        self.all_running.clear()
        self.seconds_before = self.seconds_at_work(self.last_event or 0.0)
        self.started = float(event["time"])
        self._limit(event["constraints"])

    def _model_read(self, event: Mapping[str, Any], _: Place | None) -> None:
        self.architecture = str(event["architecture"])
        self.n_parameters = int(event["n_parameters"])
        self.n_samples = dict(event["n_samples"])
        self.metric = Metric(
            str(event["metric"]), bool(event["metric_is_rate"]), bool(event.get("higher_is_better", True))
        )

    def _trial_started(self, event: Mapping[str, Any], _: Place | None) -> None:
        self.all_running.pop(0, None)  # reading model and data, which is over
        number = int(event["number"])
        self.all_running[number] = Running(
            number=number,
            labels=tuple(event["labels"]),
            format=str(event["format"]),
            origin=str(event["origin"]),
            started=float(event["time"]),
            stages=[Stage(name) for name in event.get("stages", ())],
        )
        if self.activity == STARTING:
            self.activity = RUNNING

    def _stage_started(self, event: Mapping[str, Any], _: Place | None) -> None:
        number, when = int(event["number"]), float(event["time"])
        if number not in self.all_running:
            self._begin_without_trial(number, str(event["stage"]), when)
        self.all_running[number].stage(str(event["stage"])).started = when

    def _begin_without_trial(self, number: int, stage: str, when: float) -> None:
        """Model and data are read before the first trial, finalists are judged, one by one, after the last."""
        trial = self.trials.get(number)
        self.all_running.clear()
        if trial is None or (trial is self.original and stage in STAGES_OF_READING):
            self.all_running[number] = Running(number, (), "", READING, when)
        else:
            self.all_running[number] = Running(number, trial.labels, trial.format, JUDGING, when)

    def _stage_progress(self, event: Mapping[str, Any], _: Place | None) -> None:
        running = self.all_running.get(int(event["number"]))
        if running is not None:
            stage = running.stage(str(event["stage"]))
            stage.done, stage.total = int(event["done"]), int(event["total"])

    def _stage_finished(self, event: Mapping[str, Any], _: Place | None) -> None:
        running = self.all_running.get(int(event["number"]))
        if running is not None:
            stage = running.stage(str(event["stage"]))
            stage.seconds, stage.cached = float(event["seconds"]), bool(event.get("cached"))

    def _trial_finished(self, event: Mapping[str, Any], place: Place | None) -> None:
        trial = Trial.read(event, place)
        self.all_running.pop(trial.number, None)
        before = self.trials.get(trial.number)
        self.trials[trial.number] = trial
        takes_place = self._follow_retries(trial, json.dumps(event["record"]["recipe"]))
        self.trials_revision += 1
        if trial.origin == "baseline" and trial.size_bytes is not None and self.original is None:
            self.original = trial
            self._judge_all()
            return
        if before is not None or takes_place:
            self._judge_all()
            return
        self.counts[trial.status] += 1
        self._judge(trial)

    def _follow_retries(self, trial: Trial, recipe: str) -> bool:
        """Whether the trial takes the place of an earlier one of the same recipe."""
        if trial.was_cut_off:
            self._cut_off.add(trial.number)
            return False
        before = self.trials.get(self._latest.get(recipe, trial.number))
        self._latest[recipe] = trial.number
        if trial.origin != "retry" or before is None or before is trial:
            return False
        self._repeated.add(trial.number)
        before.is_repeated = trial.is_measured
        return before.is_repeated

    def _trial_noted(self, event: Mapping[str, Any], _: Place | None) -> None:
        trial = self.trials.get(int(event["number"]))
        if trial is not None:
            trial.notes = (*trial.notes, str(event["text"]))
            self.trials_revision += 1

    def _state_changed(self, event: Mapping[str, Any], _: Place | None) -> None:
        self.activity, self.why = str(event["state"]), str(event.get("why") or "")

    def _trials_changed(self, event: Mapping[str, Any], _: Place | None) -> None:
        self.total = int(event["trials"])

    def _constraints_changed(self, event: Mapping[str, Any], _: Place | None) -> None:
        self._limit(event["constraints"])
        self._judge_all()
        self.trials_revision += 1

    def _control_answered(self, event: Mapping[str, Any], _: Place | None) -> None:
        accepted, request_id = bool(event["accepted"]), str(event["id"])
        self.said.append(Said(float(event["time"]), str(event["text"]), accepted, request_id))

    def _note(self, event: Mapping[str, Any], _: Place | None) -> None:
        self.said.append(Said(float(event["time"]), str(event["text"])))

    def _run_finished(self, event: Mapping[str, Any], _: Place | None) -> None:
        sentence = event.get("certificate")
        self.ending = Ending(str(event["reason"]), event.get("best"), event.get("certified"), sentence)
        self.activity = FINISHED
        self.all_running.clear()
        self.best = event.get("best")
        for number, latency in (event.get("latencies") or {}).items():
            if (trial := self.trials.get(int(number))) is not None:
                trial.take_latency(latency)
        for number, memory in (event.get("memories") or {}).items():
            if (trial := self.trials.get(int(number))) is not None:
                trial.take_memory(memory)
        self._take_energies(event.get("energies") or {})

    def _take_energies(self, energies: Mapping[str, Any]) -> None:
        """Of the finalists; the original's is what it was beside the first."""
        for number, told in energies.items():
            ratio, source = Interval.read(told["ratio"]), str(told["source"])
            own, its = (told[name]["value"] for name in ("joules_per_sample", "original_joules_per_sample"))
            if (trial := self.trials.get(int(number))) is not None:
                trial.energy = EnergyFigure(float(own), ratio, source)
            if self.original is not None and self.original.energy is None:
                self.original.energy = EnergyFigure(float(its), None, source)
        self.trials_revision += 1

    def _heartbeat(self, event: Mapping[str, Any], _: Place | None) -> None:
        pass

    # Judging --------------------------------------------------------------------------------------------------------

    def _limit(self, written: Mapping[str, str | None]) -> None:
        self.constraints = {name: parse_bound(name, text) for name, text in written.items() if text is not None}

    def _judge_all(self) -> None:
        self.front, self.best, self.last_improvement = Front(), None, None
        self.counts = Counter(trial.status for trial in self.trials.values())
        for trial in self.trials.values():
            self._judge(trial)
        if self.ending is not None and self.ending.best is not None:
            self.best = self.ending.best

    def _judge(self, trial: Trial) -> None:
        if self.original is None:
            return
        if trial.size_bytes is not None and self.original.size_bytes:
            trial.size_ratio = trial.size_bytes / self.original.size_bytes
        trial.violations = measured_violations(self.constraints, trial, self.original)
        if self.front.add(trial) and trial.number != self.original.number:
            self.last_improvement = trial.number
        is_original = trial.number == self.original.number
        if is_original or trial.is_given_up or trial.is_repeated or not trial.is_feasible or point_of(trial) is None:
            return
        best = self.trials.get(self.best) if self.best is not None else None
        if best is None or preference_key(self.prefer, trial) < preference_key(self.prefer, best):
            self.best = trial.number

    def under(self, constraints: Mapping[str, Bound]) -> RunState:
        """The same run as it would be judged under other limits; this one stays as it is."""
        other = copy(self)
        other.constraints = dict(constraints)
        other.trials = {number: copy(trial) for number, trial in self.trials.items()}
        other.ending = None
        other._judge_all()
        return other

    # Looking --------------------------------------------------------------------------------------------------------

    def seconds_at_work(self, now: float) -> float:
        """How long the search was at work in all, up to now; between an end and a resumption it was not."""
        return self.seconds_before + (0.0 if self.started is None else max(0.0, now - self.started))

    @property
    def best_trial(self) -> Trial | None:
        """The best feasible trial so far, or as the search decided at its end."""
        return self.trials.get(self.best) if self.best is not None else None

    @property
    def n_ended(self) -> int:
        """How many trials ended."""
        return len(self.trials)

    @property
    def n_tried(self) -> int:
        """How many of ``total`` are done: what is tried again counts once, what the end of a search cut off not yet."""
        return len(self.trials) - len(self._cut_off) - len(self._repeated)

    @property
    def seconds_per_trial(self) -> float | None:
        """What a trial took on average, lately: over the last twenty that ran."""
        spans = [t.wall_seconds for t in islice(reversed(self.trials.values()), 20) if t.wall_seconds is not None]
        return sum(spans) / len(spans) if spans else None

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest will take; None where that cannot be told."""
        per_trial = self.seconds_per_trial
        if self.ending is not None or per_trial is None:
            return None
        return max(0, self.total - self.n_tried) * per_trial

    @property
    def since_improvement(self) -> int | None:
        """How many trials ended since the front last changed; None before it held any but the original."""
        if self.last_improvement is None:
            return None
        return sum(1 for _ in takewhile(lambda number: number != self.last_improvement, reversed(self.trials)))


def parsed(line: bytes) -> dict[str, Any] | None:
    """A line's object; None where it is torn or foreign."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


_Taker = Callable[[RunState, Mapping[str, Any], Place | None], None]
_KINDS = (
    *("run_started", "model_read", "trial_started", "stage_started", "stage_progress", "stage_finished"),
    *("trial_finished", "trial_noted", "state_changed", "trials_changed", "constraints_changed", "control_answered"),
    *("note", "run_finished", "heartbeat"),
)
_TAKERS: dict[str, _Taker] = {kind: getattr(RunState, f"_{kind}") for kind in _KINDS}
