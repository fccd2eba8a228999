"""Goes on with an interrupted search in a process that outlives the UI."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from autocompress.tui.child import PROGRAM, error_in
from autocompress.tui.launch import LOG_NAME, LONGEST_TAIL


class Resumption:
    """``autocompress resume`` on its way, in a session of its own; its words are added to the run's log of the search.

    Args:
        folder: of the run.
        trials: how many recipes are to be tried in all; the run's own number when None.
        program: what ``resume`` is a command of; this very program when None.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, trials: int | None = None, program: Sequence[str] | None = None) -> None:
        self._log = folder / LOG_NAME
        more = ["--trials", str(trials)] if trials is not None else []
        with self._log.open("ab") as log:
            self._began = log.tell()
            self._process = subprocess.Popen(
                [*(program or PROGRAM), "resume", str(folder.absolute()), *more],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "AUTOCOMPRESS_RUNS": str(folder.absolute().parent), "NO_COLOR": "1"},
            )

    @property
    def is_over(self) -> bool:
        """Whether the process ended."""
        return self._process.poll() is not None

    @property
    def failure(self) -> str | None:
        """The error that it ended with; None while it runs, and when it ended well (1: nothing was feasible)."""
        if self._process.poll() in (None, 0, 1):
            return None
        with self._log.open("rb") as stream:
            stream.seek(max(self._began, self._log.stat().st_size - LONGEST_TAIL))
            return error_in(stream.read().decode(errors="replace"))
