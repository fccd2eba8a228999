"""Lets one child at a time have the machine to itself: what it times is never timed beside other work of the search."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Tell = Callable[[float], None]
"""Called with the seconds for which a child was stopped, just before it goes on."""


class Quiet:
    """The children of one search; each leads a process group of its own, which is stopped while another has quiet."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        """Held by who has quiet, and by who must not be disturbed by that."""
        self._children: dict[int, Tell] = {}
        self._held_seconds: dict[int, float] = {}
        self._owner: int | None = None
        self._since = 0.0

    def join(self, pid: int, tell: Tell) -> None:
        """From now on a child is stopped when another one wants quiet; to be called inside `busy`."""
        self._children[pid] = tell
        self._held_seconds[pid] = 0.0

    def leave(self, pid: int) -> None:
        """The child is gone; if it had quiet, that is over."""
        self.end(pid)
        self._children.pop(pid, None)
        self._held_seconds.pop(pid, None)

    def begin(self, pid: int, patience_seconds: float) -> bool:
        """Stop all other children, unless another one has quiet for longer than that; whether it worked."""
        if not self._turn.acquire(timeout=patience_seconds):
            return False
        self._owner, self._since = pid, time.monotonic()
        for other in list(self._children):
            if other != pid:
                _signal(other, signal.SIGSTOP)
        return True

    def end(self, pid: int) -> None:
        """Let the others go on, if this child had quiet."""
        if self._owner != pid:
            return
        seconds = time.monotonic() - self._since
        for other, tell in list(self._children.items()):
            if other != pid:
                self._held_seconds[other] = self._held_seconds.get(other, 0.0) + seconds
                tell(seconds)
                _signal(other, signal.SIGCONT)
        self._owner = None
        self._turn.release()

    def held_seconds(self, pid: int) -> float:
        """For how long a child was stopped so far."""
        return self._held_seconds.get(pid, 0.0)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Nobody has quiet inside: for what this process itself computes."""
        with self._turn:
            yield


def _signal(pid: int, what: signal.Signals) -> None:
    """To the child's group, or to itself as long as it has none of its own."""
    for send in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            send(pid, what)
            return
