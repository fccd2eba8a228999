"""A line of the wizard: what is asked, the field, and what the answer means or what is wrong with it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from autocompress.tui.theme import Glyphs


class Field(Horizontal):
    """A labelled line of text with a note beside it.

    Args:
        label: what is asked.
        placeholder: how an answer is written.
        id: of the field; its messages are those of its `Input`.
    """

    DEFAULT_CSS = """
    Field { height: auto; min-height: 1; }
    Field > Label { width: 14; }
    Field > Input { width: 14; background: $panel; }
    Field > Input:focus { background: $block-cursor-background; }
    Field > .note { width: 1fr; margin-left: 2; color: $quiet; }
    Field > .note.wrong { color: $error; }
    """

    def __init__(self, label: str, placeholder: str = "", *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.label = label
        self.placeholder = placeholder

    def compose(self) -> ComposeResult:
        """Label, field, note."""
        yield Label(self.label)
        yield Input(placeholder=self.placeholder, compact=True, select_on_focus=False)
        yield Static(classes="note", markup=False)

    @property
    def input(self) -> Input:
        """The line that is typed in."""
        return self.query_one(Input)

    def fill(self, text: str) -> None:
        """Show a text, as if it had been typed before."""
        if self.input.value != text:
            with self.input.prevent(Input.Changed):
                self.input.value = text

    def tell(self, meaning: str, problem: str | None, glyphs: Glyphs) -> None:
        """Say what the answer means, or what is wrong with it."""
        note = self.query_one(".note", Static)
        note.update(glyphs.plain(f"{glyphs.violates} {problem}" if problem else meaning))
        note.set_class(problem is not None, "wrong")
