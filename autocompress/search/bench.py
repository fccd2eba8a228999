"""A place to build and measure single recipes outside a search: for ``apply`` and ``verify``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from autocompress.errors import AutocompressError, DataError, EnvironmentProblem, ModelError, RecipeError
from autocompress.jobs import (
    ORIGINAL_FORMAT,
    Answer,
    BuildJob,
    Built,
    Failed,
    Job,
    Measured,
    MeasureJob,
    Prepared,
    PreparedAnswer,
    PrepareJob,
    Progress,
    Workspace,
)
from autocompress.recipe import Recipe
from autocompress.recipe_file import RecipeFile
from autocompress.records import Measurement
from autocompress.search.launcher import Launcher
from autocompress.search.preflight import available_formats, check_data, require_device, workspace_of
from autocompress.spec import DataSpec, Device, ModelSpec, SearchSpec
from autocompress.tasks.detection import find_task

TIMEOUT_SECONDS = 24 * 3600.0


class Bench:
    """Builds and measures one recipe on one model, in children, in a temporary folder.

    Args:
        document: the recipe.
        model: the model to apply it to.
        data: for calibration and measuring; None where neither is needed.
        on_progress: called with each child's progress.
    """

    def __init__(
        self,
        document: RecipeFile,
        model: ModelSpec,
        data: DataSpec | None,
        device: Device,
        threads: int,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._document = document
        self._on_progress = on_progress
        self._launcher = Launcher(device)
        self._launcher.warm()
        require_device(device)
        task = find_task(model)
        if task.name != document.model.task:
            raise RecipeError(
                f"the recipe is for the task {document.model.task}, the model is one of {task.name}",
                where="model.task",
                remedy="Give a model of the recipe's kind.",
            )
        if data is not None:
            check_data(model, data, task, document.seed)
        available_formats((document.export.format,), device)
        self._folder = tempfile.TemporaryDirectory(prefix="autocompress-")
        spec = SearchSpec(model=model, data=data, device=device, threads=threads, seed=document.seed)
        self._workspace: Workspace = workspace_of(spec, task, Path(self._folder.name) / "baseline")
        self._prepared: Prepared | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, problem, trace
        self._folder.cleanup()

    @property
    def prepared(self) -> Prepared:
        """What is known of the model; reads it when first asked.

        Raises:
            RecipeError: the model is of another architecture than the recipe's.
        """
        if self._prepared is None:
            answer = self._ask(PrepareJob(workspace=self._workspace))
            assert isinstance(answer, PreparedAnswer)
            found, expected = answer.prepared.facts.architecture, self._document.model.architecture
            if expected is not None and found != expected:
                raise RecipeError(
                    f"the recipe is for {expected}, the model is a {found}",
                    where="model.architecture",
                    remedy="Give a model of that architecture, or search for a recipe of its own.",
                )
            self._prepared = answer.prepared
        return self._prepared

    def build(self, artifact: Path) -> Built:
        """Make the recipe's artifact in a folder."""
        return self._build(self._document.recipe, artifact)

    def measure(self, artifact_format: str, artifact: Path, files: tuple[str, ...]) -> Measurement:
        """Measure an artifact against the original, by the full protocol, on the search part as the search did."""
        original = Path(self._folder.name) / "original"
        self._build(Recipe(format=ORIGINAL_FORMAT, seed=self._document.seed), original)
        self._measure(ORIGINAL_FORMAT, original, original=None, files=())
        return self._measure(artifact_format, artifact, original=original, files=files)

    def _build(self, recipe: Recipe, artifact: Path) -> Built:
        job = BuildJob(workspace=self._workspace, prepared=self.prepared, recipe=recipe, artifact=artifact.absolute())
        built = self._ask(job)
        assert isinstance(built, Built)
        return built

    def _measure(self, name: str, artifact: Path, original: Path | None, files: tuple[str, ...]) -> Measurement:
        job = MeasureJob(
            workspace=self._workspace,
            prepared=self.prepared,
            format=name,
            artifact=artifact.absolute(),
            files=files,
            original=original and original.absolute(),
            precise=original is not None,
        )
        measured = self._ask(job)
        assert isinstance(measured, Measured)
        return measured.measurement

    def _ask(self, job: Job) -> Answer:
        answer = self._launcher.run(
            job,
            log=Path(self._folder.name) / "log.txt",
            timeout_seconds=TIMEOUT_SECONDS,
            memory_bytes=None,
            on_progress=self._on_progress,
        )
        if isinstance(answer, Failed):
            raise as_error(answer)
        return answer


def as_error(failed: Failed) -> AutocompressError:
    """A child's failure as the error that ends a command."""
    kinds: dict[str, type[AutocompressError]] = {"load model": ModelError, "read data": DataError}
    if failed.status == "unsupported":
        return RecipeError(failed.error.message, remedy=failed.error.remedy)
    kind = kinds.get(failed.error.stage or "", ModelError) if failed.exit_code == 2 else EnvironmentProblem
    return kind(failed.error.message, remedy=failed.error.remedy)
