"""Requests to a running search: lines of JSON in the run folder's ``control.jsonl``; the standard library alone.

Whoever steers appends; the search reads, does what is asked or refuses it, and answers each request once with the
event ``control_answered``.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONTROL_NAME = "control.jsonl"

ACTIONS = ("pause", "resume", "stop", "cancel_trial", "add_trials", "try_recipe", "set_constraint", "note")


def _fresh_id() -> str:
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks of a search.

    ``details`` belong to the action: ``number`` of the trial (``cancel_trial``, ``note``), ``trials`` to add
    (``add_trials``), ``recipe`` as plain data (``try_recipe``), ``name`` and ``value`` of a limit, None to lift it
    (``set_constraint``), ``text`` (``note``).
    """

    action: str
    details: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=_fresh_id)
    time: float = field(default_factory=time.time)

    def line(self) -> bytes:
        """The request as it is written."""
        plain = {"id": self.id, "time": self.time, "action": self.action, **self.details}
        return json.dumps(plain, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Request | None:
        """The request that a line holds, or None where it holds none."""
        try:
            plain = json.loads(line)
        except ValueError:
            return None
        if not isinstance(plain, dict):
            return None
        id_, when, action = (plain.pop(key, None) for key in ("id", "time", "action"))
        if not (isinstance(id_, str) and id_ and isinstance(action, str)):
            return None
        return cls(action, plain, id_, float(when) if isinstance(when, int | float) else 0.0)


def append(folder: Path, request: Request) -> None:
    """Write a request into a run folder, whole or not at all where several write at once.

    Raises:
        OSError: the folder cannot be written.
    """
    # A line that a crash tore ends here, or it would take this one with it; the reader passes over empty lines.
    path = folder / CONTROL_NAME
    torn = path.exists() and path.stat().st_size > 0 and not _ends_whole(path)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (b"\n" if torn else b"") + request.line())
    finally:
        os.close(handle)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


class Tail:
    """Reads the requests that are appended to a run folder's file from now on.

    Args:
        folder: the run folder; the file need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CONTROL_NAME
        self._place = self._size()

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def new(self) -> Iterator[Request]:
        """The requests since the last call; lines that hold none are passed over, and half a line waits for its end."""
        size = self._size()
        if size < self._place:  # somebody began the file anew
            self._place = 0
        if size == self._place:
            return
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._place)
                whole, newline, _ = stream.read().rpartition(b"\n")
        except OSError:
            return
        self._place += len(whole) + len(newline)
        for line in whole.split(b"\n"):
            request = Request.of_line(line)
            if request is not None:
                yield request
