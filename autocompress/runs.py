"""The run folder: its files, its lock, and the event log that is appended, repaired and read."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from autocompress.errors import EnvironmentProblem, RunError
from autocompress.events import Event, TrialFinished, event_adapter

_Event = TypeVar("_Event", bound=Event)

BLOCK_BYTES = 16_384


def runs_root() -> Path:
    """``$AUTOCOMPRESS_RUNS``, else ``runs/`` in the working directory."""
    return Path(os.environ.get("AUTOCOMPRESS_RUNS", "runs"))


class RunFolder:
    """``runs/<name>/``: spec, study, events, trials, artifacts and report of one search."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.resolve().name
        self.spec = path / "spec.yaml"
        self.study = path / "study.db"
        self.events = path / "events.jsonl"
        self.baseline = path / "baseline"
        self.report = path / "report"
        self.recipe = path / "recipe.yaml"

    def trial(self, number: int) -> Path:
        """Folder of a trial's log and raw figures."""
        return self.path / "trials" / str(number)

    def artifact(self, number: int) -> Path:
        """Folder of a trial's deployed files."""
        return self.path / "artifacts" / str(number)

    @classmethod
    def create(cls, name: str, root: Path | None = None) -> RunFolder:
        """Make a new run folder.

        Raises:
            RunError: the name is no plain name, or is taken.
            EnvironmentProblem: the folder cannot be made.
        """
        path = _path_of(name, root)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            remedy = f"Go on with `autocompress resume {name}`, or choose another --name."
            raise RunError("a run of this name exists", where=str(path), remedy=remedy) from None
        except OSError as problem:
            raise EnvironmentProblem(f"cannot be made: {problem.strerror}", where=str(path)) from problem
        return cls(path)

    @classmethod
    def open(cls, name: str, root: Path | None = None) -> RunFolder:
        """An existing run, by name or by the path of its folder.

        Raises:
            RunError: there is none; the message lists the nearest or the known ones.
        """
        for path in (Path(name), _path_of(name, root) if _is_plain(name) else Path(name)):
            if (path / "spec.yaml").is_file():
                return cls(path)
        known = [run.name for run in cls.all(root)]
        remedy = (
            f"Known runs: {', '.join(known)}." if known else "There are no runs here yet; see `autocompress search`."
        )
        raise RunError(f"there is no run named {name!r} under {root or runs_root()}", remedy=remedy)

    @classmethod
    def all(cls, root: Path | None = None) -> list[RunFolder]:
        """Every run under the root, newest first."""
        folder = root or runs_root()
        specs = folder.glob("*/spec.yaml") if folder.is_dir() else ()
        return [cls(s.parent) for s in sorted(specs, key=lambda spec: spec.stat().st_mtime, reverse=True)]

    def lock(self) -> IO[str]:
        """Hold the run for one search; freed when the returned file is closed or the process ends.

        Raises:
            RunError: another search holds it.
        """
        handle = (self.path / "lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise RunError(
                f"another search (process {holder}) is working in this run",
                where=str(self.path),
                remedy="Wait for it, stop it, or start a run of another --name.",
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        return handle

    def is_locked(self) -> bool:
        """Whether a search is working in this run now."""
        try:
            self.lock().close()
        except RunError:
            return True
        return False


def _is_plain(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is not None


def _path_of(name: str, root: Path | None) -> Path:
    if not _is_plain(name):
        raise RunError(f"{name!r} is no run name", remedy="Use letters, digits, dots, dashes and underscores.")
    return (root or runs_root()) / name


def fresh_name(stem: str, root: Path | None = None) -> str:
    """``stem``, or ``stem-2``, ``stem-3`` … where it is taken."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:90] or "run"
    candidates = (plain if count == 1 else f"{plain}-{count}" for count in range(1, 10_000))
    return next(name for name in candidates if not _path_of(name, root).exists())


def finished_trials(path: Path) -> frozenset[int]:
    """Numbers of the trials whose end a log tells."""
    return frozenset(event.record.number for event in read_events(path) if isinstance(event, TrialFinished))


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
