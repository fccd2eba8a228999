"""Follows a growing log: whole lines only, with where each lies; starts over when the file was replaced."""

from __future__ import annotations

import os
from pathlib import Path

from autocompress.tui.model.run_state import Line
from autocompress.tui.model.trial import Place

LARGEST_BATCH_BYTES = 2**20
"""A log of any length is read in batches, so that memory does not grow with it."""


class LogTail:
    """Reads what was appended to a file since the last time.

    Args:
        path: the log; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._inode: int | None = None

    def poll(self) -> list[Line]:
        """The whole lines that are new. A last line without its end is left for the next time.

        Raises:
            LogReplaced: the file is another one, or shorter than before: whoever folded it must start over.
        """
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return []
        if self._inode not in (None, status.st_ino) or status.st_size < self._offset:
            self._offset, self._inode = 0, status.st_ino
            raise LogReplaced
        self._inode = status.st_ino
        if status.st_size == self._offset:
            return []
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            chunk = stream.read(LARGEST_BATCH_BYTES)
            while b"\n" not in chunk and (more := stream.read(LARGEST_BATCH_BYTES)):  # one line longer than a batch
                chunk += more
        lines: list[Line] = []
        place = Place._make  # the quickest way there is to so many
        for line in chunk[: chunk.rfind(b"\n") + 1].splitlines(keepends=True):
            length = len(line)
            lines.append((line, place((self._offset, length))))
            self._offset += length
        return lines

    def read(self, place: Place) -> bytes:
        """The line at a place."""
        with self.path.open("rb") as stream:
            stream.seek(place.offset)
            return stream.read(place.length)


class LogReplaced(Exception):
    """The log was cut or replaced."""
