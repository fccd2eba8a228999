"""The line above the keys: what was just said, and when that was read, advice."""

from __future__ import annotations

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from autocompress.tui.theme import Glyphs

SECONDS_TO_READ = 12.0
"""A sentence stays so long."""


class MessageLine(Static):
    """One line; a sentence that was said hides the advice for some seconds."""

    DEFAULT_CSS = """
    MessageLine { height: 1; padding: 0 1; color: $quiet; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._advice = Content("")
        self._timer: Timer | None = None

    def say(self, text: str, glyphs: Glyphs, *, accepted: bool | None = None) -> None:
        """Show a sentence for some seconds, or until there is another.

        Args:
            text: what is said.
            glyphs: what it may be drawn with.
            accepted: whether it says that something was done, or why not; None: neither.
        """
        sign, style = "", "$foreground"
        if accepted is not None:
            sign, style = (f"{glyphs.done} ", "$success") if accepted else (f"{glyphs.violates} ", "$error")
        self.update(Content.assemble((sign, style), (glyphs.plain(text), style)), layout=False)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SECONDS_TO_READ, self.forget)

    def advise(self, hint: str | None, glyphs: Glyphs) -> None:
        """Show this as long as nothing else is said."""
        self._advice = Content.styled(glyphs.plain(hint), "$accent") if hint else Content("")
        if self._timer is None:
            self.update(self._advice, layout=False)

    def forget(self) -> None:
        """No longer show what was said."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self.update(self._advice, layout=False)
