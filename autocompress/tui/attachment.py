"""What screens are attached to: a run's folder, a search in a shared storage, a recording; and how to ask it things."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from autocompress.control import Request, append
from autocompress.tui.model.log_tail import LogReplaced, LogTail
from autocompress.tui.model.run_state import Line, RunState
from autocompress.tui.model.trial import Trial

SECONDS_TO_FOLLOW, SECONDS_TO_CATCH_UP = 0.05, 0.12
"""What a `poll` may take, a fifth of a second apart, so that keys are still answered in between."""
SILENT_SECONDS = 6.0
"""A search gives a sign of life every two seconds; after this long without one, we look whether it is still there."""


class Attachment:
    """A run that is being watched.

    Args:
        title: what the header calls it.
        log: the file that its events are read from.
        folder: its run folder; None where there is none on this machine (it can then be watched, but not steered).
    """

    is_recording = False
    """Whether this is an earlier run played back."""

    def __init__(self, title: str, log: Path, folder: Path | None = None) -> None:
        self.title = title
        self.folder = folder
        self.state = RunState()
        self.is_behind = False
        """Whether the last `poll` left something for the next one."""
        self._tail = LogTail(log)

    def poll(self, seconds: float | None = None) -> bool:
        """Take in what is new; tells whether anything was.

        Args:
            seconds: of CPU time that it may take at most; None for what a screen can do without.
        """
        if seconds is None:
            seconds = SECONDS_TO_CATCH_UP if self.is_behind else SECONDS_TO_FOLLOW
        until = time.thread_time() + seconds
        before, state = self.state.revision, self.state
        self.is_behind = False
        while lines := self._new_lines():
            self.state.take(lines)
            if time.thread_time() > until:
                self.is_behind = True
                break
        return self.state is not state or self.state.revision != before

    def _new_lines(self) -> list[Line]:
        try:
            return self._tail.poll()
        except LogReplaced:
            self.state = RunState()
            return self._tail.poll()

    def record(self, trial: Trial) -> dict[str, Any]:
        """The whole record of a trial, read again from the log."""
        if trial.place is None:
            return {}
        event: dict[str, Any] = json.loads(self._tail.read(trial.place))
        record: dict[str, Any] = event["record"]
        return record

    def now(self) -> float:
        """What time it is for the run, in seconds since the epoch: elapsed times are counted up to here."""
        return time.time()

    @property
    def is_alive(self) -> bool:
        """Whether a search works in it now."""
        last = self.state.last_event
        if last is not None and self.now() - last < SILENT_SECONDS:
            return self.state.ending is None
        return self.folder is not None and is_locked(self.folder)

    @property
    def can_be_steered(self) -> bool:
        """Whether requests reach a search."""
        return self.folder is not None and self.is_alive

    @property
    def can_be_noted(self) -> bool:
        """Whether notes can be kept with its trials, by the search or after it."""
        return self.folder is not None

    def ask(self, action: str, **details: Any) -> str:
        """Ask the search for something; gives the request's id, which its answer bears."""
        assert self.folder is not None
        request = Request(action, details)
        append(self.folder, request)
        return request.id

    def toggle_playback(self) -> bool:
        """Pause a recording, or let it go on; False where this is none."""
        return False

    def close(self) -> None:
        """Let go of what was opened for it."""


class StorageAttachment(Attachment):
    """A search recorded in a shared database, read by a small process of its own.

    Args:
        url: of Optuna's storage.
        name: of the search in it.
    """

    def __init__(self, url: str, name: str) -> None:
        self._spool = tempfile.NamedTemporaryFile(prefix="autocompress-follow-", suffix=".jsonl")  # noqa: SIM115
        command = [sys.executable, "-m", "autocompress.search.follow", url, name]
        self._reader = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self._spool, stderr=subprocess.PIPE, start_new_session=True
        )
        super().__init__(name, Path(self._spool.name))

    @property
    def problem(self) -> str | None:
        """Why the storage cannot be read; None while it can."""
        if self._reader.poll() in (None, 0):
            return None
        assert self._reader.stderr is not None
        lines = self._reader.stderr.read().decode(errors="replace").strip().splitlines()
        if not lines:
            return f"the reader of the storage ended with code {self._reader.returncode}"
        return lines[-1].removeprefix("error: ")

    def close(self) -> None:
        """End the reader."""
        assert self._reader.stdin is not None
        self._reader.stdin.close()
        self._reader.terminate()
        self._reader.wait(timeout=5)
        self._spool.close()


def is_locked(folder: Path) -> bool:
    """Whether a search holds the run's lock."""
    try:
        with (folder / "lock").open("r") as handle, _shared(handle):
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


@contextmanager
def _shared(handle: IO[str]) -> Iterator[None]:
    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
