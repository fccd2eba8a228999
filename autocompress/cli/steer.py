"""Commands to a search that runs: ``steer``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autocompress.cli import console
from autocompress.cli.app import app
from autocompress.errors import EnvironmentProblem, RunError, UsageError

if TYPE_CHECKING:
    from autocompress.control import Request
    from autocompress.runs import RunFolder

SECONDS_TO_ANSWER = 20.0
SECONDS_BETWEEN_LOOKS = 0.1

steer = typer.Typer(
    no_args_is_help=True,
    subcommand_metavar="ACTION [ARGS]...",
    help=(
        "Ask something of a search that runs; notes are kept after its end, too.\n\n"
        "Waits for the search's answer and prints it. Exit code 2: the search refuses, or none runs.\n\n"
        "[bold]Examples[/]\n\n"
        "  autocompress steer my-bert pause\n\n"
        "  autocompress steer my-bert add 20\n\n"
        "  autocompress steer my-bert limit quality_drop 2pp\n\n"
        '  autocompress steer my-bert note 7 "fails on long texts"'
    ),
)
app.add_typer(steer, name="steer")

TrialArgument = Annotated[int, typer.Argument(help="Number of the trial.")]


@steer.callback()
def _of_run(context: typer.Context, run: Annotated[str, typer.Argument(help="Name or folder of the run.")]) -> None:
    context.obj = run


@steer.command()
def pause(context: typer.Context) -> None:
    """Finish the running trial, then wait.

    [bold]Example[/]

      autocompress steer my-bert pause
    """
    _ask(context.obj, "pause")


@steer.command()
def resume(context: typer.Context) -> None:
    """Go on after a pause.

    [bold]Example[/]

      autocompress steer my-bert resume
    """
    _ask(context.obj, "resume")


@steer.command()
def stop(context: typer.Context) -> None:
    """Finish the running trial, judge the finalists, and end.

    [bold]Example[/]

      autocompress steer my-bert stop
    """
    _ask(context.obj, "stop")


@steer.command()
def cancel(context: typer.Context, trial: TrialArgument) -> None:
    """End a trial that runs; the search goes on with the next.

    [bold]Example[/]

      autocompress steer my-bert cancel 12
    """
    _ask(context.obj, "cancel_trial", number=trial)


@steer.command(context_settings={"ignore_unknown_options": True})  # else -3 is taken for an option
def add(context: typer.Context, trials: Annotated[int, typer.Argument(help="How many more.", min=1)]) -> None:
    """Try more recipes than were asked for.

    [bold]Example[/]

      autocompress steer my-bert add 20
    """
    _ask(context.obj, "add_trials", trials=trials)


@steer.command()
def limit(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="quality_drop, size, latency, ram or vram.")],
    value: Annotated[str, typer.Argument(help="As in --max-…: 2pp, 0.3x, 25MB, 20ms; `none` lifts the limit.")],
) -> None:
    """Change a limit; all trials so far are judged by it too.

    [bold]Examples[/]

      autocompress steer my-bert limit quality_drop 2pp

      autocompress steer my-bert limit size none
    """
    _ask(context.obj, "set_constraint", name=name, value=None if value.lower() == "none" else value)


@steer.command(name="try")
def try_recipe(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="A recipe file; its steps, format and seed count.")],
) -> None:
    """Try this recipe next.

    [bold]Example[/]

      autocompress steer my-bert try edited.yaml
    """
    from autocompress.recipe_file import read_recipe

    _ask(context.obj, "try_recipe", recipe=read_recipe(recipe).recipe.model_dump(mode="json"))


@steer.command()
def note(
    context: typer.Context, trial: TrialArgument, text: Annotated[str, typer.Argument(help="What to keep.")]
) -> None:
    """Keep a text with a trial, also after the search; `autocompress show RUN TRIAL` shows it.

    [bold]Example[/]

      autocompress steer my-bert note 7 "fails on long texts"
    """
    from autocompress.runs import RunFolder

    if RunFolder.open(context.obj).is_locked():
        _ask(context.obj, "note", number=trial, text=text)
        return
    from autocompress.search.session import keep_note

    console.print_text(keep_note(context.obj, trial, text))


def _ask(run: str, action: str, **details: Any) -> None:
    """Write a request, wait for its answer, and print that.

    Raises:
        RunError: no search runs, or it ended before it answered.
        UsageError: the search refuses.
    """
    from autocompress.control import Request, append
    from autocompress.runs import RunFolder

    folder = RunFolder.open(run)
    if not folder.is_locked():
        again = f"`autocompress resume {folder.name}"
        remedy = (
            f"{again}` goes on with one that was interrupted, {again} --trials N` up to N trials in one that is done."
        )
        raise RunError("no search runs in this run", where=str(folder.path), remedy=remedy)
    seen = folder.events.stat().st_size if folder.events.exists() else 0
    request = Request(action, details)
    try:
        append(folder.path, request)
    except OSError as problem:
        raise EnvironmentProblem(f"cannot be written: {problem.strerror}", where=str(folder.path)) from problem
    console.print_text(_answer(folder, request, seen))


def _answer(folder: RunFolder, request: Request, seen: int) -> str:
    """What the search says to a request, in the event log behind its first ``seen`` bytes.

    Raises:
        RunError: no answer came.
        UsageError: the search refuses.
    """
    deadline = time.monotonic() + SECONDS_TO_ANSWER
    while True:
        is_over = time.monotonic() >= deadline or not folder.is_locked()
        for event in _events_behind(folder.events, seen):
            if event.get("kind") == "control_answered" and event.get("id") == request.id:
                if not event["accepted"]:
                    raise UsageError(event["text"])
                return str(event["text"])
        if is_over:
            raise RunError("the search has not answered", where=str(folder.path), remedy="See whether it still runs.")
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _events_behind(log: Path, seen: int) -> Iterator[dict[str, Any]]:
    if not log.exists():
        return
    with log.open("rb") as stream:
        stream.seek(seen)
        lines = stream.read().split(b"\n")[:-1]
    for line in lines:
        with suppress(ValueError):
            plain = json.loads(line)
            if isinstance(plain, dict):
                yield plain
