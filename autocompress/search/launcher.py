"""Starts a child for each job and turns whatever becomes of it into an answer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from autocompress.jobs import (
    Answer,
    Failed,
    Held,
    Job,
    Message,
    Progress,
    QuietGranted,
    QuietOver,
    QuietWanted,
    StageBegan,
    StageEnded,
    StageMoved,
    Word,
    message_adapter,
)
from autocompress.memory_signs import tells_lack_of_memory
from autocompress.records import StageTime, TrialError
from autocompress.search.quiet import Quiet
from autocompress.spec import Device
from autocompress.worker import work

LOG_TAIL_LINES = 12
SECONDS_BETWEEN_HEARTBEATS = 2.0
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_REQUESTS = 0.05
"""While a child waits for quiet."""


class Launcher:
    """Forks children from one warmed process, each in a session of its own.

    The device is chosen in the environment before the warmed process imports torch, so one launcher serves one device.
    Several threads may run jobs at a time: then each child is stopped while another one times something.
    """

    def __init__(self, device: Device) -> None:
        if device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        else:
            os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order in which NVML counts
            # Whether there is a device torch then asks of NVML: asked of CUDA, no child could use the device.
            os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        # Python would look for modules in the folder it is started in first: whatever lies there is not for children.
        os.environ["PYTHONSAFEPATH"] = "1"
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["autocompress.preload"])
        self.quiet = Quiet()

    def warm(self) -> None:
        """Begin the imports in the background. Ctrl-C does not reach them, not even while Python starts."""
        resource_tracker.ensure_running()  # the forkserver starts it, too, and then lets signals through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(
        self,
        job: Job,
        *,
        log: Path,
        timeout_seconds: float,
        memory_bytes: int | None,
        on_progress: Callable[[Progress], None],
        on_heartbeat: Callable[[int | None], None] = lambda _: None,
        why_cancelled: Callable[[], str | None] = lambda: None,
    ) -> Answer:
        """Do a job in a child. A child that crashes, hangs or is killed gives a `Failed`, never an exception.

        ``on_heartbeat`` is called every other second, with the child's resident memory where that can be seen;
        ``why_cancelled`` twice a second: what it says, if anything, ends the child.

        Raises:
            KeyboardInterrupt: passed on, once the child and its children are gone.
        """
        self.warm()
        ours, theirs = self._context.Pipe()
        arguments = (theirs, job.model_dump_json().encode(), str(log), memory_bytes)
        child = self._context.Process(target=work, args=arguments, daemon=True)
        with self.quiet.busy():
            child.start()
            watch = _Watch(child, ours, log, on_progress, self.quiet)
        theirs.close()
        try:
            return watch.until_answer(timeout_seconds, on_heartbeat, why_cancelled)
        finally:
            watch.leave()
            _end(child)
            ours.close()


class _Watch:
    """Follows one child until it answers or ends."""

    def __init__(
        self,
        child: ForkServerProcess,
        pipe: Connection,
        log: Path,
        on_progress: Callable[[Progress], None],
        quiet: Quiet,
    ) -> None:
        assert child.pid is not None
        self._child = child
        self._pid = child.pid
        self._pipe = pipe
        self._log = log
        self._on_progress = on_progress
        self._stage: str | None = None
        self._stages: list[StageTime] = []
        self._quiet = quiet
        self._wants_quiet_since: float | None = None
        self._waited_seconds = 0.0
        quiet.join(self._pid, lambda seconds: self._tell(Held(seconds=seconds)))

    def leave(self) -> None:
        """Stop following."""
        self._quiet.leave(self._pid)

    def until_answer(
        self,
        timeout_seconds: float,
        on_heartbeat: Callable[[int | None], None],
        why_cancelled: Callable[[], str | None],
    ) -> Answer:
        started = time.monotonic()
        next_heartbeat = 0.0
        while True:
            now = time.monotonic()
            deadline = started + timeout_seconds + self._waited_seconds + self._quiet.held_seconds(self._pid)
            if now >= next_heartbeat:
                on_heartbeat(_resident_bytes(self._child.pid))
                next_heartbeat = now + SECONDS_BETWEEN_HEARTBEATS
            cancelled = why_cancelled()
            if cancelled:
                return self._failed("cancelled", cancelled, None)
            if self._wants_quiet_since is not None:
                self._ask_for_quiet(self._wants_quiet_since)
                continue
            if now >= deadline:
                return self._failed(
                    "timed_out",
                    f"the stage {self._stage or 'start'} was still running after {timeout_seconds:g} s",
                    "Raise --trial-timeout if such a trial may take longer.",
                )
            # The pipe is at its end when the child is gone, so the pipe alone is enough to wait for.
            if not wait([self._pipe], timeout=max(0.0, min(SECONDS_BETWEEN_LOOKS, deadline - now))):
                continue
            try:
                message: Message = message_adapter.validate_json(self._pipe.recv_bytes())
            except (EOFError, OSError):
                return self._ended_without_answer()
            if isinstance(message, StageBegan | StageMoved | StageEnded):
                self._follow(message)
            elif isinstance(message, QuietWanted):
                self._wants_quiet_since = time.monotonic()
            elif isinstance(message, QuietOver):
                self._quiet.end(self._pid)
            elif isinstance(message, Failed):
                return message.model_copy(
                    update={"error": message.error.model_copy(update={"log_tail": log_tail(self._log)})}
                )
            else:
                return message

    def _ask_for_quiet(self, since: float) -> None:
        """For a moment; the child goes on once it has it."""
        if self._quiet.begin(self._pid, SECONDS_BETWEEN_REQUESTS):
            self._waited_seconds += time.monotonic() - since
            self._wants_quiet_since = None
            self._tell(QuietGranted())

    def _tell(self, word: Word) -> None:
        with suppress(OSError):  # it is gone: that will be seen when it is listened to
            self._pipe.send_bytes(word.model_dump_json().encode())

    def _follow(self, message: Progress) -> None:
        if isinstance(message, StageEnded):
            self._stages.append(message.time)
        else:
            self._stage = message.stage
        self._on_progress(message)

    def _ended_without_answer(self) -> Failed:
        self._child.join(timeout=10)
        code = self._child.exitcode
        tail = log_tail(self._log)
        if tells_lack_of_memory(tail):
            remedy = "Raise --trial-memory, or use a machine with more."
            return self._failed("out_of_memory", "the trial needed more memory than it may use", remedy)
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            remedy = (
                "The kernel ends processes so when memory runs out: watch the machine's memory, or set --trial-memory."
                if -code == signal.SIGKILL
                else "The end of its log is kept with the trial."
            )
            return self._failed("crashed", f"the trial's process was ended by {name}", remedy)
        remedy = "The end of its log is kept with the trial."
        return self._failed("crashed", f"the trial's process ended without an answer (exit code {code})", remedy)

    def _failed(self, status: str, message: str, remedy: str | None) -> Failed:
        error = TrialError(message=message, remedy=remedy, stage=self._stage, log_tail=log_tail(self._log))
        return Failed.model_validate({"status": status, "error": error, "stages": tuple(self._stages)})


def _resident_bytes(pid: int | None) -> int | None:
    """Memory that a process holds now."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _end(child: ForkServerProcess) -> None:
    """Make sure that the child and all that it started are gone."""
    if child.pid is not None:
        for kill in (os.killpg, os.kill):  # its group, once it has one of its own; itself in any case
            try:
                kill(child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
    child.join(timeout=10)
    child.close()


def log_tail(log: Path) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 8_192))
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    except OSError:
        return ""
