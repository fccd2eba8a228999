"""The line in which a filter is written; what is wrong with it stands beside it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static

from autocompress.tui.model.filter import WHERE_TO_READ


class FilterBar(Horizontal):
    """An input with a sentence beside it; hidden until it is asked for."""

    DEFAULT_CSS = """
    FilterBar { height: 1; display: none; background: $panel; }
    FilterBar.-open { display: block; }
    FilterBar > #slash { width: 2; color: $accent; padding-left: 1; }
    FilterBar > Input { width: 2fr; min-width: 24; }
    FilterBar > #mistake {
        width: 3fr; height: 1; color: $quiet; text-wrap: nowrap; text-overflow: ellipsis; padding-left: 1;
    }
    FilterBar > #mistake.-wrong { color: $error; }
    """

    def compose(self) -> ComposeResult:
        """Slash, input, sentence."""
        yield Static("/", id="slash")
        yield Input(compact=True, select_on_focus=False, placeholder="int8 q>=75 ok front")
        yield Static(WHERE_TO_READ, id="mistake", markup=False)

    def open(self, text: str) -> None:
        """Show it, with what is in force."""
        self.add_class("-open")
        line = self.query_one(Input)
        line.value = text
        line.cursor_position = len(text)
        self.screen.set_focus(line)  # now, not after the next refresh: what is typed ahead belongs into this line

    def close(self) -> None:
        """Hide it."""
        self.remove_class("-open")

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return self.has_class("-open")

    def tell(self, mistake: str | None) -> None:
        """Say what is wrong; None: nothing."""
        line = self.query_one("#mistake", Static)
        line.update(mistake or WHERE_TO_READ)
        line.set_class(mistake is not None, "-wrong")
