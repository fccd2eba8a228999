"""The command line as a user has it: processes of their own, in a folder of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from autocompress.search.session import view_run

TASK_FILE = Path(__file__).with_name("small_problem.py")
PATIENCE_SECONDS = 240
TOKEN = "AUTOCOMPRESS_TEST_TOKEN"


class Ended:
    """What a command printed, and how it ended."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    @property
    def json(self) -> Any:
        """Its stdout as one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one sentence that tells what went wrong."""
        told = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(told) == 1, self.err
        return told[0].removeprefix("error: ")


class CommandLine:
    """Runs commands with runs, cache and working directory in ``folder``, and knows every process they started."""

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.trouble = folder / "trouble"
        self.trouble.mkdir()
        self.token = uuid.uuid4().hex
        self.environment = {
            **os.environ,
            "AUTOCOMPRESS_RUNS": str(self.runs),
            "AUTOCOMPRESS_CACHE": str(cache or folder / "cache"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "160",
            "AUTOCOMPRESS_POWERCAP": str(folder / "no-powercap"),  # energy takes time, and not every machine tells it
            "TROUBLE": str(self.trouble),
            TOKEN: self.token,
        }

    def __call__(self, *arguments: object, code: int = 0, **environment: str) -> Ended:
        """Run a command to its end; no user ever sees a traceback."""
        ended = Ended(
            subprocess.run(
                _command(arguments),
                cwd=self.folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
            )
        )
        assert "Traceback" not in ended.err + ended.out, ended.err
        assert ended.code == code, f"exit code {ended.code}\n{ended.err}\n{ended.out}"
        return ended

    def refuses(self, *arguments: object, code: int = 2, **environment: str) -> str:
        """Run a command that must end with one sentence on stderr and nothing on stdout; gives the sentence."""
        ended = self(*arguments, code=code, **environment)
        assert ended.out == ""
        return ended.error

    def search(self, *arguments: object, code: int = 0) -> Ended:
        """Search over the small problem."""
        return self("search", "--task-file", TASK_FILE, *arguments, code=code)

    @contextmanager
    def started(self, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        """A command that runs beside the test; killed at the end of the block."""
        process = subprocess.Popen(
            _command(arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def held_search(self, *arguments: object, after: int = 1) -> Iterator[tuple[subprocess.Popen[str], int]]:
        """A search whose next trial waits, once trial ``after`` has ended; with the process id of that trial."""
        with self.started("search", "--task-file", TASK_FILE, "--name", "held", *arguments) as process:
            self.wait_until(lambda: after in self.trials_in("held"), process)
            yield process, self.hold(process)

    def hold(self, process: subprocess.Popen[str]) -> int:
        """Make the next trial that scores wait, and give its process id."""
        (self.trouble / "hold").touch()
        held = self.trouble / "held"
        self.wait_until(lambda: held.exists() and held.read_text() != "", process)
        return int(held.read_text())

    def release(self) -> None:
        """Let the trial that waits go on."""
        (self.trouble / "held").unlink()

    def trials_in(self, run: str) -> list[int]:
        """Numbers of the trials that ended, as the event log tells."""
        log = self.runs / run / "events.jsonl"
        events = self.events(run) if log.exists() else []
        return [event["record"]["number"] for event in events if event["kind"] == "trial_finished"]

    def events(self, run: str) -> list[dict[str, Any]]:
        """The event log as it stands; what is only half written is no event yet."""
        whole, _, _ = (self.runs / run / "events.jsonl").read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def record(self, run: str, number: int) -> dict[str, Any]:
        """All that is kept of a trial."""
        return view_run(str(self.runs / run)).study.record(number).model_dump(mode="json")

    def wait_until(self, condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Wait while the process runs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    def interrupt(self, process: subprocess.Popen[str], by: signal.Signals) -> Ended:
        """Send a signal to the search alone, and wait for its end."""
        process.send_signal(by)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return Ended(subprocess.CompletedProcess(process.args, process.returncode, out, err))

    def assert_nothing_runs(self) -> None:
        """Every process that the commands started is gone."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := self.processes():
            assert time.monotonic() < deadline, f"still running: {left}"
            time.sleep(0.05)

    def processes(self) -> list[psutil.Process]:
        """The running processes that the commands started, and those that these started."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(TOKEN) == self.token and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def _command(arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "autocompress", *map(str, arguments)]
