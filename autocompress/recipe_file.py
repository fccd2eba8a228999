"""The recipe as people keep it: a commented YAML file that says what to do, to which model, and what came of it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from autocompress import registry
from autocompress.errors import RecipeError
from autocompress.frozen import Frozen
from autocompress.objectives import size_ratio, vram_bytes
from autocompress.recipe import Recipe, Steps
from autocompress.records import (
    ArtifactFile,
    Certificate,
    Energy,
    EnergySource,
    Estimate,
    Measurement,
    Quality,
    TrialRecord,
)
from autocompress.spec import DataSpec, Device, ModelSpec
from autocompress.strict import read_yaml, validate

if TYPE_CHECKING:
    from autocompress.jobs import Prepared

FORMAT_VERSIONS = (1,)
"""The versions of the document that this program reads; it writes the last one."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


def _inside(file: ArtifactFile) -> ArtifactFile:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or "\\" in file.path:
        raise ValueError(f"the path {file.path!r} leads out of the artifact's folder")
    return file


class Origin(Frozen):
    """The search that found the recipe.

    Attributes:
        trial: its number in the run
    """

    run: str
    trial: Annotated[int, Field(ge=0)]


class RecipeModel(Frozen):
    """The model that the recipe was found for.

    Attributes:
        path: a folder, or a hub id
        revision: commit, branch or tag of a hub id
        task_file: the Python file of the task "own"; it is code, so apply asks before it runs it
        architecture: apply refuses a model of another architecture
        digest: of the configuration and the weights
        options: settings of the task, such as the length that latency is timed at
    """

    path: str
    revision: str | None = None
    task: str
    task_file: str | None = None
    architecture: str | None = None
    digest: Digest | None = None
    options: dict[str, int | float | str | bool] = {}


class RecipeData(DataSpec):
    """The data that the steps were calibrated with and the quality was judged by.

    Attributes:
        digests: of each part's samples
    """

    digests: dict[Literal["calibration", "search", "holdout"], Digest] = {}


class Export(Frozen):
    """What the compressed model is written as.

    Attributes:
        format: see `autocompress formats`
    """

    format: str


class MeasuredLatency(Frozen):
    """Time of one call, batch size 1.

    Attributes:
        p50_ms: median milliseconds
        p95_ms: 95th percentile
        speedup: the original's median over this one, timed in turns
        contended: other programs disturbed the timing; the interval says by how much
    """

    p50_ms: float
    p95_ms: float
    speedup: Estimate
    contended: bool = False


class MeasuredQuality(Frozen):
    """The task's metric on one part of the data.

    Attributes:
        value: of the compressed model
        drop: lost against the original; negative is a gain
        relative_drop: over the original's value
        part: the search was steered by the part "search"; the holdout played no role in it
        n_samples: how many were judged
    """

    metric: str
    value: float
    higher_is_better: bool
    drop: Estimate
    relative_drop: Estimate
    part: Literal["search", "holdout"]
    n_samples: int

    @classmethod
    def of(cls, quality: Quality) -> MeasuredQuality:
        """What a recipe keeps of a measured quality."""
        kept = {name: getattr(quality, name) for name in cls.model_fields}
        rounded = {name: _rounded_estimate(kept[name]) for name in ("drop", "relative_drop")}
        return cls(**kept | rounded | {"value": _rounded(quality.value)})


class MeasuredEnergy(Frozen):
    """Energy of one call, batch size 1.

    Attributes:
        joules_per_sample: of the whole processor or device while it runs the model steadily
        ratio: over the original's, taken in turns
        source: what told the joules
        measured: false for an estimate
    """

    joules_per_sample: float
    ratio: Estimate
    source: EnergySource
    measured: bool

    @classmethod
    def of(cls, energy: Energy) -> MeasuredEnergy:
        """What a recipe keeps of a measured energy."""
        return cls(
            joules_per_sample=_rounded(energy.joules_per_sample.value),
            ratio=_rounded_estimate(energy.ratio),
            source=energy.source,
            measured=energy.measured,
        )


class MeasuredOn(Frozen):
    """Where and when it was measured.

    Attributes:
        threads: threads of the runtime
    """

    machine: str
    device: Device
    gpu: str | None = None
    threads: int
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Measured(Frozen):
    """What the search measured of the compressed model.

    Attributes:
        size_bytes: bytes on disk of what is deployed
        size_ratio: of the original's size
        latency: time of one call, batch size 1
        ram_bytes: peak memory of a process that only runs it
        vram_bytes: peak memory on the device
        energy: joules of one call
        certified: whether the holdout proves that the quality limit is kept
    """

    size_bytes: int | None = None
    size_ratio: float | None = None
    latency: MeasuredLatency | None = None
    quality: MeasuredQuality | None = None
    ram_bytes: int | None = None
    vram_bytes: int | None = None
    energy: MeasuredEnergy | None = None
    certified: bool | None = None
    certificate: str | None = None
    measured_on: MeasuredOn | None = None


class ProducedArtifact(Frozen):
    """The files that the recipe produced.

    Attributes:
        digest: over the files' names and digests
        deterministic: whether applying it again gives the same bytes, where that was tried
        files: each with its length and SHA-256
    """

    digest: Digest
    deterministic: bool | None = None
    files: tuple[Annotated[ArtifactFile, AfterValidator(_inside)], ...] = ()


class RecipeFile(Frozen):
    """A recipe with all that is needed to apply it again and to check the outcome.

    It names no place to write to, and it cannot permit code to run: those are the words of whoever applies it.

    Attributes:
        format_version: Version of this document's layout.
        origin: The search that found the recipe.
        model: The model it was found for. Apply it to another of the same architecture with --model.
        data: Its calibration part is what the steps look at; quality was judged by the others.
        steps: What is done to the model, in this order; `autocompress methods` explains every knob.
        export: What the compressed model is written as.
        seed: For whatever is random in the steps and in drawing the data.
        measured: What came of it. null means not measured. `autocompress verify` measures again and compares.
        versions: The libraries it was made with; others may give other bytes and other speed.
        artifact: The files it produced.
    """

    format_version: Annotated[int, Field(ge=FORMAT_VERSIONS[0], le=FORMAT_VERSIONS[-1])] = FORMAT_VERSIONS[-1]
    origin: Origin | None = None
    model: RecipeModel
    data: RecipeData | None = None
    steps: Steps
    export: Export
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    measured: Measured | None = None
    versions: dict[str, str] = {}
    artifact: ProducedArtifact | None = None

    @model_validator(mode="after")
    def _names_installed_plugins(self) -> RecipeFile:
        for family, name, where in (
            ("formats", self.export.format, "export.format"),
            ("tasks", self.model.task, "model.task"),
        ):
            known = registry.names(family)  # type: ignore[arg-type]
            if name not in known:
                remedy = registry.suggestion(name, known)
                raise RecipeError(f"there is no {family.removesuffix('s')} named {name!r}", where=where, remedy=remedy)
        return self

    @classmethod
    def of_trial(
        cls,
        record: TrialRecord,
        original: TrialRecord,
        *,
        run: str,
        model: ModelSpec,
        data: DataSpec | None,
        prepared: Prepared,
        date: str,
        certificate: Certificate | None = None,
    ) -> RecipeFile:
        """The document for one trial of a run.

        Args:
            record: the trial.
            original: trial 0 of the same run.
            run: name of the run.
            model: as the search was given it.
            data: as the search was given it.
            prepared: what the run found out about both.
            date: day of the measurement, year-month-day.
            certificate: what the holdout said, if the trial was a finalist.
        """
        recipe, environment = record.recipe.canonical(), record.environment
        kept = {name: getattr(model, name) for name in ("path", "revision", "task_file", "options")}
        return cls(
            origin=Origin(run=run, trial=record.number),
            model=RecipeModel(
                **kept,
                task=prepared.facts.task,
                architecture=prepared.facts.architecture,
                digest=f"sha256:{prepared.model_key}",
            ),
            data=data
            and RecipeData(
                **data.model_dump(), digests={part: f"sha256:{key}" for part, key in prepared.data_keys.items()}
            ),
            steps=recipe.steps,
            export=Export(format=recipe.format),
            seed=recipe.seed,
            measured=record.measurement and _measured(record, original, date, certificate),
            versions=environment.libraries if environment else {},
            artifact=record.artifact
            and ProducedArtifact(digest=f"sha256:{record.artifact.digest}", files=record.artifact.files),
        )

    @property
    def recipe(self) -> Recipe:
        """What is to be done."""
        return Recipe(steps=self.steps, format=self.export.format, seed=self.seed)


def _measured(record: TrialRecord, original: TrialRecord, date: str, certificate: Certificate | None) -> Measured:
    figures, environment = record.measurement or Measurement(), record.environment
    latency, ratio = figures.latency, size_ratio(record, original)
    return Measured(
        size_bytes=figures.size_bytes,
        size_ratio=None if ratio is None else _rounded(ratio),
        latency=latency
        and MeasuredLatency(
            p50_ms=_rounded(latency.p50_ms),
            p95_ms=_rounded(latency.p95_ms),
            speedup=_rounded_estimate(latency.speedup),
            contended=latency.contended,
        ),
        quality=figures.quality and MeasuredQuality.of(figures.quality),
        ram_bytes=figures.ram.peak_bytes if figures.ram else None,
        vram_bytes=vram_bytes(figures),
        energy=figures.energy and MeasuredEnergy.of(figures.energy),
        certified=certificate.certified if certificate else None,
        certificate=certificate.sentence if certificate else None,
        measured_on=environment
        and MeasuredOn(
            machine=environment.machine,
            device=environment.device,
            gpu=environment.gpu,
            threads=environment.threads,
            date=date,
        ),
    )


def _rounded(value: float) -> float:
    """To five significant figures: more than any of these figures is worth, and still pleasant to read."""
    return float(f"{value:.5g}")


def _rounded_estimate(estimate: Estimate) -> Estimate:
    return Estimate(**{name: _rounded(part) for name, part in estimate})


def read_recipe(path: Path) -> RecipeFile:
    """Read and check a recipe file.

    Raises:
        RecipeError: unreadable, of an unknown version, or wrong; names the file and the place in it.
    """
    plain = read_yaml(path, error=RecipeError)
    if "steps" not in plain and {"constraints", "budget", "space"} & plain.keys():
        remedy = f"`autocompress search {path}` finds a recipe by it."
        raise RecipeError("is the specification of a search, not a recipe", where=str(path), remedy=remedy)
    try:
        _require_known_version(plain)
        return validate(RecipeFile, plain, error=RecipeError)
    except RecipeError as problem:
        where = f"{path}: {problem.where}" if problem.where else str(path)
        raise RecipeError(problem.what, where=where, remedy=problem.remedy) from None


def _require_known_version(plain: dict[str, Any]) -> None:
    version = plain.get("format_version")
    known = ", ".join(str(version) for version in FORMAT_VERSIONS)
    if version is None:
        remedy = f"Write `format_version: {FORMAT_VERSIONS[-1]}` at its top."
        raise RecipeError("does not say which version of the layout it has", where="format_version", remedy=remedy)
    if isinstance(version, bool) or version not in FORMAT_VERSIONS:
        remedy = f"This program reads version {known}; a newer autocompress may read it."
        raise RecipeError(f"version {version!r} is not known", where="format_version", remedy=remedy)
