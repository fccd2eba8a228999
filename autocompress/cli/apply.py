"""Commands that use a recipe: ``apply``, ``verify``, ``schema``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocompress.cli import console
from autocompress.cli import options as opt
from autocompress.cli.app import app
from autocompress.errors import RecipeError, UsageError

if TYPE_CHECKING:
    from autocompress.recipe_file import RecipeFile
    from autocompress.spec import DataSpec, Device, ModelSpec

DIFFERS = 1


@app.command()
def apply(
    recipe: Annotated[Path, typer.Argument(help="A recipe file.", metavar="RECIPE.yaml")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the compressed model.")],
    model: opt.ModelOption = None,
    data: opt.DataOption = None,
    task_file: opt.TaskFileOption = None,
    trust_remote_code: opt.TrustOption = False,
    allow_pickle: opt.PickleOption = False,
    device: opt.DeviceOption = None,
    threads: opt.ThreadsOption = None,
    json: opt.JsonOption = False,
) -> None:
    """Make the compressed model that a recipe describes.

    [bold]Examples[/]

      autocompress apply runs/my-bert/recipe.yaml -o small-bert/

      autocompress apply recipe.yaml -o small-other/ --model other-bert/ --data reviews.csv
    """
    from autocompress.cli.display import stage_progress
    from autocompress.recipe_file import read_recipe
    from autocompress.search.apply import apply_recipe

    document = read_recipe(recipe)
    chosen = _model_of(document, recipe, model, task_file, trust_remote_code, allow_pickle)
    with stage_progress(f"applying {recipe}") as on_progress:
        applied = apply_recipe(
            document,
            output,
            model=chosen,
            other_allowed=model is not None,
            data=_data_of(document, data),
            device=_device_of(document, device),
            threads=threads or _threads_of(document),
            on_progress=on_progress,
        )
    if json:
        files = [file.model_dump() for file in applied.artifact.files]
        console.print_json(
            {
                "folder": str(applied.folder),
                "digest": f"sha256:{applied.artifact.digest}",
                "size_bytes": applied.artifact.size_bytes,
                "same_model": applied.same_model,
                "reproduced": applied.reproduced,
                "files": files,
            }
        )
        return
    console.print_text(
        f"{applied.folder}: {applied.artifact.size_bytes / 1e6:.2f} MB in {len(applied.artifact.files)} files "
        f"({applied.artifact.format}, {applied.artifact.kernel})"
    )
    if not applied.same_model and document.measured is not None:
        console.print_text(
            "It is another model than the recipe was found for, so the recipe's figures were left out; "
            f"`autocompress search {chosen.path}` finds out its own."
        )
    if applied.reproduced is True:
        console.print_text("The files are the same, byte for byte, as those that the search measured.")
    elif applied.reproduced is False:
        console.print_text(
            "The files differ from those that the search measured (other library versions or another machine); "
            f"`autocompress verify {applied.folder}` says which figures hold."
        )


@app.command()
def verify(
    target: Annotated[Path, typer.Argument(help="A folder that `apply` made, or a recipe file.")],
    model: opt.ModelOption = None,
    data: opt.DataOption = None,
    task_file: opt.TaskFileOption = None,
    trust_remote_code: opt.TrustOption = False,
    allow_pickle: opt.PickleOption = False,
    device: opt.DeviceOption = None,
    threads: opt.ThreadsOption = None,
    json: opt.JsonOption = False,
) -> None:
    """Measure again, compare with what the recipe recorded, and say which figures hold. Exit code 1: some do not.

    [bold]Examples[/]

      autocompress verify small-bert/

      autocompress verify runs/my-bert/recipe.yaml --json
    """
    from autocompress.cli.display import stage_progress
    from autocompress.recipe_file import read_recipe
    from autocompress.search.apply import RECIPE_NAME
    from autocompress.search.verify import verify as verify_recipe

    if not target.exists():
        raise UsageError("does not exist", where=str(target), remedy="Give an applied folder or a recipe file.")
    path = target / RECIPE_NAME if target.is_dir() else target
    document = read_recipe(path)
    with stage_progress(f"verifying {target}") as on_progress:
        checks = verify_recipe(
            document,
            target if target.is_dir() else None,
            model=_model_of(document, path, model, task_file, trust_remote_code, allow_pickle),
            data=_data_of(document, data),
            device=_device_of(document, device),
            threads=threads or _threads_of(document),
            on_progress=on_progress,
        )
    if json:
        console.print_json([vars(check) for check in checks])
    else:
        from rich.table import Table

        table = Table("figure", "recorded", "measured now", "holds")
        for check in checks:
            table.add_row(check.figure, check.recorded, check.measured, _HOLDS[check.holds])
        console.out.print(table)
    raise typer.Exit(DIFFERS if any(check.holds is False for check in checks) else 0)


_HOLDS = {True: "✓ yes", False: "✗ no", None: "–"}


class SchemaKind(StrEnum):
    """What a JSON Schema can be printed of."""

    RECIPE = "recipe"
    SPEC = "spec"


@app.command()
def schema(kind: Annotated[SchemaKind, typer.Argument(help="recipe or spec")]) -> None:
    """Print the JSON Schema of recipes or search specs, for editors.

    [bold]Example[/]

      autocompress schema recipe > recipe.schema.json
    """
    from autocompress.schema import recipe_schema, spec_schema

    console.print_json(recipe_schema() if kind is SchemaKind.RECIPE else spec_schema())


def _model_of(
    document: RecipeFile,
    path: Path,
    model: str | None,
    task_file: Path | None,
    trust_remote_code: bool,
    allow_pickle: bool,
) -> ModelSpec:
    """The model to work on: the recipe's own, unless another is named; code runs only when named here."""
    from autocompress.spec import ModelSpec

    own = document.model
    if own.task == "own" and task_file is None:
        raise RecipeError(
            f"the model comes from the Python file {own.task_file}, which is run only when you name it",
            where=str(path),
            remedy=f"Add --task-file {own.task_file}.",
        )
    # Where the Python file was the model, too, it may lie elsewhere now.
    recorded = str(task_file) if task_file and own.path == own.task_file else own.path
    return ModelSpec(
        path=model or recorded,
        revision=None if model else own.revision,
        task=own.task,
        task_file=str(task_file) if task_file else None,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
        options=own.options,
    )


def _data_of(document: RecipeFile, path: str | None) -> DataSpec | None:
    from autocompress.spec import DataSpec
    from autocompress.strict import validate

    if path is not None:
        columns = document.data.columns if document.data else {}
        return DataSpec(path=path, columns=columns)
    if document.data is None:
        return None
    return validate(DataSpec, document.data.model_dump(exclude={"digests"}), error=RecipeError)


def _device_of(document: RecipeFile, device: str | None) -> Device:
    if device is not None:
        if device not in ("cpu", "cuda"):
            raise UsageError(f"there is no device {device!r}", where="--device", remedy="Write cpu or cuda.")
        return "cuda" if device == "cuda" else "cpu"
    measured_on = document.measured and document.measured.measured_on
    return measured_on.device if measured_on else "cpu"


def _threads_of(document: RecipeFile) -> int:
    measured_on = document.measured and document.measured.measured_on
    return measured_on.threads if measured_on else 1
