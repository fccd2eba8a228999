"""What the parent asks of a child, and what the child answers; plain data both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from autocompress.drift import PRESUMED_DRIFT
from autocompress.facts import ModelFacts
from autocompress.frozen import Frozen
from autocompress.recipe import Recipe
from autocompress.records import Artifact, Environment, Measurement, StageTime, TrialError
from autocompress.spec import DataSpec, Device, ModelSpec
from autocompress.stakes import Stakes

ORIGINAL_FORMAT = "pytorch"
"""The format in which the original is kept as it is; a recipe without steps in this format changes nothing."""

Figure = Literal["ram", "latency", "quality", "energy"]
TRIAL_FIGURES: frozenset[Figure] = frozenset({"ram", "latency", "quality"})
"""What is measured of every trial; energy takes seconds of steady running, and the original beside it."""
ALL_FIGURES: frozenset[Figure] = TRIAL_FIGURES | {"energy"}


class Workspace(Frozen):
    """What all jobs of a run share.

    ``baseline`` is the folder that `PrepareJob` fills: the samples of each part, the inputs of the timed call, and the
    original's outcome on every sample.
    """

    model: ModelSpec
    data: DataSpec | None
    task: str
    device: Device
    threads: int
    seed: int
    baseline: Path
    cache: Path
    cache_cap_bytes: int
    cache_after_seconds: float = 0.5
    """A step's result is kept in the stage cache when computing it took longer than this: storing costs time too."""


class MachineSpeed(Frozen):
    """What the machine does in a second, by a short trial: floating-point operations, and bytes read."""

    flops: float
    bytes_read: float


class Prepared(Frozen):
    """What is known of the model and the data once both were read."""

    facts: ModelFacts
    model_key: str
    """SHA-256 over the original's configuration and weights."""
    data_keys: dict[str, str]
    """Digest of each part of the data."""
    n_samples: dict[str, int]
    metric: str
    higher_is_better: bool
    metric_is_rate: bool
    environment: Environment
    notes: tuple[str, ...] = ()
    call_flops: float | None = None
    """Floating-point operations of one call of the original; None where they are not known."""
    speed: MachineSpeed | None = None


class FactsJob(Frozen):
    """Look at a model without reading its weights. Answer: `FactsAnswer`."""

    kind: Literal["facts"] = "facts"
    model: ModelSpec
    task: str
    threads: int


class FactsAnswer(Frozen):
    """The answer to a `FactsJob`: shapes, the work of one call (None: not known), and the machine's speed."""

    kind: Literal["facts_known"] = "facts_known"
    facts: ModelFacts
    call_flops: float | None
    speed: MachineSpeed


class PrepareJob(Frozen):
    """Read model and data, check both, and fill the baseline folder. Answer: `Prepared`."""

    kind: Literal["prepare"] = "prepare"
    workspace: Workspace


class BuildJob(Frozen):
    """Run a recipe's steps and export. Answer: `Built`."""

    kind: Literal["build"] = "build"
    workspace: Workspace
    prepared: Prepared
    recipe: Recipe
    artifact: Path


class MeasureJob(Frozen):
    """Measure the files of an artifact against the original's. Answer: `Measured`.

    ``original`` is the folder of the original's own artifact, or None when it is the original that is measured; its
    outcomes are then kept as the baseline of the part.
    """

    kind: Literal["measure"] = "measure"
    workspace: Workspace
    prepared: Prepared
    format: str
    artifact: Path
    files: tuple[str, ...] = ()
    """Which of the folder's files are deployed and count; all when empty."""
    original: Path | None
    part: Literal["search", "holdout"] = "search"
    figures: frozenset[Figure] = TRIAL_FIGURES
    precise: bool = False
    """Time by the closer look rather than by the short one."""
    outcomes: Path | None = None
    """Where to keep the outcome of every sample."""
    stakes: Stakes | None = None
    """What the artifact must reach: measuring ends once it surely cannot. None: all is measured."""
    drift: float = PRESUMED_DRIFT
    """Of the machine's timings, so far: see `drift.drift`."""


class TrialJob(Frozen):
    """Build, then measure, in one child. Answer: `TrialAnswer`."""

    kind: Literal["trial"] = "trial"
    build: BuildJob
    measure: MeasureJob


Job = FactsJob | PrepareJob | BuildJob | MeasureJob | TrialJob
job_adapter: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])


class Built(Frozen):
    """An artifact, and how long its stages took."""

    kind: Literal["built"] = "built"
    artifact: Artifact
    stages: tuple[StageTime, ...]


class Measured(Frozen):
    """Figures, and how long it took to take them."""

    kind: Literal["measured"] = "measured"
    measurement: Measurement
    stages: tuple[StageTime, ...]
    environment: Environment


class TrialAnswer(Frozen):
    """Both halves of a trial."""

    kind: Literal["trial"] = "trial"
    built: Built
    measured: Measured


class PreparedAnswer(Frozen):
    """The answer to a `PrepareJob`."""

    kind: Literal["prepared"] = "prepared"
    prepared: Prepared


class Failed(Frozen):
    """The job could not be done; ``status`` is that of the trial."""

    kind: Literal["failed"] = "failed"
    status: Literal["unsupported", "failed", "out_of_memory", "timed_out", "crashed", "cancelled"]
    error: TrialError
    exit_code: int = 3
    stages: tuple[StageTime, ...] = ()


class StageBegan(Frozen):
    """A stage began."""

    kind: Literal["stage_began"] = "stage_began"
    stage: str


class StageMoved(Frozen):
    """A stage's progress."""

    kind: Literal["stage_moved"] = "stage_moved"
    stage: str
    done: int
    total: int


class StageEnded(Frozen):
    """A stage ended well."""

    kind: Literal["stage_ended"] = "stage_ended"
    time: StageTime


class QuietWanted(Frozen):
    """The child waits until nothing else computes: it is about to time something. Answer: `QuietGranted`."""

    kind: Literal["quiet_wanted"] = "quiet_wanted"


class QuietOver(Frozen):
    """The child has timed what it wanted to."""

    kind: Literal["quiet_over"] = "quiet_over"


class QuietGranted(Frozen):
    """To a child: nothing else computes now."""

    kind: Literal["quiet_granted"] = "quiet_granted"


class Held(Frozen):
    """To a child that was stopped while another one timed something: for how long."""

    kind: Literal["held"] = "held"
    seconds: float


Word = QuietGranted | Held
word_adapter: TypeAdapter[Word] = TypeAdapter(Annotated[Word, Field(discriminator="kind")])
"""What a child is told while it works."""

Progress = StageBegan | StageMoved | StageEnded
Request = QuietWanted | QuietOver
Answer = FactsAnswer | PreparedAnswer | Built | Measured | TrialAnswer | Failed
Message = Progress | Request | Answer
message_adapter: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])
"""What a child tells."""
