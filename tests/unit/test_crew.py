"""Jobs that run side by side end with their search, however early that ends."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from autocompress.jobs import Job
from autocompress.search import crew as crew_module
from autocompress.search.crew import Crew
from autocompress.search.launcher import Launcher


def test_an_interrupt_before_a_job_has_begun_leaves_nothing_to_wait_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    monkeypatch.setattr(crew_module, "SECONDS_TO_BEGIN", 0.01)
    crew = Crew(
        Launcher("cpu"), timeout_seconds=1, memory_bytes=None, on_heartbeat=lambda _: None, on_look=lambda: None
    )
    with pytest.raises(KeyboardInterrupt):
        crew.begin(1, cast(Job, None), tmp_path / "log.txt")
    crew.end_all()
    assert len(crew) == 0


class WaitsForImports:
    """A launcher none of whose children has begun yet."""

    def __init__(self) -> None:
        self.imported = threading.Event()

    def run(self, *ignored: Any, **also_ignored: Any) -> None:
        self.imported.wait()


def test_a_job_that_still_waits_for_imports_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crew_module, "SECONDS_TO_BEGIN", 0.01)
    launcher = WaitsForImports()
    crew = Crew(
        cast(Launcher, launcher),
        timeout_seconds=1,
        memory_bytes=None,
        on_heartbeat=lambda _: None,
        on_look=lambda: None,
    )
    crew.begin(1, cast(Job, None), tmp_path / "log.txt")
    crew.end_all()
    assert not launcher.imported.is_set()
    assert len(crew) == 0
    launcher.imported.set()
