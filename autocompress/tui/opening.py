"""What the terminal UI is opened with, and how it becomes a process of its own."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from autocompress.tui.attachment import Attachment


@dataclass(frozen=True)
class Opening:
    """What to open, and how to draw it.

    Attributes:
        root: the folder of the runs.
        run: name or folder of the run to open, or its name in the storage; None for the list of runs.
        storage: the URL of a shared storage that the run is recorded in.
        is_recording: play back the recorded run instead.
        speed: of the playback, in multiples of the recorded time; None for one that takes half a minute.
    """

    root: str
    run: str | None = None
    storage: str | None = None
    is_recording: bool = False
    speed: float | None = None
    ascii_only: bool = False
    theme: str = "dark"

    def attach(self) -> Attachment | None:
        """The run, opened; None for the list of runs.

        Raises:
            RunError: there is no such run.
        """
        if self.is_recording:
            from autocompress.tui.replay import ReplayAttachment

            return ReplayAttachment(self.speed)
        if self.run is None:
            return None
        if self.storage is not None:
            from autocompress.tui.attachment import StorageAttachment

            return StorageAttachment(self.storage, self.run)
        from autocompress.runs import RunFolder

        folder = RunFolder.open(self.run, Path(self.root))
        return Attachment(folder.name, folder.events, folder.path)

    def become(self) -> NoReturn:
        """Turn this process into the UI.

        What the command line needed to read its options (Typer takes a sixth of the memory that the UI may use) stays
        behind with the program that it was.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        command = [sys.executable, "-m", "autocompress.tui", json.dumps(asdict(self))]
        os.execv(command[0], command)  # noqa: S606 - there is no shell, and nothing to quote for one
