"""One frame of the terminal UI as text, for scripts and bug reports; no terminal is needed or touched."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path
from typing import TextIO

from rich.console import Console

from autocompress.errors import RunError, UsageError
from autocompress.tui.app import AutocompressApp
from autocompress.tui.attachment import Attachment, StorageAttachment
from autocompress.tui.opening import Opening
from autocompress.tui.screens.too_small import SMALLEST
from autocompress.tui.theme import UNICODE

SMALLEST_SIZE, LARGEST_SIZE = tuple(SMALLEST), (500, 300)
SECONDS_TO_READ = 60.0
"""For a log of any length that is read in one go."""
SECONDS_UNTIL_FIRST_EVENT = 20.0
"""What a storage on another machine may take to answer."""
SECONDS_OF_SILENCE = 0.5
SECONDS_TO_SETTLE = 3.0
"""Screens draw parts of themselves a little later; what still moves after this is shown as it is then."""
SECONDS_BETWEEN_LOOKS = 0.1


def print_frame(opening: Opening, *, size: str) -> None:
    """Print the dashboard of a run, or the list of runs without one; in colours where stdout is a terminal.

    Args:
        opening: what to show, and how; ASCII is drawn also where stdout can write nothing else.
        size: columns and rows, as ``80x24``.

    Raises:
        UsageError: the size is none.
        RunError: the run cannot be read.
    """
    columns, rows = parse_size(size)
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    ascii_only = opening.ascii_only or not _can_write_glyphs(sys.stdout)
    attachment = opening.attach()
    if attachment is not None:
        _catch_up(attachment)
    app = AutocompressApp(attachment, root=Path(opening.root), ascii_only=ascii_only, theme=opening.theme)
    console = Console(file=sys.stdout, width=columns) if colours else None
    for line in asyncio.run(_settled_lines(app, (columns, rows), console)):
        sys.stdout.write(_writable(line, sys.stdout) + "\n")


def parse_size(text: str) -> tuple[int, int]:
    """Columns and rows of a size as people write it.

    Raises:
        UsageError: it is none, or one that nothing can be drawn in.
    """
    match = re.fullmatch(r"([0-9]{1,4})[x×*]([0-9]{1,4})", text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is no size", where="--size", remedy="Write columns x rows, such as 80x24.")
    columns, rows = int(match[1]), int(match[2])
    if not (SMALLEST_SIZE[0] <= columns <= LARGEST_SIZE[0] and SMALLEST_SIZE[1] <= rows <= LARGEST_SIZE[1]):
        smallest, largest = ("x".join(map(str, each)) for each in (SMALLEST_SIZE, LARGEST_SIZE))
        raise UsageError(f"{text!r} is out of range", where="--size", remedy=f"From {smallest} to {largest}.")
    return columns, rows


def _can_write_glyphs(stream: TextIO) -> bool:
    try:
        UNICODE.front.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _writable(line: str, stream: TextIO) -> str:
    """The line with question marks for what the stream cannot write: names of models are in any script."""
    encoding = stream.encoding or "ascii"
    return line.encode(encoding, "replace").decode(encoding)


def _catch_up(attachment: Attachment) -> None:
    """Read all that there is; of a storage, until its reader has told what it holds."""
    until = time.monotonic() + SECONDS_TO_READ
    while attachment.poll(1.0) and time.monotonic() < until:
        pass
    if not isinstance(attachment, StorageAttachment):
        return
    news = time.monotonic()
    while time.monotonic() < until:
        problem = attachment.problem
        if problem is not None:
            attachment.close()
            raise RunError(problem, where=attachment.title)
        if attachment.poll(1.0):
            news = time.monotonic()
        quiet = time.monotonic() - news
        if quiet > SECONDS_OF_SILENCE and (attachment.state.revision or quiet > SECONDS_UNTIL_FIRST_EVENT):
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


async def _settled_lines(app: AutocompressApp, size: tuple[int, int], console: Console | None) -> list[str]:
    """The lines of the screen on top, once they are the same twice."""
    async with app.run_test(size=size) as pilot:
        until = time.monotonic() + SECONDS_TO_SETTLE
        lines: list[str] = []
        while True:
            await pilot.pause(SECONDS_BETWEEN_LOOKS)
            before, lines = lines, _lines(app, console)
            if lines == before or time.monotonic() > until:
                return lines


def _lines(app: AutocompressApp, console: Console | None) -> list[str]:
    # Textual itself has no public way to the screen's text but its picture in SVG.
    strips = app.screen._compositor.render_strips()
    return [strip.text.rstrip() if console is None else strip.render(console) for strip in strips]
