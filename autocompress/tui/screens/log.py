"""A trial's log, to its end and as it grows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, RichLog, Static

from autocompress.tui.screens.run_screen import RunScreen

LARGEST_BYTES = 2**20
"""More than this from the end of a log is not shown."""


class LogScreen(RunScreen):
    """What a trial's process wrote.

    Args:
        number: of the trial.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,L", "app.pop_screen", "Back", key_display="esc"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
        Binding("g", "home", "Top"),
        Binding("G", "end", "End", tooltip="Go to the end and stay there as it grows"),
        Binding("w", "wrap", "Wrap", tooltip="Wrap long lines or not"),
    ]
    CSS = """
    LogScreen #title { height: auto; padding: 0 1; background: $panel; }
    LogScreen #where { color: $quiet; height: auto; padding: 0 1; }
    LogScreen RichLog { height: 1fr; padding: 0 1; }
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self._offset = 0

    def compose(self) -> ComposeResult:
        """The title, where the file lies, and its text."""
        yield Static(f"Log of trial {self.number}", id="title", markup=False)
        yield Static(id="where", markup=False)
        yield RichLog(highlight=False, markup=False, wrap=True, max_lines=20_000, id="lines")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Read what there is, and look for more every second."""
        self._lines = self.query_one("#lines", RichLog)
        self._lines.focus()
        self._read()

    @property
    def path(self) -> Path | None:
        """Of the log; None where the run has no folder here."""
        folder = self.attachment.folder
        return folder / "trials" / str(self.number) / "log.txt" if folder else None

    def refresh_clock(self) -> None:
        """Take in what was written since."""
        self._read()

    def _read(self) -> None:
        where = self.query_one("#where", Static)
        if self.path is None:
            where.update("The logs of this search lie on the machine that runs it.")
            return
        try:
            size = self.path.stat().st_size
        except OSError:
            where.update(self.glyphs.plain(f"{self.path} is not there: this trial wrote no log, or it was deleted."))
            return
        if size < self._offset:  # begun anew
            self._offset = 0
            self._lines.clear()
        if self._offset == 0 and size > LARGEST_BYTES:
            self._offset = size - LARGEST_BYTES
        cut = f" (the last {LARGEST_BYTES // 2**20} MB of {size / 1e6:.1f} MB)" if size > LARGEST_BYTES else ""
        nothing = f"{self.path} is empty: nothing was printed while this trial was built and measured."
        where.update(f"{self.path}{cut}" if size else self.glyphs.plain(nothing))
        if size == self._offset:
            return
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            whole, newline, rest = stream.read().rpartition(b"\n")
        if not newline and size - self._offset == len(rest):
            whole, newline = rest, b""  # a last line without its end is shown as it is
        self._offset += len(whole) + len(newline)
        at_end = self._lines.is_vertical_scroll_end
        self._lines.write(self.glyphs.plain(whole.decode(errors="replace")), scroll_end=at_end)

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self._lines.scroll_relative(y=by, animate=False)

    def action_home(self) -> None:
        """Go to the top."""
        self._lines.scroll_home(animate=False)

    def action_end(self) -> None:
        """Go to the end."""
        self._lines.scroll_end(animate=False)

    def action_wrap(self) -> None:
        """Wrap long lines, or let them run out of sight."""
        self._lines.wrap = not self._lines.wrap
        self._lines.clear()
        self._offset = 0
        self._read()
