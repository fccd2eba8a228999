"""Who may write where: results to stdout, narration and errors to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

_PIPE_WIDTH = 160

out = Console(soft_wrap=False, highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _PIPE_WIDTH)


def print_json(plain: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False, default=str) + "\n")


def print_json_line(plain: Any) -> None:
    """One line of JSON on stdout, at once: for programs that follow along."""
    sys.stdout.write(json.dumps(plain, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """Text on stdout as it is."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def say(text: str) -> None:
    """A line of narration on stderr."""
    err.print(text, markup=False, soft_wrap=True)


def say_error(text: str) -> None:
    """An error on stderr."""
    err.print(f"[bold red]error:[/] {_escaped(text)}", soft_wrap=True)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
