"""A list of things to tick; those that cannot be had stand in it with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from autocompress.tui.theme import Glyphs


@dataclass(frozen=True, slots=True)
class Choice:
    """A row: something to tick, or a heading where ``key`` is empty.

    ``reason`` says why it cannot be had; ``warning`` what it costs.
    """

    key: str
    label: str
    text: str = ""
    reason: str | None = None
    warning: str | None = None


class ChoiceList(OptionList):
    """Rows that are ticked with space or the mouse; with ``is_single`` one of them always is.

    Args:
        is_single: choosing one drops the other.
        label_width: columns of the labels.
        id: of the list.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "select", "Tick"),
        Binding("enter", "screen.next", "Next", show=False),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]
    DEFAULT_CSS = """
    ChoiceList {
        height: auto; border: none; padding: 0; background: $background; text-wrap: nowrap; text-overflow: ellipsis;
    }
    ChoiceList:focus { background: $background; background-tint: $foreground 0%; }
    ChoiceList > .option-list--option-disabled { color: $primary; text-style: bold; }
    """

    class Changed(Message):
        """Something was ticked or unticked."""

        def __init__(self, choices: ChoiceList) -> None:
            super().__init__()
            self.choices = choices

        @property
        def control(self) -> ChoiceList:
            """The list."""
            return self.choices

    def __init__(self, *, is_single: bool = False, label_width: int = 18, id: str) -> None:  # noqa: A002
        super().__init__(id=id, compact=True)
        self.is_single = is_single
        self.label_width = label_width
        self.choices: Sequence[Choice] = ()
        self.ticked: set[str] = set()

    def fill(self, choices: Sequence[Choice], ticked: Iterable[str], glyphs: Glyphs) -> None:
        """Show these rows."""
        before = self.highlighted
        self.choices, self.ticked, self._glyphs = choices, set(ticked), glyphs
        self.clear_options()
        self.add_options(Option(self._shown(choice), disabled=not choice.key) for choice in choices)
        rows = [row for row, choice in enumerate(choices) if choice.key]
        self.highlighted = before if before in rows else next(iter(rows), None)

    @property
    def pointed_at(self) -> Choice | None:
        """The row under the cursor."""
        return self.choices[self.highlighted] if self.highlighted is not None and self.choices else None

    def tick(self, keys: Iterable[str]) -> None:
        """Tick these and no other."""
        self.ticked = set(keys)
        for row, choice in enumerate(self.choices):
            self.replace_option_prompt_at_index(row, self._shown(choice))
        self.post_message(self.Changed(self))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Turn a row's tick over."""
        event.stop()
        choice = self.choices[event.option_index]
        if choice.reason is not None:
            self.app.bell()
        elif self.is_single:
            self.tick({choice.key})
        else:
            self.tick(self.ticked ^ {choice.key})

    def _shown(self, choice: Choice) -> Content:
        plain = self._glyphs.plain
        if not choice.key:
            return Content(plain(choice.label))
        label = f"{choice.label:<{self.label_width}} "
        if choice.reason is not None:
            return Content.styled(plain(f" -  {label}not here: {choice.reason}"), "$quiet")
        opening, closing = ("(", ")") if self.is_single else ("[", "]")
        mark = f"{opening}{('o' if self.is_single else 'x') if choice.key in self.ticked else ' '}{closing}"
        cost = f"{choice.warning} · " if choice.warning else ""
        return Content.assemble((f"{mark} ", "bold"), label, (plain(cost), "$warning"), (plain(choice.text), "$quiet"))
