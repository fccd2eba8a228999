"""In front of everything while the terminal has too little room for it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

SMALLEST = Size(80, 20)


def is_too_small(size: Size) -> bool:
    """Whether screens would be clipped."""
    return size.width < SMALLEST.width or size.height < SMALLEST.height


class TooSmallScreen(Screen[None]):
    """Says how much room there is, and how much it takes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.quit", "Leave", show=False)]
    DEFAULT_CSS = """
    TooSmallScreen { align: center middle; background: $background; }
    TooSmallScreen > Static { width: 100%; text-align: center; color: $warning; }
    """

    def compose(self) -> ComposeResult:
        """A sentence."""
        yield Static(markup=False)

    def on_resize(self, event: events.Resize) -> None:
        """Tell the size as it is now."""
        there, wanted = (f"{size.width} x {size.height}" for size in (event.size, SMALLEST))
        told = f"too small: {there}\nit takes {wanted}\nq leaves; a search goes on"
        self.query_one(Static).update(told)
