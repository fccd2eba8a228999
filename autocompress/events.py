"""What happens during a run, as a tagged union: one line of JSON each in ``events.jsonl``.

The lines are read by programs that load none of this; docs/architecture.md tells their fields.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from autocompress.frozen import Frozen
from autocompress.records import Energy, Latency, MemoryFigures, TrialRecord
from autocompress.spec import Constraints, Device, Preference


class _Event(Frozen):
    seq: int
    time: float
    """Seconds since the epoch."""


class RunStarted(_Event):
    """A search began, or went on after an interruption.

    Attributes:
        trials: how many recipes are to be tried in all, those of earlier searches in this run included.
        timeout_seconds: when the search ends at the latest, counted from here; pauses do not count.
        methods: what the search may use, by name; so with ``formats``.
        records: trials from before the interruption; for the program that searches, not written to the log, where
            they stand as `TrialFinished` already.
    """

    kind: Literal["run_started"] = "run_started"
    name: str
    model: str
    trials: int
    timeout_seconds: float | None
    constraints: Constraints
    prefer: Preference
    device: Device
    threads: int
    methods: tuple[str, ...]
    formats: tuple[str, ...]
    records: Annotated[tuple[TrialRecord, ...], Field(exclude=True)] = ()


class ModelRead(_Event):
    """Model and data were read and can be used; ``n_samples`` counts each part's."""

    kind: Literal["model_read"] = "model_read"
    task: str
    architecture: str
    n_parameters: int
    metric: str
    metric_is_rate: bool
    higher_is_better: bool
    n_samples: dict[str, int]


class TrialStarted(_Event):
    """A recipe is about to be run.

    ``labels`` and ``words`` tell each of its steps, briefly and as a phrase; ``stages`` are those to come, in order:
    what a cache holds takes the place of what would make it, and keeping a result may come on top.
    """

    kind: Literal["trial_started"] = "trial_started"
    number: int
    recipe: str
    origin: str
    format: str
    labels: tuple[str, ...]
    words: tuple[str, ...]
    stages: tuple[str, ...]


class StageStarted(_Event):
    """A stage of the running trial began."""

    kind: Literal["stage_started"] = "stage_started"
    number: int
    stage: str


class StageProgress(_Event):
    """How far a stage is."""

    kind: Literal["stage_progress"] = "stage_progress"
    number: int
    stage: str
    done: int
    total: int


class StageFinished(_Event):
    """A stage ended well."""

    kind: Literal["stage_finished"] = "stage_finished"
    number: int
    stage: str
    seconds: float
    cached: bool = False


class TrialFinished(_Event):
    """A trial ended, however it did. The record is that of the storage without what only details need, see `slim`."""

    kind: Literal["trial_finished"] = "trial_finished"
    record: TrialRecord
    labels: tuple[str, ...]
    words: tuple[str, ...]


class TrialNoted(_Event):
    """The user wrote something about a trial."""

    kind: Literal["trial_noted"] = "trial_noted"
    number: int
    text: str


class StateChanged(_Event):
    """The search pauses, goes on, or is about to end; ``why`` says it in words."""

    kind: Literal["state_changed"] = "state_changed"
    state: Literal["running", "paused", "stopping"]
    why: str


class TrialsChanged(_Event):
    """So many recipes are now to be tried in all."""

    kind: Literal["trials_changed"] = "trials_changed"
    trials: int


class ConstraintsChanged(_Event):
    """The limits are now these; they hold for all trials, those that ended before included."""

    kind: Literal["constraints_changed"] = "constraints_changed"
    constraints: Constraints


class ControlAnswered(_Event):
    """A request from ``control.jsonl`` was taken, or refused for a reason; ``id`` is the request's."""

    kind: Literal["control_answered"] = "control_answered"
    id: str
    action: str
    accepted: bool
    text: str


class Heartbeat(_Event):
    """The search is alive; ``ram_bytes`` is what the running trial's process holds in memory."""

    kind: Literal["heartbeat"] = "heartbeat"
    ram_bytes: int | None = None


class Note(_Event):
    """Something that the user should know, in a sentence."""

    kind: Literal["note"] = "note"
    text: str


class RunFinished(_Event):
    """The search ended; ``reason`` says why, ``best`` is the number of the best trial.

    ``finalists`` are the trials that were judged on the holdout; ``certificate`` says what that gave for the best;
    ``energies`` what a call of each takes, where that is known, ``latencies`` how fast those are that were timed again,
    in fresh processes, and ``memories`` what the front takes.
    """

    kind: Literal["run_finished"] = "run_finished"
    reason: str
    best: int | None = None
    certified: bool | None = None
    certificate: str | None = None
    finalists: tuple[int, ...] = ()
    energies: dict[int, Energy] = {}
    latencies: dict[int, Latency] = {}
    memories: dict[int, MemoryFigures] = {}


Event = (
    RunStarted
    | ModelRead
    | TrialStarted
    | StageStarted
    | StageProgress
    | StageFinished
    | TrialFinished
    | TrialNoted
    | StateChanged
    | TrialsChanged
    | ConstraintsChanged
    | ControlAnswered
    | Heartbeat
    | Note
    | RunFinished
)
event_adapter: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
