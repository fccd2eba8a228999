"""Ctrl-C and SIGTERM, held back until the search comes to a point where it can end."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

HELD_BACK = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, the first signal waits for `raise_if_any`; a second one goes where signals went before.

    Raised wherever Python happens to be, a KeyboardInterrupt may come out of a library as an error of the library's
    own (pydantic wraps what its serializers raise), or be swallowed by it. Signals reach the main thread alone: in
    another one nothing is held back; and neither is a signal that is ignored, or that ends the process as it is.
    """

    def __init__(self) -> None:
        self._waits = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in HELD_BACK}
            self._before = {number: handler for number, handler in self._before.items() if callable(handler)}
            for number in self._before:
                signal.signal(number, self._hold)
        return self

    def __exit__(self, *raised: object) -> None:
        self._restore()

    def raise_if_any(self) -> None:
        """Raise what waits, once.

        Raises:
            KeyboardInterrupt: a signal came.
        """
        if self._waits:
            self._waits = False
            raise KeyboardInterrupt

    def _hold(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._waits = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
