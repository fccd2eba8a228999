"""Runs jobs side by side, each followed by a thread; all that they tell arrives in one place, in order."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from autocompress.jobs import Answer, Job, Progress
from autocompress.search.launcher import SECONDS_BETWEEN_HEARTBEATS, SECONDS_BETWEEN_LOOKS, Launcher

SECONDS_TO_BEGIN = 1.0
"""A child that has not begun by then still waits for the imports of the process that it is forked from; it ends by
itself, once this process is gone."""
SECONDS_TO_END = 30.0


@dataclass(frozen=True)
class Told:
    """What a job told: how it goes on, or its answer."""

    number: int
    message: Progress | Answer


@dataclass
class _Member:
    thread: threading.Thread
    has_begun: threading.Event = field(default_factory=threading.Event)
    why_cancelled: str | None = None
    ram_bytes: int | None = None


class Crew:
    """The jobs of one search that run now, by the number of their trial.

    Args:
        launcher: starts their children.
        timeout_seconds: for each job.
        memory_bytes: limit of each child's private memory.
        on_heartbeat: called now and then, with the resident memory of all children together.
        on_look: called twice a second while jobs are waited for.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        timeout_seconds: float,
        memory_bytes: int | None,
        on_heartbeat: Callable[[int | None], None],
        on_look: Callable[[], None],
    ) -> None:
        self._launcher = launcher
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._on_heartbeat = on_heartbeat
        self._on_look = on_look
        self._members: dict[int, _Member] = {}
        self._told: queue.SimpleQueue[Told | BaseException] = queue.SimpleQueue()
        self._next_heartbeat = 0.0

    def __len__(self) -> int:
        return len(self._members)

    def begin(self, number: int, job: Job, log: Path) -> None:
        """Start a job."""
        member = _Member(threading.Thread(target=self._follow, args=(number, job, log), daemon=True))
        self._members[number] = member
        member.thread.start()

    def next(self) -> Told:
        """What is told next, by any of the jobs that run; waits for it."""
        while True:
            self._on_look()
            now = time.monotonic()
            if now >= self._next_heartbeat:
                self._next_heartbeat = now + SECONDS_BETWEEN_HEARTBEATS
                seen = [member.ram_bytes for member in self._members.values() if member.ram_bytes is not None]
                self._on_heartbeat(sum(seen) if seen else None)
            try:
                told = self._told.get(timeout=SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                continue
            if isinstance(told, BaseException):
                raise told
            if isinstance(told.message, Answer):
                self._members.pop(told.number).thread.join()
            return told

    def cancel(self, number: int, why: str) -> None:
        """End a job; its answer says why."""
        self._members[number].why_cancelled = why

    def end_all(self) -> None:
        """End every job and forget it; what they still tell is not heard."""
        for member in self._members.values():
            member.why_cancelled = "the search ends"
        until_begun, deadline = time.monotonic() + SECONDS_TO_BEGIN, time.monotonic() + SECONDS_TO_END
        for member in self._members.values():
            if member.has_begun.wait(max(0.0, until_begun - time.monotonic())):
                member.thread.join(max(0.0, deadline - time.monotonic()))
        self._members.clear()

    def _follow(self, number: int, job: Job, log: Path) -> None:
        """The thread of one job."""
        member = self._members[number]

        def on_heartbeat(ram_bytes: int | None) -> None:
            member.has_begun.set()  # the first one comes as soon as there is a child
            member.ram_bytes = ram_bytes

        try:
            answer = self._launcher.run(
                job,
                log=log,
                timeout_seconds=self._timeout_seconds,
                memory_bytes=self._memory_bytes,
                on_progress=lambda progress: self._told.put(Told(number, progress)),
                on_heartbeat=on_heartbeat,
                why_cancelled=lambda: member.why_cancelled,
            )
        except BaseException as problem:  # noqa: BLE001 - raised again where the job is waited for
            self._told.put(problem)
        else:
            self._told.put(Told(number, answer))
