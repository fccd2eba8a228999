"""A path that is completed while one types."""

from __future__ import annotations

import asyncio
from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from autocompress.tui.model.path_completion import Candidate, Kind, candidates, common_beginning, is_model


class PathInput(Input):
    """The line: tab completes, down goes into the list of what it may become."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False),
        Binding("down", "choose", "Choose", show=False),
    ]

    @property
    def field(self) -> PathField:
        """The field that it is the line of."""
        return cast(PathField, self.parent)

    def action_complete(self) -> None:
        """Complete what is typed; go to the next field where there is nothing to add."""
        if not self.field.complete():
            self.screen.focus_next()

    def action_choose(self) -> None:
        """Go into the list."""
        self.field.open_list()


class Completions(OptionList):
    """What the path may become."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", show=False)]

    def action_close(self) -> None:
        """Back to the line."""
        cast(PathField, self.parent).close_list()


class PathField(Vertical):
    """A path or an id; `Input.Changed` and `Input.Submitted` of its line tell what is typed.

    Args:
        kind: what is looked for.
        placeholder: how an answer is written.
        id: of the field.
    """

    DEFAULT_CSS = """
    PathField { height: auto; }
    PathField > PathInput { background: $panel; }
    PathField > PathInput:focus { background: $block-cursor-background; }
    PathField > Completions {
        display: none; height: auto; max-height: 7; border: none; padding: 0 1; background: $surface;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    PathField > Completions.-open { display: block; }
    """

    def __init__(self, kind: Kind, placeholder: str, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.kind: Kind = kind
        self.placeholder = placeholder
        self.candidates: list[Candidate] = []

    def compose(self) -> ComposeResult:
        """The line, and below it what it may become."""
        yield PathInput(placeholder=self.placeholder, compact=True, select_on_focus=False)
        yield Completions(compact=True)

    @property
    def input(self) -> Input:
        """The line that is typed in."""
        return self.query_one(PathInput)

    @property
    def completions(self) -> OptionList:
        """The list."""
        return self.query_one(Completions)

    def fill(self, text: str) -> None:
        """Show a text, as if it had been typed before."""
        with self.input.prevent(Input.Changed):
            self.input.value = text
            self.input.cursor_position = len(text)
        self._close()

    def complete(self) -> bool:
        """Add what all candidates agree on; tells whether there was anything to add."""
        typed = self.input.value
        found = candidates(typed, self.kind)
        longer = common_beginning(typed, found)
        if longer != typed:
            self._take(longer)
            return True
        if len(found) > 1 and not self.completions.has_class("-open") and not is_model(typed):
            self._offer(found)
            return True
        return False

    def open_list(self) -> None:
        """Go into the list of candidates, if there are any."""
        if not self.completions.has_class("-open"):
            self._offer(candidates(self.input.value, self.kind))
        if self.candidates:
            self.completions.highlighted = 0
            self.completions.focus()

    def close_list(self) -> None:
        """Back to the line, without a choice."""
        self._close()
        self.input.focus()

    def on_descendant_blur(self) -> None:
        """The list is only of use while one types."""
        self.call_after_refresh(self._close_if_left)

    def _close_if_left(self) -> None:
        if self.is_mounted and not self.has_focus_within:
            self._close()

    @on(Input.Changed)
    def _look(self, event: Input.Changed) -> None:
        self.run_worker(self._look_up(event.value), exclusive=True, group="completion")

    async def _look_up(self, typed: str) -> None:
        found = await asyncio.to_thread(candidates, typed, self.kind) if typed else []
        if self.is_mounted and typed == self.input.value and self.has_focus_within:
            only_itself = len(found) == 1 and found[0].text.rstrip("/") == typed.rstrip("/")
            self._offer([] if only_itself and found[0].is_final else found)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        candidate = self.candidates[event.option_index]
        self.input.focus()
        self._take(candidate.text)
        if candidate.is_final:
            self._close()

    def _take(self, text: str) -> None:
        self.input.value = text
        self.input.cursor_position = len(text)

    def _offer(self, found: list[Candidate]) -> None:
        self.candidates = found
        self.completions.clear_options()
        self.completions.add_options(Option(_shown(candidate)) for candidate in found)
        self.completions.set_class(bool(found), "-open")

    def _close(self) -> None:
        self._offer([])


def _shown(candidate: Candidate) -> Content:
    return Content.assemble(candidate.text, (f"   {candidate.note}" if candidate.note else "", "$quiet"))
