"""Every run under a folder, each as one row: what its log and lock tell, read anew only where they changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autocompress.limits import Bound
from autocompress.tui.model.log_tail import LogReplaced, LogTail
from autocompress.tui.model.run_state import PAUSED, STARTING, STOPPING, Metric, RunState
from autocompress.tui.model.trial import Trial

RunStanding = Literal["starting", "searching", "paused", "stopping", "done", "interrupted", "not begun"]
SECONDS_BETWEEN_BATCHES = 0.002
"""Reading makes way for the screen so often."""


@dataclass(frozen=True)
class RunRow:
    """One run, as the list shows it.

    Attributes:
        changed: when its log last told something, in seconds since the epoch.
        reason: why it ended, or what it waits for; empty otherwise.
        best: the best trial so far, without where its record lies.
    """

    name: str
    folder: Path
    standing: RunStanding
    changed: float
    model: str = ""
    n_trials: int = 0
    total: int = 0
    n_failed: int = 0
    n_front: int = 0
    reason: str = ""
    certified: bool | None = None
    metric: Metric | None = None
    constraints: dict[str, Bound] | None = None
    best: Trial | None = None
    original: Trial | None = None

    @property
    def is_live(self) -> bool:
        """Whether a search works in it."""
        return self.standing in ("starting", "searching", "paused", "stopping")


def run_folders(root: Path) -> list[Path]:
    """The runs, newest first: by their logs, or by their specifications where there is none yet."""
    try:
        specs = [spec for spec in root.glob("*/spec.yaml") if not spec.parent.name.startswith(".")]
    except OSError:
        return []
    dated = [(_changed(spec.parent), spec.parent.name, spec.parent) for spec in specs]
    return [folder for _, _, folder in sorted(dated, reverse=True)]


def _changed(folder: Path) -> float:
    for name in ("events.jsonl", "spec.yaml"):
        try:
            return (folder / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


@dataclass
class _Followed:
    """How far a log was read, and what it told; kept for runs that go on."""

    tail: LogTail
    state: RunState


class RunList:
    """Reads rows, and remembers them until a log or a lock changes.

    Args:
        is_locked: whether a search holds a run folder's lock.
    """

    def __init__(self, is_locked: Callable[[Path], bool]) -> None:
        self._is_locked = is_locked
        self._rows: dict[Path, tuple[tuple[int, int, bool], RunRow]] = {}
        self._followed: dict[Path, _Followed] = {}

    def known(self, folder: Path) -> RunRow | None:
        """The row as it was read last; None when it never was."""
        entry = self._rows.get(folder)
        return entry[1] if entry else None

    def is_fresh(self, folder: Path) -> bool:
        """Whether nothing changed since the row was read."""
        entry = self._rows.get(folder)
        return entry is not None and entry[0] == self._stamp(folder)

    def _stamp(self, folder: Path) -> tuple[int, int, bool]:
        try:
            status = (folder / "events.jsonl").stat()
        except OSError:
            return 0, 0, self._locked(folder)
        return status.st_mtime_ns, status.st_size, self._locked(folder)

    def _locked(self, folder: Path) -> bool:
        try:
            return self._is_locked(folder)
        except OSError:  # the lock of somebody else's run may not be ours to open
            return False

    def read(self, folder: Path, gives_up: Callable[[], bool] = lambda: False) -> RunRow | None:
        """The row, read now; None where that was given up. May take a second for a log of 20,000 trials."""
        stamp = self._stamp(folder)
        followed = self._followed.pop(folder, None) or _Followed(LogTail(folder / "events.jsonl"), RunState())
        try:
            while lines := followed.tail.poll():
                followed.state.take(lines)
                if gives_up():
                    return None
                time.sleep(SECONDS_BETWEEN_BATCHES)
        except LogReplaced:
            return self.read(folder, gives_up)
        except OSError as problem:
            row = RunRow(
                folder.name, folder, "not begun", _changed(folder), reason=f"cannot be read: {problem.strerror}"
            )
            self._rows[folder] = stamp, row
            return row
        row = row_of(folder, followed.state, is_locked=stamp[2])
        if row.is_live:
            self._followed[folder] = followed
        self._rows[folder] = stamp, row
        return row

    def forget(self, kept: Iterable[Path]) -> None:
        """Let go of all but these."""
        folders = set(kept)
        for known in [folder for folder in self._rows if folder not in folders]:
            del self._rows[known]
            self._followed.pop(known, None)


def row_of(folder: Path, state: RunState, *, is_locked: bool) -> RunRow:
    """The row of a run whose log was read."""
    reason = state.ending.reason if state.ending else state.why
    return RunRow(
        name=folder.name,
        folder=folder,
        standing=standing_of(state, is_locked=is_locked),
        changed=state.last_event or _changed(folder),
        model=state.model,
        n_trials=state.n_tried,
        total=state.total,
        n_failed=sum(n for status, n in state.counts.items() if status not in ("complete", "unsupported", "cancelled")),
        n_front=len(state.front),
        reason=reason,
        certified=state.ending.certified if state.ending else None,
        metric=state.metric,
        constraints=dict(state.constraints),
        best=state.best_trial,
        original=state.original,
    )


def standing_of(state: RunState, *, is_locked: bool) -> RunStanding:
    """What goes on in a run: the lock tells whether anything does, the log tells what."""
    if state.ending is not None:
        return "done"
    if not is_locked:
        return "interrupted" if state.started is not None else "not begun"
    return {STARTING: "starting", PAUSED: "paused", STOPPING: "stopping"}.get(state.activity, "searching")  # type: ignore[return-value]
