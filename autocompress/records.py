"""What is recorded of a trial: artifact, measurement, environment, outcome. None always means "not measured"."""

from __future__ import annotations

import math
import statistics
from enum import StrEnum
from pathlib import Path
from typing import Literal

from autocompress.frozen import Frozen
from autocompress.recipe import Recipe
from autocompress.spec import Device

SLIM_READINGS = 21
"""The percentiles in steps of five."""
SLIM_LOG_CHARACTERS = 1_000


class Status(StrEnum):
    """How a trial ended. Infeasible is not a status: it is ``complete`` with a positive violation."""

    RUNNING = "running"
    COMPLETE = "complete"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    CANCELLED = "cancelled"


class ArtifactFile(Frozen):
    """One deployed file: path relative to the artifact's folder, length and SHA-256."""

    path: str
    size_bytes: int
    sha256: str


class Artifact(Frozen):
    """A compressed model on disk, as it would be deployed.

    ``size_bytes`` counts the files that the runtime needs to run the model; tokenizers and pre-processors are the same
    for every candidate and are not counted. ``kernel`` says in words what computes the weights at run time, for example
    "int8 (MatMulInteger)" or "float32 after unpacking at load".
    """

    format: str
    files: tuple[ArtifactFile, ...]
    kernel: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of what would be deployed."""
        return sum(file.size_bytes for file in self.files)

    @property
    def digest(self) -> str:
        """SHA-256 over the files' names and digests, in order of name."""
        import hashlib

        lines = sorted(f"{file.path} {file.sha256}" for file in self.files)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Estimate(Frozen):
    """A value with the interval that covers it at the given confidence level."""

    value: float
    low: float
    high: float
    level: float = 0.95

    def half_width_without(self, deviation: float) -> float:
        """Half the width of the logarithm's interval, less that of an independent error of this deviation."""
        log_half_width = math.log(self.high / self.low) / 2
        error = deviation * statistics.NormalDist().inv_cdf(0.5 + self.level / 2)
        return math.sqrt(max(0.0, log_half_width**2 - error**2))


STORED_READINGS = 256
"""Of more readings, so many are kept."""


class Samples(Frozen):
    """Raw repeated readings; summaries are derived, never stored alone.

    ``n_readings`` is how many readings there were where only some are kept, picked evenly over their order by size;
    None: all are kept.
    """

    values: tuple[float, ...]
    unit: str
    warmups: int = 0
    n_readings: int | None = None

    @property
    def median(self) -> float:
        """The middle reading."""
        return statistics.median(self.values)

    def percentile(self, share: float) -> float:
        """The reading below which ``share`` (0 to 1) of the readings lie, by linear interpolation."""
        ordered = sorted(self.values)
        place = share * (len(ordered) - 1)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

    def thinned(self, n: int) -> Samples:
        """At most ``n`` readings, evenly spread over their order by size: the percentiles 0, 1/(n-1), …, 1 stay."""
        if len(self.values) <= n:
            return self
        kept = tuple(self.percentile(index / (n - 1)) for index in range(n))
        return self.model_copy(update={"values": kept, "n_readings": self.n_readings or len(self.values)})


class Latency(Frozen):
    """Time of one call, batch size 1, timed in turns with the original in one process.

    ``speedup`` is the original's median over the candidate's own (greater than 1: the candidate is faster), with its
    interval. ``clock`` says what ticked: the wall clock, or events on the device. ``control`` is the speed-up
    of the original over itself, timed the same way at the same time; where it is off 1, the machine was ``contended``.
    Where several ``processes`` timed it, one after the other, it is the geometric mean of what they found. ``drift`` is
    by how much (standard deviation of the logarithm) another look at another time would differ; one look alone cannot
    know it, and its interval has it on top.
    """

    candidate_ms: Samples
    baseline_ms: Samples | None
    speedup: Estimate
    clock: Literal["wall", "device_events"]
    threads: int
    processes: int = 1
    drift: float = 0.0
    contended: bool = False
    control: Estimate | None = None
    cpu_time_speedup: float | None = None
    involuntary_switches: int | None = None
    load_average: float | None = None

    @property
    def p50_ms(self) -> float:
        """Median milliseconds per call."""
        return self.candidate_ms.median

    @property
    def p95_ms(self) -> float:
        """95th percentile of milliseconds per call."""
        return self.candidate_ms.percentile(0.95)

    @property
    def half_width_within(self) -> float:
        """Half the width of the interval of the speed-up's logarithm, without the drift.

        More patience in the same process makes that narrower, and nothing else.
        """
        return self.speedup.half_width_without(self.drift)

    def slim(self) -> Latency:
        """With few of the single readings."""
        thinned = {"candidate_ms": self.candidate_ms.thinned(SLIM_READINGS)}
        if self.baseline_ms is not None:
            thinned["baseline_ms"] = self.baseline_ms.thinned(SLIM_READINGS)
        return self.model_copy(update=thinned)


class Quality(Frozen):
    """The task's metric on one part of the data, and what was lost against the original on the same samples.

    ``drop`` is positive when the candidate is worse, in the metric's own unit, whichever direction the metric has;
    ``relative_drop`` is the drop over the original's value. ``others`` are further metrics of the same outputs.
    """

    metric: str
    value: float
    higher_is_better: bool
    n_samples: int
    part: Literal["search", "holdout"]
    drop: Estimate
    relative_drop: Estimate
    others: dict[str, float] = {}


class Certificate(Frozen):
    """Whether a finalist's quality drop is surely inside the limit, on data that no choice was made by.

    ``upper_bound`` is the one-sided upper confidence bound of the drop, in the limit's own terms (``relative`` to the
    original's value, or in the metric's unit), at ``level``, which is raised so that all finalists together are wrong
    at most one time in twenty. ``samples_needed`` is roughly how many samples would certify a drop as it was observed;
    None where none would, because the observed drop itself is beyond the limit.
    """

    certified: bool
    upper_bound: float
    relative: bool
    level: float
    n_samples: int
    samples_needed: int | None
    sentence: str


class Memory(Frozen):
    """Peak resident memory of a fresh process that loads the artifact and runs inference only."""

    peak_bytes: int
    imports_bytes: int


class Vram(Frozen):
    """Peak device memory: as the allocator counted it, and as the whole device showed it."""

    allocator_peak_bytes: int | None
    device_delta_bytes: int | None


EnergySource = Literal["NVML counter", "RAPL", "codecarbon estimate"]


class Energy(Frozen):
    """Joules that one call takes, batch size 1, by steady running in turns with the original.

    They are those of the whole device or processor meanwhile, idling included. ``ratio`` is the candidate's over the
    original's. ``measured``: a counter in the hardware told them; otherwise they are an estimate.
    """

    joules_per_sample: Estimate
    original_joules_per_sample: Estimate
    ratio: Estimate
    source: EnergySource
    measured: bool


class MemoryFigures(Frozen):
    """What a trial's artifact takes at work; ``vram`` on a device."""

    ram: Memory
    vram: Vram | None


class Measurement(Frozen):
    """All that was measured of one artifact.

    ``cut_short`` says why measuring ended early, where a trial surely could not be of any use any more; its quality
    was then judged on some of the samples. ``why_no_energy`` says why that is not known, where it was asked for.
    """

    size_bytes: int | None = None
    quality: Quality | None = None
    latency: Latency | None = None
    ram: Memory | None = None
    vram: Vram | None = None
    cut_short: str | None = None
    energy: Energy | None = None
    why_no_energy: str | None = None


class Environment(Frozen):
    """Where the figures come from; ``gpu`` and ``driver`` are those of the device ``cuda``."""

    machine: str
    device: Device
    cores: int
    threads: int
    python: str
    libraries: dict[str, str]
    load_average: float | None = None
    gpu: str | None = None
    driver: str | None = None


class StageTime(Frozen):
    """Wall-clock seconds of one stage; ``cached`` when its result was taken from the stage cache."""

    stage: str
    seconds: float
    cached: bool = False


class TrialError(Frozen):
    """Why a trial did not complete: the cause in a sentence and what would cure it."""

    message: str
    remedy: str | None = None
    stage: str | None = None
    log_tail: str | None = None


class TrialRecord(Frozen):
    """Everything known of one trial; kept whole in the storage.

    ``violations`` are relative excesses over each limit: 0 or less means that the limit is kept.
    """

    number: int
    recipe: Recipe
    status: Status
    origin: Literal["baseline", "known_good", "sampler", "retry", "user"] = "sampler"
    artifact: Artifact | None = None
    measurement: Measurement | None = None
    violations: dict[str, float] = {}
    stages: tuple[StageTime, ...] = ()
    wall_seconds: float | None = None
    error: TrialError | None = None
    environment: Environment | None = None
    notes: tuple[str, ...] = ()

    @property
    def was_cut_off(self) -> bool:
        """Whether it was the end of the search that ended it: it says nothing about its recipe."""
        return self.status in (Status.CANCELLED, Status.CRASHED) and self.wall_seconds is None

    def slim(self) -> TrialRecord:
        """The record without what only a look at details needs: where it was measured, and most single readings."""
        measurement, error = self.measurement, self.error
        if measurement is not None and measurement.latency is not None:
            measurement = measurement.model_copy(update={"latency": measurement.latency.slim()})
        if error is not None and error.log_tail is not None:
            error = error.model_copy(update={"log_tail": error.log_tail[-SLIM_LOG_CHARACTERS:]})
        return self.model_copy(update={"measurement": measurement, "error": error, "environment": None})

    @property
    def feasible(self) -> bool:
        """Measured, and inside every limit."""
        return self.status is Status.COMPLETE and all(value <= 0 for value in self.violations.values())


def describe_files(folder: Path, paths: list[Path]) -> tuple[ArtifactFile, ...]:
    """Length and SHA-256 of each of ``paths`` inside ``folder``, in order of name."""
    import hashlib

    described = []
    for path in sorted(paths):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        described.append(
            ArtifactFile(path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=digest)
        )
    return tuple(described)
