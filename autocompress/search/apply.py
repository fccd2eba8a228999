"""Turn a recipe into a compressed model again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autocompress import registry
from autocompress.errors import EnvironmentProblem, RecipeError, UsageError
from autocompress.jobs import Progress
from autocompress.recipe_file import ProducedArtifact, RecipeFile, RecipeModel
from autocompress.recipe_yaml import write_recipe
from autocompress.records import Artifact
from autocompress.search.bench import Bench
from autocompress.search.preflight import available_formats
from autocompress.spec import DataSpec, Device, ModelSpec, SearchSpec

RECIPE_NAME = "recipe.yaml"
COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "preprocessor_config.json",
    "normalizer.json",
)
"""Files of the original that users need beside any artifact; the same for all, so they are not counted in sizes."""


@dataclass(frozen=True)
class Applied:
    """What applying a recipe gave.

    Attributes:
        same_model: whether it was applied to the model that it was found for; otherwise its figures were left out.
        reproduced: whether the files are those that the search measured; None where the recipe tells no digest.
    """

    folder: Path
    artifact: Artifact
    same_model: bool
    reproduced: bool | None


def needs_data(document: RecipeFile) -> bool:
    """Whether a step looks at data."""
    return any(step.reads_calibration or step.reads_training for step in document.steps)


def bench_for(
    document: RecipeFile,
    model: ModelSpec,
    data: DataSpec | None,
    device: Device,
    threads: int,
    on_progress: Callable[[Progress], None],
) -> Bench:
    """A bench for a recipe's model.

    Raises:
        RecipeError: the model is of another task or architecture than the recipe's.
        EnvironmentProblem: the recipe's format cannot run here.
    """
    available_formats((document.export.format,), device)
    spec = SearchSpec(model=model, data=data, device=device, threads=threads, seed=document.seed)
    bench = Bench(spec, on_progress)
    if bench.task.name != document.model.task:
        raise RecipeError(
            f"the recipe is for the task {document.model.task}, the model is one of {bench.task.name}",
            where="model.task",
            remedy="Give a model of the recipe's kind.",
        )
    found, expected = bench.prepared.facts.architecture, document.model.architecture
    if expected is not None and found != expected:
        raise RecipeError(
            f"the recipe is for {expected}, the model is a {found}",
            where="model.architecture",
            remedy="Give a model of that architecture, or search for a recipe of its own.",
        )
    return bench


def apply_recipe(
    document: RecipeFile,
    folder: Path,
    *,
    model: ModelSpec,
    other_allowed: bool,
    data: DataSpec | None,
    device: Device,
    threads: int,
    on_progress: Callable[[Progress], None],
) -> Applied:
    """Make the recipe's compressed model in a new folder, with the recipe and the original's tokenizer beside it.

    Args:
        document: the recipe.
        folder: does not exist yet, or is empty.
        model: what to apply it to.
        other_allowed: whether ``model`` may be another than the one that the recipe was found for.
        data: needed where a step calibrates, see `needs_data`, unless the task brings its own.
        device: where the steps run.
        threads: of the runtime.
        on_progress: called with the child's progress.

    Raises:
        UsageError: the folder holds something.
        RecipeError: the recipe does not fit the model.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("is in the way", where=str(folder), remedy="Choose an empty or new folder with -o.")
    if needs_data(document) and data is None and registry.load("tasks", document.model.task).needs_data:
        needy = ", ".join(step.tag for step in document.steps if step.reads_calibration or step.reads_training)
        raise RecipeError(f"{needy} needs data to calibrate with or to train on", remedy="Give it with --data PATH.")
    building = folder.absolute().with_name(f".{folder.name}.building")
    with bench_for(document, model, data if needs_data(document) else None, device, threads, on_progress) as bench:
        recorded = document.model.digest
        same_model = not other_allowed if recorded is None else recorded == f"sha256:{bench.prepared.model_key}"
        if not same_model and not other_allowed:
            raise RecipeError(
                "the model has changed since the recipe was found: its digest is another",
                where="model.digest",
                remedy="If that is meant, name the model explicitly with --model.",
            )
        try:
            built = bench.build(document.recipe, building)
            _add_companions(model, building)
            expected = document.artifact.digest if document.artifact else None
            reproduced = None if expected is None or not same_model else expected == f"sha256:{built.artifact.digest}"
            applied_to = document.model
            if other_allowed:
                named = {"path": model.path, "revision": model.revision, "digest": f"sha256:{bench.prepared.model_key}"}
                applied_to = applied_to.model_copy(update=named)
            recipe = _beside(document, built.artifact, applied_to, same_model=same_model)
            write_recipe(recipe, building / RECIPE_NAME)
            if folder.exists():
                folder.rmdir()
            building.rename(folder)
        except OSError as problem:
            raise EnvironmentProblem(f"cannot be written: {problem.strerror}", where=str(folder)) from problem
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return Applied(folder, built.artifact, same_model, reproduced)


def _add_companions(model: ModelSpec, folder: Path) -> None:
    for name in COMPANIONS:
        source = Path(model.path) / name
        if source.is_file() and not (folder / name).exists():
            shutil.copyfile(source, folder / name)


def _beside(document: RecipeFile, artifact: Artifact, applied_to: RecipeModel, *, same_model: bool) -> RecipeFile:
    """The recipe as it belongs beside the artifact: the files are these; figures of another model are dropped."""
    produced = ProducedArtifact(digest=f"sha256:{artifact.digest}", files=artifact.files)
    changed: dict[str, object] = {"artifact": produced, "model": applied_to}
    if not same_model:
        changed |= {"measured": None, "origin": None}
    return document.model_copy(update=changed)
