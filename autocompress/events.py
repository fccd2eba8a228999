"""What happens during a run, as a tagged union: one line of JSON each in ``events.jsonl``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from autocompress.frozen import Frozen
from autocompress.records import TrialRecord
from autocompress.spec import Constraints


class _Event(Frozen):
    seq: int
    time: float
    """Seconds since the epoch."""


class RunStarted(_Event):
    """A search began, or went on after an interruption."""

    kind: Literal["run_started"] = "run_started"
    name: str
    model: str
    trials: int
    constraints: Constraints
    records: tuple[TrialRecord, ...] = ()
    """Trials from before the interruption."""


class ModelRead(_Event):
    """Model and data were read and can be used; ``n_samples`` counts each part's."""

    kind: Literal["model_read"] = "model_read"
    architecture: str
    n_parameters: int
    metric: str
    metric_is_rate: bool
    n_samples: dict[str, int]


class TrialStarted(_Event):
    """A recipe is about to be run."""

    kind: Literal["trial_started"] = "trial_started"
    number: int
    recipe: str
    origin: str


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
    """A trial ended, however it did."""

    kind: Literal["trial_finished"] = "trial_finished"
    record: TrialRecord


class Heartbeat(_Event):
    """The search is alive."""

    kind: Literal["heartbeat"] = "heartbeat"


class Note(_Event):
    """Something that the user should know, in a sentence."""

    kind: Literal["note"] = "note"
    text: str


class RunFinished(_Event):
    """The search ended; ``reason`` says why, ``best`` is the number of the best trial."""

    kind: Literal["run_finished"] = "run_finished"
    reason: str
    best: int | None = None
    certified: bool | None = None


Event = (
    RunStarted
    | ModelRead
    | TrialStarted
    | StageStarted
    | StageProgress
    | StageFinished
    | TrialFinished
    | Heartbeat
    | Note
    | RunFinished
)
event_adapter: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
