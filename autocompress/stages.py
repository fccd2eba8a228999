"""Times the stages of a job, and tells the parent of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from autocompress.jobs import Progress, QuietOver, QuietWanted, Request, StageBegan, StageEnded, StageMoved
from autocompress.recipe import Recipe
from autocompress.records import StageTime

SECONDS_BETWEEN_MOVES = 0.2


@dataclass
class Stage:
    """A stage while it runs; set ``cached`` when its result was not computed."""

    name: str
    cached: bool = False


class Stages:
    """The stages of one job, in order.

    Args:
        send: tells the parent.
        wait_for_quiet: returns once nothing else computes on this machine, after the parent was asked for that.
    """

    def __init__(
        self, send: Callable[[Progress | Request], None], wait_for_quiet: Callable[[], None] = lambda: None
    ) -> None:
        self._send = send
        self._wait_for_quiet = wait_for_quiet
        self.held_seconds = 0.0
        """For how long this process was stopped, so that others could time something."""
        self._finished: list[StageTime] = []
        self._current = ""
        self._last_move = 0.0

    @property
    def finished(self) -> tuple[StageTime, ...]:
        """The stages that ended well so far."""
        return tuple(self._finished)

    @property
    def current(self) -> str:
        """The stage that runs, or ran last."""
        return self._current

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time what happens inside as the stage ``name``."""
        self._current = name
        self._send(StageBegan(stage=name))
        stage = Stage(name)
        started = time.perf_counter() - self.held_seconds
        yield stage
        seconds = time.perf_counter() - self.held_seconds - started
        ended = StageTime(stage=name, seconds=max(0.0, seconds), cached=stage.cached)
        self._finished.append(ended)
        self._send(StageEnded(time=ended))

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Have the machine alone inside: of a search's children, only this one computes."""
        waited = time.perf_counter()
        self._send(QuietWanted())
        self._wait_for_quiet()
        self.held_seconds += time.perf_counter() - waited
        try:
            yield
        finally:
            self._send(QuietOver())

    def progress(self, done: int, total: int) -> None:
        """Tell how far the running stage is; at most five times a second."""
        now = time.monotonic()
        if done >= total or now - self._last_move >= SECONDS_BETWEEN_MOVES:
            self._last_move = now
            self._send(StageMoved(stage=self._current, done=done, total=total))


def expected_stages(recipe: Recipe) -> tuple[str, ...]:
    """The stages of a trial in order, where no cache holds anything: what a display can show before they begin."""
    return ("load model", *(step.tag for step in recipe.steps), "export", "latency", "quality")
