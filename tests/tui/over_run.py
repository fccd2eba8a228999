"""Opens the terminal UI over a run without a terminal, and stands in for the search that answers requests."""

from __future__ import annotations

import asyncio
import fcntl
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from autocompress.tui.app import AutocompressApp
from autocompress.tui.attachment import Attachment

Script = Callable[[Pilot[None]], Awaitable[None]]


def play(
    script: Script,
    attachment: Attachment | None,
    root: Path,
    *,
    size: tuple[int, int] = (120, 40),
    ascii_only: bool = False,
) -> None:
    """Open the app and let the script press keys."""

    async def played() -> None:
        app = AutocompressApp(attachment, root=root, ascii_only=ascii_only)
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause(0.1)
            await script(pilot)

    asyncio.run(played())


def over(folder: Path) -> Attachment:
    """A run folder, to open."""
    return Attachment(folder.name, folder / "events.jsonl", folder)


def text_of(pilot: Pilot[None]) -> str:
    """What the screen shows."""
    return "\n".join(strip.text.rstrip() for strip in pilot.app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for something to come true, then for it to be drawn."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it never came to be; the screen shows:\n{text_of(pilot)}"
        await pilot.pause(0.05)
    await pilot.pause()


async def until_shown(pilot: Pilot[None], *words: str, seconds: float = 20.0) -> None:
    """Wait until the screen shows all of these."""
    await until(pilot, lambda: all(each in text_of(pilot) for each in words), seconds=seconds)


class StandIn:
    """The search's side of a run: it holds the lock, sees what is asked, and tells events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seq = 10**6

    def asked(self) -> list[dict[str, Any]]:
        """All requests so far."""
        path = self.folder / "control.jsonl"
        if not path.exists():
            return []
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def tell(self, kind: str, **fields: Any) -> None:
        """Write an event."""
        self._seq += 1
        event = {"seq": self._seq, "time": time.time(), "kind": kind, **fields}
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")

    def answer(self, *, accepted: bool, text: str) -> None:
        """Answer the last request."""
        request = self.asked()[-1]
        self.tell("control_answered", id=request["id"], action=request["action"], accepted=accepted, text=text)


@contextmanager
def searching(folder: Path) -> Iterator[StandIn]:
    """A search works in this run as long as the block lasts."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield StandIn(folder)
