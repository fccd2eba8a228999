"""A place to build and measure single recipes outside a search."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType

from autocompress.drift import drift, original_ms
from autocompress.errors import AutocompressError, DataError, EnvironmentProblem, ModelError, RecipeError
from autocompress.jobs import (
    ORIGINAL_FORMAT,
    TRIAL_FIGURES,
    Answer,
    BuildJob,
    Built,
    Failed,
    Figure,
    Job,
    Measured,
    MeasureJob,
    Prepared,
    PreparedAnswer,
    PrepareJob,
    Progress,
    Workspace,
)
from autocompress.measure.latency_pool import in_fresh_processes
from autocompress.recipe import Recipe
from autocompress.records import Measurement
from autocompress.search.launcher import Launcher
from autocompress.search.preflight import available_formats, check_data, require_device, workspace_of
from autocompress.spec import SearchSpec
from autocompress.tasks.detection import find_task

TIMEOUT_SECONDS = 24 * 3600.0


class Bench:
    """Builds and measures recipes on one model, one after another, in children; works in a temporary folder.

    Args:
        spec: model, data (None where neither calibration nor measuring needs it), device, threads and seed.
        on_progress: called with each child's progress.

    Raises:
        EnvironmentProblem: there is no such device.
        DataError: the data cannot serve the model's task.
    """

    def __init__(self, spec: SearchSpec, on_progress: Callable[[Progress], None]) -> None:
        self._on_progress = on_progress
        self._launcher = Launcher(spec.device)
        self._launcher.warm()
        require_device(spec.device)
        self.task = find_task(spec.model)
        if spec.data is not None:
            check_data(spec.model, spec.data, self.task, spec.seed)
        self._seed = spec.seed
        self._original_ms: list[float] = []
        self._folder = tempfile.TemporaryDirectory(prefix="autocompress-")
        self._workspace: Workspace = workspace_of(spec, self.task, Path(self._folder.name) / "baseline")

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, problem, trace
        self._folder.cleanup()

    @cached_property
    def prepared(self) -> Prepared:
        """What is known of the model; reads it when first asked."""
        answer = self._ask(PrepareJob(workspace=self._workspace))
        assert isinstance(answer, PreparedAnswer)
        return answer.prepared

    def build(self, recipe: Recipe, artifact: Path) -> Built:
        """Make a recipe's artifact in a folder.

        Raises:
            EnvironmentProblem: the recipe's format cannot run here.
            RecipeError: the recipe is refused for this model.
        """
        available_formats((recipe.format,), self._workspace.device)
        built = self._ask(
            BuildJob(workspace=self._workspace, prepared=self.prepared, recipe=recipe, artifact=artifact.absolute())
        )
        assert isinstance(built, Built)
        return built

    def measure(
        self,
        format_name: str,
        artifact: Path,
        files: tuple[str, ...] = (),
        figures: frozenset[Figure] = TRIAL_FIGURES,
        *,
        precise: bool = True,
    ) -> Measurement:
        """Measure an artifact against the original on the search part.

        Where that is to be ``precise``, it is timed by the closer look in several fresh processes, else by a short one.
        """
        original, _ = self.original
        if not precise or "latency" not in figures:
            return self._measure(format_name, artifact, original, files, figures, precise=False)
        alone: frozenset[Figure] = frozenset({"latency"})
        measured = self._measure(format_name, artifact, original, files, figures - alone, precise=False)
        latency = in_fresh_processes(
            lambda: self._measure(format_name, artifact, original, files, alone, precise=True).latency
        )
        return measured.model_copy(update={"latency": latency})

    @cached_property
    def original(self) -> tuple[Path, Measurement]:
        """The original's own artifact, and its figures; made when first asked."""
        folder = Path(self._folder.name) / "original"
        self.build(Recipe(format=ORIGINAL_FORMAT, seed=self._seed), folder)
        return folder, self._measure(ORIGINAL_FORMAT, folder, None, (), TRIAL_FIGURES, precise=False)

    def _measure(
        self,
        format_name: str,
        artifact: Path,
        original: Path | None,
        files: tuple[str, ...],
        figures: frozenset[Figure],
        *,
        precise: bool,
    ) -> Measurement:
        job = MeasureJob(
            workspace=self._workspace,
            prepared=self.prepared,
            format=format_name,
            artifact=artifact.absolute(),
            files=files,
            original=original and original.absolute(),
            figures=figures,
            precise=precise,
            drift=drift(self._original_ms),
        )
        measured = self._ask(job)
        assert isinstance(measured, Measured)
        self._original_ms += original_ms([measured.measurement.latency])
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
