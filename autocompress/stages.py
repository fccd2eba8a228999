"""Times the stages of a job, and tells the parent of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from autocompress.jobs import Progress, StageBegan, StageEnded, StageMoved
from autocompress.recipe import Recipe
from autocompress.records import StageTime

SECONDS_BETWEEN_MOVES = 0.2


@dataclass
class Stage:
    """A stage while it runs; set ``cached`` when its result was not computed."""

    name: str
    cached: bool = False


class Stages:
    """The stages of one job, in order."""

    def __init__(self, send: Callable[[Progress], None]) -> None:
        self._send = send
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
        started = time.perf_counter()
        yield stage
        ended = StageTime(stage=name, seconds=time.perf_counter() - started, cached=stage.cached)
        self._finished.append(ended)
        self._send(StageEnded(time=ended))

    def progress(self, done: int, total: int) -> None:
        """Tell how far the running stage is; at most five times a second."""
        now = time.monotonic()
        if done >= total or now - self._last_move >= SECONDS_BETWEEN_MOVES:
            self._last_move = now
            self._send(StageMoved(stage=self._current, done=done, total=total))


def expected_stages(recipe: Recipe) -> tuple[str, ...]:
    """The stages of a trial in order, where no cache holds anything: what a display can show before they begin."""
    return ("load model", *(step.tag for step in recipe.steps), "export", "latency", "quality", "memory")
