"""Drawing on what may be gone: timers and children fire before a screen stands, and outlive it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from textual.css.query import NoMatches
from textual.widget import Widget


def while_it_stands(widget: Widget, draw: Callable[[], None]) -> None:
    """Draw, unless the widget is not there yet or has lost its parts already, as one that is about to go has."""
    if widget.is_mounted:
        with suppress(NoMatches):
            draw()
