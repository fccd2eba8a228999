"""The searches that a shared storage holds, to choose one from."""

from __future__ import annotations

import json
import sys
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import LoadingIndicator, OptionList, Static
from textual.widgets.option_list import Option

from autocompress.report.numbers import ratio
from autocompress.tui.command_output import CommandFailed, output_of
from autocompress.tui.theme import UNICODE, Glyphs

FOLLOW = (sys.executable, "-P", "-m", "autocompress.search.follow")
SECONDS_UNTIL_GIVEN_UP = 60.0


class StoredScreen(ModalScreen[str | None]):
    """Lists a storage's searches; gives the name of the chosen one.

    Args:
        url: of the storage.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back", key_display="esc"),
        Binding("j", "move(1)", "Next", show=False),
        Binding("k", "move(-1)", "Previous", show=False),
    ]
    SCOPED_CSS = False
    CSS = """
    StoredScreen { align: center middle; }
    StoredScreen #window {
        width: 90; max-width: 100%; height: auto; max-height: 90%; background: $surface;
        border: round $primary; border-title-color: $primary; border-subtitle-color: $quiet; padding: 0 1;
    }
    .-ascii StoredScreen #window { border: ascii $primary; }
    StoredScreen OptionList { height: auto; max-height: 100%; border: none; padding: 0; background: $surface; }
    StoredScreen #told { height: auto; color: $quiet; }
    StoredScreen #told.wrong { color: $error; }
    StoredScreen LoadingIndicator { height: 1; color: $primary; }
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self._names: list[str] = []

    def compose(self) -> ComposeResult:
        """The list, once it is read."""
        with Vertical(id="window") as window:
            window.border_title = "Searches in the storage"
            window.border_subtitle = "enter watch   esc back"
            yield OptionList(id="list")
            yield LoadingIndicator(id="loading")
            yield Static(f"reading {shown_url(self.url)}", id="told", markup=False)

    def on_mount(self) -> None:
        """Let a child read the storage."""
        self.query_one("#list").display = False
        self._glyphs: Glyphs = getattr(self.app, "glyphs", UNICODE)
        self.query_one("#loading").display = not self._glyphs.is_ascii
        self._reading = self.run_worker(self._read(), exclusive=True)

    async def _read(self) -> None:
        try:
            output = await output_of(self.url, program=FOLLOW, seconds=SECONDS_UNTIL_GIVEN_UP)
        except CommandFailed as failure:
            self._end_loading()
            self._tell(f"The storage cannot be read: {failure}", wrong=True)
            return
        self._end_loading()
        studies = [plain for line in output.splitlines() if (plain := _study(line)) is not None]
        if not studies:
            self._tell("The storage holds no search of this program. `search --storage URL` records one there.")
            return
        listed = self.query_one("#list", OptionList)
        self._names = [str(study["name"]) for study in studies]
        listed.add_options([Option(self._line(study)) for study in studies])
        listed.display = True
        listed.highlighted = 0
        listed.focus()
        self._tell(f"{len(studies)} in {shown_url(self.url)}")

    def _end_loading(self) -> None:
        self.query_one("#loading").display = False

    def _line(self, study: dict[str, Any]) -> Content:
        plain = self._glyphs.plain
        figures = f"{ratio(study.get('size_ratio'))} size  {ratio(study.get('speedup'))} speed"
        return Content.assemble(
            (f"{plain(study['name'])[:24]:<25}", "bold"),
            f"{study.get('state', ''):<12} {study.get('trials', 0)!s:>5}/{study.get('total', '')!s:<6}",
            (plain(figures), "$front"),
            (f"  {plain(str(study.get('model', '')).rsplit('/', 1)[-1])}", "$quiet"),
        )

    def _tell(self, text: str, *, wrong: bool = False) -> None:
        told = self.query_one("#told", Static)
        told.update(self._glyphs.plain(text))
        told.set_class(wrong, "wrong")

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._names[event.option_index])

    def action_move(self, by: int) -> None:
        """Go up or down the list."""
        listed = self.query_one("#list", OptionList)
        listed.action_cursor_down() if by > 0 else listed.action_cursor_up()

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)


def _study(line: str) -> dict[str, Any] | None:
    try:
        plain = json.loads(line)
    except ValueError:
        return None
    return plain if isinstance(plain, dict) and plain.get("name") else None


def shown_url(url: str) -> str:
    """A storage's URL without a password in it."""
    scheme, mark, rest = url.partition("://")
    if not mark or "@" not in rest.split("/")[0]:
        return url
    login, _, host = rest.rpartition("@")
    return f"{scheme}://{login.split(':')[0]}@{host}"
