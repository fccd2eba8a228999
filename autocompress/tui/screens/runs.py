"""Every run under the runs folder: what goes on in it, the best recipe so far, and how to open or resume it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option, OptionDoesNotExist
from textual.worker import Worker, get_current_worker

from autocompress.tui.attachment import Attachment, StorageAttachment, is_locked
from autocompress.tui.model.run_list import RunList, run_folders
from autocompress.tui.theme import Glyphs
from autocompress.tui.widgets.run_lines import RunLines, about_run

if TYPE_CHECKING:
    from autocompress.tui.app import AutocompressApp

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BEFORE_FIRST_LOOK = 0.02
"""A run that is opened at once covers this screen before that; then nothing is read."""
NOTHING_HERE = """There are no runs in {root} yet.

  n   search for the best way to shrink a model of yours
  d   watch a search that was recorded, to see what that looks like
  u   watch a search in a shared storage

On the command line: autocompress search, or autocompress demo."""


class _Runs(OptionList):
    """The list itself; the footer tells what `enter` does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Open", key_display="enter", tooltip="Watch the run; it goes on when you leave"),
    ]


class RunsScreen(Screen[None]):
    """The list of runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New search", tooltip="Set up and start a search, step by step"),
        Binding("R", "resume", "Resume", tooltip="Go on with a search that was interrupted, or add trials to one"),
        Binding("d", "demo", "Demo", tooltip="Play back a recorded search"),
        Binding("u", "storage", "Storage", tooltip="Watch a search in a shared storage, by its URL"),
        Binding("slash", "filter", "Filter", key_display="/", tooltip="Show only runs whose line holds these words"),
        Binding("j", "move(1)", "Next", show=False),
        Binding("k", "move(-1)", "Previous", show=False),
        Binding("g", "end(-1)", "First", show=False),
        Binding("G", "end(1)", "Last", show=False),
        Binding("escape", "clear_filter", "Show all", show=False),
        Binding("q", "app.quit", "Quit", tooltip="Searches go on"),
    ]
    SCOPED_CSS = False
    CSS = """
    RunsScreen #title { height: 1; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis; }
    RunsScreen #columns { height: 1; padding: 0 1; color: $quiet; text-wrap: nowrap; }
    RunsScreen #list {
        height: 1fr; border: none; padding: 0 1; background: $background; text-wrap: nowrap; text-overflow: ellipsis;
    }
    RunsScreen #list:focus { background: $background; background-tint: $background 0%; }
    RunsScreen #list > .option-list--option-highlighted { text-style: none; }
    RunsScreen #nothing { height: 1fr; padding: 1 3; color: $foreground; }
    RunsScreen #about {
        height: auto; max-height: 9; border: round $primary 60%; border-title-color: $primary; padding: 0 1;
    }
    .-ascii RunsScreen #about { border: ascii $primary 60%; }
    RunsScreen #filter { display: none; }
    RunsScreen #filter.shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.left: Path | None = None
        """The run that one comes back from, until the cursor is on it."""
        self._runs = RunList(is_locked)
        self._folders: list[Path] = []
        self._shown: list[Path] = []
        self._words = ""
        self._reader: Worker[None] | None = None

    @property
    def owner(self) -> AutocompressApp:
        """The app, as what it is."""
        return cast("AutocompressApp", self.app)

    @property
    def glyphs(self) -> Glyphs:
        """What to draw with."""
        return self.owner.glyphs

    def compose(self) -> ComposeResult:
        """The list, and below it the run under the cursor."""
        yield Static(id="title")
        yield Static(id="columns")
        yield _Runs(id="list")
        yield Static(id="nothing", markup=False)
        yield Static(id="about")
        yield Input(placeholder="words of the name, model or state", id="filter", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Look again and again while this screen is on top."""
        self._list = self.query_one("#list", OptionList)
        self._timer = self.set_interval(SECONDS_BETWEEN_LOOKS, self._look)

    def on_screen_resume(self) -> None:
        """Look at once."""
        self._first_look = self.set_timer(SECONDS_BEFORE_FIRST_LOOK, self._look)

    def on_screen_suspend(self) -> None:
        """Read no further."""
        if self._reader is not None:
            self._reader.cancel()

    def on_resize(self) -> None:
        """Lines are as wide as the screen."""
        if self.is_mounted and self._folders:
            self._fill()

    # Reading --------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if not self.is_current:
            return
        folders = run_folders(self.owner.root)
        if folders != self._folders or not self._folders:
            self._folders = folders
            self._runs.forget(folders)
            self._fill()
        if self.left in self._shown:
            self._list.highlighted, self.left = self._shown.index(self.left), None
        if self._reader is not None and self._reader.is_running:
            return
        stale = [folder for folder in folders if not self._runs.is_fresh(folder)]
        if stale:
            self._reader = self.run_worker(lambda: self._read(stale), thread=True, exclusive=True, group="runs")
        self._draw_about()

    def _read(self, folders: list[Path]) -> None:
        """In a thread: read what changed, and show each row as it comes."""
        worker = get_current_worker()
        for folder in folders:
            row = self._runs.read(folder, lambda: worker.is_cancelled)
            if worker.is_cancelled or row is None:
                return
            self.app.call_from_thread(self._show, folder)

    def _show(self, folder: Path) -> None:
        if not self.is_mounted or not self.is_current:
            return
        if folder not in self._shown:
            if self._words:
                self._fill()
            return
        if self._words and not self._is_wanted(folder):
            self._fill()
            return
        try:
            self._list.replace_option_prompt_at_index(self._shown.index(folder), self._line(folder))
        except OptionDoesNotExist:
            self._fill()
        self._draw_title()
        if folder == self._under_cursor:
            self._draw_about()

    # Drawing --------------------------------------------------------------------------------------------------------

    def _is_wanted(self, folder: Path) -> bool:
        row = self._runs.known(folder)
        text = f"{folder.name} {row.standing} {row.model}" if row else folder.name
        return all(word in text.lower() for word in self._words.lower().split())

    def _fill(self) -> None:
        under_cursor = self._under_cursor
        self._shown = [folder for folder in self._folders if self._is_wanted(folder)]
        self._list.clear_options()
        self._list.add_options([Option(self._line(folder)) for folder in self._shown])
        if self._shown:
            self._list.highlighted = self._shown.index(under_cursor) if under_cursor in self._shown else 0
        nothing = self.query_one("#nothing", Static)
        nothing.display = not self._shown
        self._list.display = bool(self._shown)
        if not self._folders:
            nothing.update(self.glyphs.plain(NOTHING_HERE.format(root=f"{self.owner.root}/")))
        elif not self._shown:
            nothing.update("No run matches. Press / to change the filter, esc to show all.")
        elif not self.query_one("#filter").has_focus:
            self._list.focus()
        self._draw_title()
        self._draw_columns()
        self._draw_about()

    def _draw_title(self) -> None:
        rows = [row for folder in self._folders if (row := self._runs.known(folder)) is not None]
        live = sum(row.is_live for row in rows)
        unread = len(self._folders) - len(rows)
        told = f"  {len(self._folders)} run{'' if len(self._folders) == 1 else 's'} in {self.owner.root}"
        parts: list[tuple[str, str]] = [("autocompress", "bold"), (told, "$quiet")]
        if live:
            parts.append((f"  {self.glyphs.running} {live} searching", "$success"))
        if unread:
            parts.append((f"  reading {unread}{self.glyphs.ellipsis}", "$quiet"))
        if self._words:
            parts.append((f"  filter: {self._words} ({len(self._shown)})", "$accent"))
        self.query_one("#title", Static).update(Content.assemble(*parts))

    def _draw_columns(self) -> None:
        columns = self.query_one("#columns", Static)
        columns.update(RunLines(self.size.width, self.glyphs).heads())
        columns.display = bool(self._shown)

    def _line(self, folder: Path) -> Content:
        lines = RunLines(self.size.width, self.glyphs)
        return lines.line(folder.name, self._runs.known(folder), time.time())

    def _draw_about(self) -> None:
        about = self.query_one("#about", Static)
        folder = self._under_cursor
        row = self._runs.known(folder) if folder is not None else None
        about.display = row is not None
        if row is not None:
            about.border_title = Content(self.glyphs.plain(row.name)).markup
            about.update(about_run(row, self.glyphs))

    @property
    def _under_cursor(self) -> Path | None:
        at = self._list.highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    @on(OptionList.OptionHighlighted)
    def _highlighted(self) -> None:
        self._draw_about()

    # Doing ----------------------------------------------------------------------------------------------------------

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._open(self._shown[event.option_index])

    def _open(self, folder: Path) -> None:
        self.owner.open_run(Attachment(folder.name, folder / "events.jsonl", folder))

    def action_new(self) -> None:
        """Set up a search."""
        from autocompress.tui.screens.wizard import WizardScreen

        self.app.push_screen(WizardScreen())

    def action_demo(self) -> None:
        """Play back the recorded search."""
        from autocompress.tui.replay import ReplayAttachment

        self.owner.open_run(ReplayAttachment())

    def action_storage(self) -> None:
        """Ask for a storage, list its searches, and watch one."""
        from autocompress.tui.screens.prompt import PromptScreen

        hint = "such as sqlite:///shared/study.db or postgresql://user@host/optuna"
        self.app.push_screen(PromptScreen("URL of the storage", validate=url_problem, hint=hint), self._list_storage)

    def _list_storage(self, url: str | None) -> None:
        from autocompress.tui.screens.stored import StoredScreen

        if url:
            self.app.push_screen(StoredScreen(url.strip()), lambda name: self._watch(url.strip(), name))

    def _watch(self, url: str, name: str | None) -> None:
        if name is not None:
            self.owner.open_run(StorageAttachment(url, name))

    def action_resume(self) -> None:
        """Go on with an interrupted run, or ask how many trials to add to one that is done."""
        folder = self._under_cursor
        row = self._runs.known(folder) if folder is not None else None
        if folder is None or row is None:
            return
        if is_locked(folder):
            self.notify(f"A search works in {row.name} already; enter opens it.", severity="warning", markup=False)
        elif row.standing == "done":
            from autocompress.tui.screens.prompt import PromptScreen

            question = f"{row.name} is done after {row.n_trials} trials. How many more?"
            self.app.push_screen(
                PromptScreen(question, "20", validate=count_problem, is_suggestion=True),
                lambda more: self._resume(folder, row.n_trials + int(more)) if more else None,
            )
        else:
            self._resume(folder, None)

    def _resume(self, folder: Path, trials: int | None) -> None:
        from autocompress.tui.resuming import Resumption

        try:
            resumption = Resumption(folder, trials)
        except OSError as problem:
            self.notify(f"{folder} cannot be written: {problem.strerror}", severity="error", markup=False)
            return

        def look() -> None:
            if not resumption.is_over:
                return
            timer.stop()
            if resumption.failure is not None:
                told = self.glyphs.plain(resumption.failure)
                self.app.notify(
                    told, title=f"{folder.name} was not resumed", severity="error", timeout=15, markup=False
                )

        timer = self.set_interval(0.5, look)
        self._open(folder)

    def action_move(self, by: int) -> None:
        """Go up or down the list."""
        self._list.action_cursor_down() if by > 0 else self._list.action_cursor_up()

    def action_end(self, which: int) -> None:
        """Go to the first or the last run."""
        self._list.action_last() if which > 0 else self._list.action_first()

    def action_filter(self) -> None:
        """Ask for words."""
        line = self.query_one("#filter", Input)
        line.add_class("shown")
        self.set_focus(line)  # now, not after the next refresh: what is typed ahead belongs into this line

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._words = event.value.strip()
        self._fill()

    @on(Input.Submitted, "#filter")
    def _filter_taken(self) -> None:
        self.query_one("#filter").set_class(bool(self._words), "shown")
        self._list.focus()

    def action_clear_filter(self) -> None:
        """Show all runs."""
        line = self.query_one("#filter", Input)
        line.remove_class("shown")
        line.value = ""
        self._list.focus()


def url_problem(text: str) -> str | None:
    """Why a text is no URL of a storage."""
    return None if "://" in text.strip(":/") else "Write a URL, such as sqlite:///study.db"


def count_problem(text: str) -> str | None:
    """Why a text is no number of trials to add."""
    return None if text.strip().isdigit() and 0 < int(text) <= 1_000_000 else "Write a whole number, such as 20"
