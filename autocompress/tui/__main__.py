"""The terminal UI as a process of its own: ``python -m autocompress.tui OPENING``, an `Opening` as JSON."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

SECONDS_TO_LEAVE = 3.0
"""Writing to a terminal that was closed can block for ever."""


def main() -> int:
    """Run the UI; gives the exit code of the command."""
    # Next to nothing of what starting makes is garbage, and looking for it would take a tenth of the time.
    gc.disable()
    from autocompress.errors import AutocompressError, Interrupted
    from autocompress.tui.app import AutocompressApp
    from autocompress.tui.opening import Opening

    class Started(AutocompressApp):
        """Looks for garbage from the first picture on, and only among what came since."""

        def on_ready(self) -> None:
            gc.freeze()
            gc.enable()

    opening = Opening(**json.loads(sys.argv[1]))
    try:
        attachment = opening.attach()
    except AutocompressError as problem:
        if os.environ.get("AUTOCOMPRESS_DEBUG"):
            raise
        sys.stderr.write(f"error: {problem}\n")
        return problem.exit_code
    app = Started(attachment, root=Path(opening.root), ascii_only=opening.ascii_only, theme=opening.theme)

    def leave(number: int, frame: FrameType | None) -> None:
        """End as by `q`, so that the terminal is given back as it was; without ado where it is gone."""
        del number, frame
        give_up = threading.Timer(SECONDS_TO_LEAVE, os._exit, (Interrupted.exit_code,))
        give_up.daemon = True
        give_up.start()
        app.exit(return_code=Interrupted.exit_code)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
