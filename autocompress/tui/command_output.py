"""What a short command of this program prints, all of it, without holding up the screen."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from autocompress.tui.child import PROGRAM, error_in

SECONDS_UNTIL_GIVEN_UP = 120.0


class CommandFailed(Exception):
    """The command ended with an error; the text is its sentence."""


async def output_of(*arguments: str, program: Sequence[str] = PROGRAM, seconds: float = SECONDS_UNTIL_GIVEN_UP) -> str:
    """Run a command to its end; it is ended when it takes too long, or when nobody waits for it any more.

    Raises:
        CommandFailed: it ended with an error, or took too long.
    """
    process = await asyncio.create_subprocess_exec(
        *program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        raise CommandFailed(f"it was still running after {seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise CommandFailed(error_in(errors.decode(errors="replace")))
    return output.decode(errors="replace")
