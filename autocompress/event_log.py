"""The event log of a run: appended line by line, repaired after a crash, read in order."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from autocompress.events import Event, TrialFinished, event_adapter

_Event = TypeVar("_Event", bound=Event)

BLOCK_BYTES = 16_384


class EventLog:
    """Appends events to ``events.jsonl``, line by line; only the search that holds the lock writes.

    The log is for eyes: when it cannot be written (a full disk) the search goes on without it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        repair(path)
        self._seq = 1 + _last_seq(path)
        self.lost: str | None = None
        """Why the log could not be written, once it could not."""

    def append(self, kind: type[_Event], **fields: Any) -> _Event:
        """Write an event and give it back."""
        event = kind(seq=self._seq, time=time.time(), **fields)
        self._seq += 1
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(event.model_dump_json() + "\n")
        except OSError as problem:
            self.lost = problem.strerror
            with suppress(OSError):
                repair(self.path)  # else half a line would take the next event with it
        return event


def _last_seq(path: Path) -> int:
    """The number of the last event, -1 when there is none: found from the end, since logs grow long."""
    for line in _lines_from_the_end(path):
        with suppress(ValueError):
            plain = json.loads(line)
            if isinstance(plain, dict) and type(plain.get("seq")) is int:
                return int(plain["seq"])
    return -1


def _lines_from_the_end(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as stream:
        end, rest = stream.seek(0, os.SEEK_END), b""
        while end > 0:
            start = max(0, end - BLOCK_BYTES)
            stream.seek(start)
            first, *lines = (stream.read(end - start) + rest).split(b"\n")
            yield from reversed(lines)
            end, rest = start, first
        yield rest


def repair(path: Path) -> None:
    """Cut off a last line that was torn by a crash."""
    if not path.exists():
        return
    with path.open("rb+") as stream:
        stream.seek(0, os.SEEK_END)
        end = stream.tell()
        if end == 0:
            return
        stream.seek(end - 1)
        if stream.read(1) == b"\n":
            return
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)


def read_events(path: Path) -> Iterator[Event]:
    """The events of a log, in order; a torn or foreign line is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if not line.endswith("\n"):
                return
            try:
                yield event_adapter.validate_python(json.loads(line))
            except ValueError:
                continue


def finished_trials(path: Path) -> frozenset[int]:
    """Numbers of the trials whose end a log tells."""
    return frozenset(event.record.number for event in read_events(path) if isinstance(event, TrialFinished))
