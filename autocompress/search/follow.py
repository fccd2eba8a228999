"""Follow searches in a shared storage: ``python -m autocompress.search.follow URL [NAME]``, a process of its own.

With a name it prints the events of that search, as `autocompress.events` tells them, as they come to be in the storage;
stages and requests are not stored, so there are none. It ends when its stdin does. Without a name it prints a line of
JSON for each search that the storage holds, and ends.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Sequence
from typing import Any

from autocompress import registry
from autocompress.errors import AutocompressError, UsageError
from autocompress.events import (
    ConstraintsChanged,
    Event,
    Heartbeat,
    ModelRead,
    RunFinished,
    RunStarted,
    TrialFinished,
    TrialNoted,
    TrialsChanged,
    TrialStarted,
)
from autocompress.objectives import original_among, ranking, size_ratio, speedup
from autocompress.outcome import Outcome
from autocompress.records import Status, TrialRecord
from autocompress.search import telling
from autocompress.search.study import Span, Study, study_names
from autocompress.spec import SearchSpec

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_HEARTBEATS = 2.0


class Follower:
    """Turns what is new in a stored search into events.

    Args:
        study: the search.
        name: what it is called.
    """

    def __init__(self, study: Study, name: str) -> None:
        self._study = study
        self._name = name
        self._seq = 0
        self._spec: SearchSpec | None = None
        self._is_model_read = False
        self._started: set[int] = set()
        self._ended: set[int] = set()
        self._notes: dict[int, tuple[str, ...]] = {}
        self._outcome: Outcome | None = None
        self._events: list[Event] = []
        self._next_heartbeat = 0.0

    def new(self) -> list[Event]:
        """The events since the last call."""
        self._events = []
        self._study.reread()
        records, spans = self._study.records(), self._study.spans()
        fresh = [spans[record.number][0] for record in records if record.number not in self._started]
        self._follow_spec(fresh)
        prepared = self._study.prepared
        if prepared is not None and not self._is_model_read:
            self._is_model_read = True
            self._tell(ModelRead, next(iter(fresh), None), **telling.model_read(prepared))
        self._follow_trials(records, spans)
        self._follow_notes()
        self._follow_outcome(max((ended for _, ended in spans.values() if ended), default=None))
        return self._events

    def _tell(self, kind: Any, when: float | None = None, **fields: Any) -> None:
        self._events.append(kind(seq=self._seq, time=when or time.time(), **fields))
        self._seq += 1

    def _follow_spec(self, fresh: Sequence[float | None]) -> None:
        """What is asked for; ``fresh`` are the beginnings of trials that were not told yet."""
        spec, before = self._study.spec, self._spec
        self._spec = spec
        if before is None or (self._outcome is not None and fresh):
            self._outcome = None
            methods, formats = _usable(spec)
            fields = telling.run_started(self._name, spec, methods, formats, spec.budget.trials)
            self._tell(RunStarted, next(iter(fresh), None), **fields)
            return
        if spec.constraints != before.constraints:
            self._tell(ConstraintsChanged, constraints=spec.constraints)
        if spec.budget.trials != before.budget.trials:
            self._tell(TrialsChanged, trials=spec.budget.trials)

    def _follow_trials(self, records: list[TrialRecord], spans: dict[int, Span]) -> None:
        running: list[float] = []
        for record in records:
            began, ended = spans[record.number]
            if record.number not in self._started:
                self._started.add(record.number)
                self._tell(TrialStarted, began, **telling.trial_started(record))
            if record.status is Status.RUNNING:
                running.append(began or time.time())
            elif record.number not in self._ended:
                self._ended.add(record.number)
                self._tell(TrialFinished, ended, **telling.trial_finished(record))
        self._beat(running)

    def _beat(self, running: list[float]) -> None:
        """A sign of life while a trial runs that can still be running: of a search that was killed nobody is told."""
        assert self._spec is not None
        now = time.time()
        if any(now - began <= self._spec.budget.trial_timeout for began in running) and now >= self._next_heartbeat:
            self._next_heartbeat = now + SECONDS_BETWEEN_HEARTBEATS
            self._tell(Heartbeat)

    def _follow_notes(self) -> None:
        notes = self._study.notes
        for number, texts in notes.items():
            for text in texts[len(self._notes.get(number, ())) :]:
                self._tell(TrialNoted, number=number, text=text)
        self._notes = notes

    def _follow_outcome(self, last_end: float | None) -> None:
        outcome = self._study.outcome
        if outcome is not None and outcome != self._outcome:
            self._outcome = outcome
            self._tell(RunFinished, last_end, **telling.run_finished(outcome, outcome.reason))


def _usable(spec: SearchSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Methods and formats that the search may use, as far as its specification says."""
    methods, formats = spec.space.methods, spec.space.formats
    if methods is None:
        kinds = registry.load_all("methods")
        methods = tuple(name for name, kind in kinds.items() if spec.space.training or not kind.needs_training)
    if formats is None:
        formats = tuple(name for name, kind in registry.load_all("formats").items() if kind.searched)
    return methods, formats


def summary_of(name: str, url: str) -> dict[str, Any] | None:
    """One line about a stored search; None for a study of another program."""
    study = Study.open(name, url)
    try:
        spec = study.spec
    except AutocompressError:
        return None
    records, outcome = study.records(), study.outcome
    original = original_among(records)
    order = ranking(records, original, spec.prefer) if original else []
    number = outcome.best if outcome else (order[0].number if order else None)
    best = next((record for record in records if record.number == number), None)
    is_running = any(record.status is Status.RUNNING for record in records)
    return {
        "kind": "study",
        "name": name,
        "model": spec.model.path,
        "trials": len(records),
        "total": spec.budget.trials,
        "state": "done" if outcome else "searching" if is_running else "interrupted",
        "best": number,
        "size_ratio": size_ratio(best, original) if best and original else None,
        "speedup": speedup(best) if best else None,
    }


def main(url: str, name: str | None) -> None:
    """Print what the storage holds, and what is new in it until stdin ends.

    Raises:
        AutocompressError: the storage cannot be read, or holds no such search.
    """
    if name is None:
        for known in study_names(url):
            summary = summary_of(known, url)
            if summary is not None:
                _write(json.dumps(summary, ensure_ascii=False))
        return
    follower = Follower(Study.open(name, url), name)
    while True:
        for event in follower.new():
            _write(event.model_dump_json())
        if _stdin_ends_within(SECONDS_BETWEEN_LOOKS):
            return


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _stdin_ends_within(seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([sys.stdin], [], [], left)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            return True
    return False


if __name__ == "__main__":
    try:
        if len(sys.argv) not in (2, 3):
            raise UsageError("give the URL of a storage, and maybe the name of a search")
        main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None)
    except AutocompressError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(problem.exit_code)
    except (BrokenPipeError, KeyboardInterrupt):
        sys.stderr.close()  # whoever followed has left
        sys.exit(0)
