"""The Typer application, and what every command has in common: errors, exit codes, ``--debug``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from autocompress import __version__
from autocompress.cli import console
from autocompress.errors import AutocompressError, Interrupted, UsageError

INTERNAL = 3


class _Commands(TyperGroup):
    """The commands; Typer would end without a word on Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


app = typer.Typer(
    name="autocompress",
    cls=_Commands,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Search the ways to shrink a trained model under your limits; get the best recipe as YAML.\n\n"
        "[bold]Examples[/]\n\n"
        "  autocompress demo\n\n"
        "  autocompress search --model my-bert/ --data reviews.csv --max-quality-drop 1pp --max-size 0.3x\n\n"
        "  autocompress best my-bert --json\n\n"
        "  autocompress apply runs/my-bert/recipe.yaml -o small-bert/"
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print_text(f"autocompress {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    if debug:
        os.environ["AUTOCOMPRESS_DEBUG"] = "1"
    if context.invoked_subcommand is None:
        _greet(context)


def _greet(context: typer.Context) -> None:
    """Without a command: the terminal UI where there is a terminal, else the help, as for a wrong command line."""
    if sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty():
        from autocompress.cli.tui import tui

        tui()
        return
    context.get_help()  # Typer prints it while it puts it together
    raise typer.Exit(UsageError.exit_code)


def run() -> None:
    """Run the command line; every problem ends as one sentence and the right exit code."""
    from autocompress.cli import apply, catalogue, estimate, probe, runs, search, steer, tui  # noqa: F401 - each adds commands

    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a reader that left can still be answered
    except AutocompressError as problem:
        _end(problem, problem.exit_code, str(problem))
    except KeyboardInterrupt as problem:
        _end(problem, Interrupted.exit_code, "interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nothing more to say to it
        sys.exit(0)
    except Exception as problem:  # noqa: BLE001 - a user never sees a traceback unless asked
        told = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        _end(problem, INTERNAL, f"{told} ({type(problem).__name__}; run with --debug for the traceback)")


def _end(problem: BaseException, code: int, message: str) -> None:
    if os.environ.get("AUTOCOMPRESS_DEBUG"):
        raise problem
    console.say_error(message)
    sys.exit(code)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
