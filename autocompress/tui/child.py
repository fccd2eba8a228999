"""Commands of this program run beside the UI: what they say on stdout as lines of JSON, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO, Any

PROGRAM = (sys.executable, "-P", "-m", "autocompress")
"""With -P no file of the working directory is taken for a library's."""

LONGEST_LINE = 2**24
SECONDS_TO_END = 3.0


class Child:
    """A running command; see `running`."""

    def __init__(self, process: asyncio.subprocess.Process, complaints: IO[bytes]) -> None:
        self._process = process
        self._complaints = complaints

    async def lines(self) -> AsyncGenerator[dict[str, Any], None]:
        """What it prints, as it comes; other text than JSON objects is passed over. Ends when the command ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            try:
                plain = json.loads(line)
            except ValueError:
                continue
            if isinstance(plain, dict):
                yield plain
        await self._process.wait()

    async def output(self) -> str:
        """All that it prints, once it has ended."""
        assert self._process.stdout is not None
        output = await self._process.stdout.read()
        await self._process.wait()
        return output.decode(errors="replace")

    async def code(self) -> int:
        """How it ended, once it has."""
        return await self._process.wait()

    @property
    def last_words(self) -> str:
        """The error that it ended with, as a sentence."""
        self._complaints.seek(0)
        return error_in(self._complaints.read().decode(errors="replace"))

    async def end(self) -> None:
        """See to it that it and all that it started are gone."""
        if self._process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), SECONDS_TO_END)
            finally:
                self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@asynccontextmanager
async def running(command: Sequence[str], *, environment: dict[str, str] | None = None) -> AsyncIterator[Child]:
    """Run a command in a session of its own; whatever ends the block ends it.

    Args:
        command: program and arguments.
        environment: added to this process's.
    """
    with tempfile.TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
            limit=LONGEST_LINE,
            env={**os.environ, **(environment or {})},
        )
        child = Child(process, complaints)
        try:
            yield child
        finally:
            with suppress(TimeoutError):
                await child.end()


def error_in(output: str) -> str:
    """The sentence that a command ended with, out of all that it printed: the last error, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    return (errors or lines or ["it ended without a word"])[-1]
