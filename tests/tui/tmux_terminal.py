"""A terminal of the test's own: a shell in tmux, with keys sent to it and its screen read back."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

PATIENCE_SECONDS = 60
SECONDS_BETWEEN_LOOKS = 0.05


class TmuxTerminal:
    """A shell in a tmux server of its own.

    Args:
        folder: where the shell starts.
        environment: of the shell and all that it runs.
        size: columns and rows.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], size: tuple[int, int] = (120, 40)) -> None:
        self._socket = f"autocompress-{uuid.uuid4().hex[:12]}"
        plain = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self._environment = plain | {"TERM": "xterm-256color", "PS1": "$ ", "LC_ALL": "C.UTF-8"}
        columns, rows = map(str, size)
        self._tmux(
            *("-f", os.devnull, "new-session", "-d", "-x", columns, "-y", rows, "-c", str(folder)),
            "bash --norc --noprofile",
        )
        self._shell = psutil.Process(int(self.asked("#{pane_pid}")))

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-u", "-L", self._socket, *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def asked(self, what: str) -> str:
        """What tmux knows of the pane, such as ``#{alternate_on}``."""
        return self._tmux("display-message", "-p", what).strip()

    def press(self, *keys: str) -> None:
        """Send keys by their tmux names."""
        self._tmux("send-keys", *keys)

    def write(self, text: str) -> None:
        """Send text as it is."""
        self._tmux("send-keys", "-l", text)

    def run(self, *command: object) -> None:
        """Type a command line."""
        self.write(shlex.join(map(str, command)))
        self.press("Enter")

    @property
    def screen(self) -> str:
        """What can be read."""
        return self._tmux("capture-pane", "-p")

    def see(self, *patterns: str) -> str:
        """Wait until all of these can be read; gives the screen."""
        self.wait(lambda: all(re.search(pattern, self.screen) for pattern in patterns), f"{patterns} did not appear")
        return self.screen

    def miss(self, *patterns: str) -> str:
        """Wait until none of these can be read any more; gives the screen."""
        self.wait(lambda: not any(re.search(pattern, self.screen) for pattern in patterns), f"{patterns} stayed")
        return self.screen

    def wait(self, condition: Callable[[], bool], complaint: str) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{complaint}:\n{self.screen}"
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def shell_again(self) -> None:
        """Wait until the shell takes commands again."""
        self.wait(lambda: not self._shell.children(), "the program did not end")

    def program(self) -> psutil.Process:
        """The program in the foreground."""
        self.wait(lambda: bool(self._shell.children()), "no program runs")
        (program,) = self._shell.children()
        return program

    @property
    def settings(self) -> str:
        """Of the line discipline, once whoever reads takes single keys, as a shell at its prompt and the UI do."""
        self.wait(lambda: " -icanon" in self._settings(), "nobody reads single keys")
        return self._settings()

    def _settings(self) -> str:
        device = os.open(self.asked("#{pane_tty}"), os.O_RDONLY | os.O_NOCTTY)
        try:
            return subprocess.run(["stty", "-a"], stdin=device, capture_output=True, text=True, check=True).stdout
        finally:
            os.close(device)

    @property
    def is_restored(self) -> bool:
        """Whether the screen is the shell's own again, the cursor is seen, and the mouse is the terminal's."""
        return self.asked("#{alternate_on} #{cursor_flag} #{mouse_any_flag}") == "0 1 0"

    def close(self) -> None:
        """End the server and all that runs in it."""
        subprocess.run(
            ["tmux", "-L", self._socket, "kill-server"], env=self._environment, capture_output=True, check=False
        )
