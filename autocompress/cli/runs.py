"""Commands that look at runs: ``runs``, ``show``, ``best``, ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocompress.cli import console
from autocompress.cli import options as opt
from autocompress.cli.app import app
from autocompress.errors import RunError, UsageError

RunArgument = Annotated[str, typer.Argument(help="Name or folder of the run.")]


@app.command()
def runs(json: opt.JsonOption = False) -> None:
    """List the runs in this folder, newest first.

    [bold]Example[/]

      autocompress runs
    """
    from rich.table import Table

    from autocompress.cli.result import summary_of
    from autocompress.runs import RunFolder, runs_root

    found = [summary_of(folder) for folder in RunFolder.all()]
    if json:
        console.print_json(found)
        return
    if not found:
        console.print_text(f"There are no runs under {runs_root()}/ yet; `autocompress demo` makes one.")
        return
    table = Table("run", "state", "model", "trials", "best", "age")
    for run in found:
        table.add_row(*(str(run[key]) for key in ("name", "state", "model", "trials", "best", "age")))
    console.out.print(table)


@app.command()
def show(
    run: RunArgument,
    trial: Annotated[int | None, typer.Argument(help="Number of a trial, for all that is known of it.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The whole report as Markdown.")] = False,
    json: opt.JsonOption = False,
) -> None:
    """Show a run: its table, front and best; or one trial in full.

    [bold]Examples[/]

      autocompress show my-bert

      autocompress show my-bert 7

      autocompress show my-bert --markdown > report.md
    """
    from autocompress.cli.result import report_of, run_plain, show_run, show_trial
    from autocompress.search.session import view_run

    view = view_run(run)
    if trial is not None:
        show_trial(view, view.study.record(trial), as_json=json)
    elif json:
        console.print_json(run_plain(view))
    elif markdown:
        console.print_text(report_of(view))
    else:
        show_run(view)


@app.command()
def best(run: RunArgument, json: opt.JsonOption = False) -> None:
    """Show the best trial of a run, and whether its quality is certified. Exit code 1: nothing is feasible.

    [bold]Example[/]

      autocompress best my-bert --json
    """
    from autocompress.cli.result import show_best
    from autocompress.search.session import view_run

    raise typer.Exit(show_best(view_run(run), as_json=json))


@app.command()
def export(
    run: RunArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The recipe file to write; - for stdout.")],
    trial: Annotated[int | None, typer.Option(help="The best one when not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a trial's recipe as YAML.

    [bold]Examples[/]

      autocompress export my-bert -o recipe.yaml

      autocompress export my-bert --trial 7 -o smaller.yaml

      autocompress export my-bert --trial 7 -o -
    """
    from autocompress.cli.result import best_number, recipe_of
    from autocompress.recipe_yaml import recipe_yaml, write_recipe
    from autocompress.search.session import view_run

    view = view_run(run)
    number = trial if trial is not None else best_number(view)
    if number is None:
        remedy = f"Choose one with --trial; `autocompress show {run}` lists them."
        raise RunError("nothing in this run is feasible, so there is no best trial", where=run, remedy=remedy)
    document = recipe_of(view, view.study.record(number))
    if str(output) == "-":
        console.print_text(recipe_yaml(document))
        return
    if output.exists() and not force:
        raise UsageError("exists", where=str(output), remedy="Add --force to overwrite it.")
    write_recipe(document, output)
    console.print_text(f"{output}: trial {number} of {view.folder.name}")
