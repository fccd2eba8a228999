"""Starts a search that outlives the UI: a process in a session of its own, that writes into its run folder."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from autocompress.runs import RunFolder
from autocompress.tui.child import PROGRAM, error_in

STARTING = ".starting"
"""The folder, beside the runs, for spec and log of a search until it has a run folder."""
LOG_NAME = "search.log"
LONGEST_TAIL = 16_384


class Launch:
    """A search that was started.

    Args:
        name: of the run.
        spec: its YAML.
        root: the folder of the runs.
        program: what `search` is a command of.

    Raises:
        OSError: the runs folder cannot be written.
    """

    def __init__(self, name: str, spec: str, root: Path, program: Sequence[str] = PROGRAM) -> None:
        self.run = RunFolder(root.absolute() / name)
        folder = root.absolute() / STARTING
        folder.mkdir(parents=True, exist_ok=True)
        self._spec = folder / f"{name}.yaml"
        self._log = folder / f"{name}.log"
        self._spec.write_text(spec, encoding="utf-8")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*program, "search", str(self._spec), "--name", name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "AUTOCOMPRESS_RUNS": str(root.absolute())},
            )

    @property
    def has_begun(self) -> bool:
        """Whether there is a run to open."""
        return self.run.events.is_file() and self.run.events.stat().st_size > 0

    @property
    def failure(self) -> str | None:
        """Why it ended before there was a run to open; None while it may still begin."""
        if self._process.poll() is None or self.has_begun:
            return None
        return error_in(self._said())

    @property
    def last_line(self) -> str:
        """What it said last."""
        lines = [line.strip() for line in self._said().splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def hand_over(self) -> None:
        """Move the log into the run folder; the search goes on writing to it."""
        with suppress(OSError):
            self._log.rename(self.run.path / LOG_NAME)
        self._clear()

    def call_off(self) -> None:
        """End the search before it has begun."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._clear()

    def give_up(self) -> None:
        """Forget a search that failed."""
        self._clear()

    def _clear(self) -> None:
        self._spec.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)
        with suppress(OSError):  # another search may be starting
            self._spec.parent.rmdir()

    def _said(self) -> str:
        try:
            with self._log.open("rb") as stream:
                stream.seek(max(0, self._log.stat().st_size - LONGEST_TAIL))
                return stream.read().decode(errors="replace")
        except OSError:
            return ""
