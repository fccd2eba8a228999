"""A recorded run, played back as if it happened now, at any speed."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autocompress.demo.recording import recorded_lines
from autocompress.tui.attachment import Attachment

SECONDS_OF_A_PLAYBACK = 30.0
"""What playing the whole run takes unless a speed is given."""
SHORTEST_SECONDS = 0.001


class ReplayAttachment(Attachment):
    """A recording whose events are revealed by and by; it ends as the run did, and nothing can be asked of it.

    The run's own clock goes ``speed`` times as fast as ours, see `now`: elapsed times and forecasts are those that were
    seen when it was recorded.

    Attributes:
        seconds: what the run took when it was recorded.

    Args:
        speed: in multiples of the recorded time; None for a playback of half a minute.
        lines: the recording; None for the demo's.
        clock: seconds that pass for whoever watches.
    """

    is_recording = True

    def __init__(
        self,
        speed: float | None = None,
        lines: Sequence[bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events: list[dict[str, Any]] = [json.loads(line) for line in lines or recorded_lines()]
        first, last = (float(self._events[at]["time"]) for at in (0, -1))
        self.seconds = max(last - first, SHORTEST_SECONDS)
        self.speed = speed or self.seconds / SECONDS_OF_A_PLAYBACK
        self._later = time.time() - first
        self._began = first + self._later
        self._clock = clock
        self._told = 0
        self._position = 0.0
        self._since: float | None = clock()
        self._spool = tempfile.NamedTemporaryFile(prefix="autocompress-replay-", suffix=".jsonl")  # noqa: SIM115
        super().__init__("demo", Path(self._spool.name))

    @property
    def is_paused(self) -> bool:
        """Whether the playback stands still."""
        return self._since is None

    @property
    def is_over(self) -> bool:
        """Whether all was revealed."""
        return self._told == len(self._events)

    @property
    def is_alive(self) -> bool:
        """Whether more is to come."""
        return not self.is_over

    def now(self) -> float:
        """What the run's clock shows."""
        return self._began + self._reached

    @property
    def _reached(self) -> float:
        passed = 0.0 if self._since is None else (self._clock() - self._since) * self.speed
        return min(self._position + passed, self.seconds)

    def poll(self, seconds: float | None = None) -> bool:
        """Reveal what is due, and take it in."""
        now = self.now()
        due = self._told
        while due < len(self._events) and float(self._events[due]["time"]) + self._later <= now + 1e-6:
            due += 1
        self._reveal(self._events[self._told : due])
        self._told = due
        return super().poll(seconds)

    def toggle_playback(self) -> bool:
        """Stop the playback, or let it go on, until all was revealed."""
        if self.is_over:
            return True
        if self._since is None:
            self._since = self._clock()
            self._reveal([self._said("running", "the playback goes on")])
        else:
            self._position, self._since = self._reached, None
            self._reveal([self._said("paused", "the playback stands still")])
        return True

    def _said(self, state: str, why: str) -> dict[str, Any]:
        return {"seq": -1, "time": self.now() - self._later, "kind": "state_changed", "state": state, "why": why}

    def _reveal(self, events: Sequence[dict[str, Any]]) -> None:
        for event in events:
            shifted = event | {"time": round(float(event["time"]) + self._later, 3)}
            self._spool.write(json.dumps(shifted, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self._spool.flush()

    def close(self) -> None:
        """Remove the copy that was revealed."""
        self._spool.close()
