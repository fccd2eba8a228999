"""The command that opens the terminal UI."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from autocompress.cli.app import app
from autocompress.errors import UsageError


@app.command()
def tui(
    run: Annotated[
        str | None, typer.Argument(help="Name or folder of the run to open; the list of runs without.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="URL of a shared storage that RUN is recorded in; it is then watched from there.")
    ] = None,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw with ASCII characters only.")] = False,
    theme: Annotated[Literal["dark", "light"], typer.Option(help="Colours.")] = "dark",
    once: Annotated[bool, typer.Option("--once", help="Print one frame to stdout and end.")] = False,
    size: Annotated[str, typer.Option(help="Columns x rows of the frame of --once.")] = "120x40",
) -> None:
    """Watch and steer searches in the terminal. `q` detaches, the search goes on.

    [bold]Examples[/]

      autocompress tui

      autocompress tui my-bert

      autocompress tui my-bert --once --size 80x24

      autocompress tui my-bert --storage postgresql://host/optuna
    """
    from autocompress.runs import RunFolder, runs_root
    from autocompress.tui.opening import Opening

    if storage is not None and run is None:
        raise UsageError("--storage needs the name of a search in it", where="RUN")
    if storage is None and run is not None:
        RunFolder.open(run)  # refused here, before the screen is taken
    opening = Opening(str(runs_root()), run, storage, ascii_only=ascii_only, theme=theme)
    if once:
        from autocompress.tui.frame import print_frame

        print_frame(opening, size=size)
        return
    require_terminal("Use --once for one frame, or `autocompress show`.")
    opening.become()


def require_terminal(remedy: str) -> None:
    """Refuse to draw where nobody can look; the remedy says what to do instead.

    Raises:
        UsageError: this is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the terminal UI needs a terminal", remedy=remedy)
