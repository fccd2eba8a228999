"""The terminal application: it holds the attachment, polls it, and shows the screens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from autocompress.tui.attachment import Attachment
from autocompress.tui.model.view import View
from autocompress.tui.screens.dashboard import DashboardScreen
from autocompress.tui.screens.help import HelpScreen
from autocompress.tui.screens.run_screen import RunScreen
from autocompress.tui.screens.standing import while_it_stands
from autocompress.tui.screens.too_small import TooSmallScreen, is_too_small
from autocompress.tui.theme import ASCII, THEMES, UNICODE, Glyphs

INTERNAL = 3
"""The exit code of what was not foreseen."""
POLLS_PER_SECOND = 5
POLLS_PER_SECOND_OVER_SSH = 2
SECONDS_BETWEEN_CLOCKS = 1.0
SECONDS_TO_CATCH_UP = 1.5
"""What opening a long log may take before the first picture; the rest is read while it is shown."""
SECONDS_BETWEEN_PICTURES_OF_THE_PAST = 1.0


class _PlainBars(ScrollBarRender):
    """Scrollbars without block characters."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


class AutocompressApp(App[None]):
    """Watches runs and steers them; without one to open it begins with the list of runs.

    Args:
        attachment: the run to open.
        root: the folder of the runs.
        ascii_only: draw with ASCII characters.
        theme: ``dark`` or ``light``.
    """

    TITLE = "autocompress"
    ENABLE_COMMAND_PALETTE = True
    CSS = """
    .-ascii Toast { border-left: ascii $primary; }
    .-ascii FooterKey.-command-palette { border-left: none; }
    .-ascii * { text-overflow: clip !important; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(
        self,
        attachment: Attachment | None = None,
        *,
        root: Path,
        ascii_only: bool = False,
        theme: str = "dark",
    ) -> None:
        super().__init__()
        for each in THEMES:
            self.register_theme(each)
        self.theme = f"autocompress-{theme}"
        self.attachment = attachment
        self.opened_with_run = attachment is not None  # leaving that run leaves the app
        self.view = View()
        self.root = root
        self._drawn = 0.0
        self.glyphs: Glyphs = ASCII if ascii_only else UNICODE
        self.set_class(ascii_only, "-ascii")  # styles that draw borders have a second version below this class
        ScrollBar.renderer = _PlainBars if ascii_only else ScrollBarRender

    def on_mount(self) -> None:
        """Show the first screen and begin to poll."""
        if self.attachment is not None:
            self.attachment.poll(SECONDS_TO_CATCH_UP)
            self.push_screen(DashboardScreen())
        else:
            self._show_runs()
        self._cover_where_too_small(self.size)
        rate = POLLS_PER_SECOND_OVER_SSH if "SSH_CONNECTION" in os.environ else POLLS_PER_SECOND
        self._poll_timer = self.set_interval(1 / rate, self._poll)
        self._clock_timer = self.set_interval(SECONDS_BETWEEN_CLOCKS, self._tick)

    def on_resize(self, event: events.Resize) -> None:
        """Cover the screens, or show them again."""
        self._cover_where_too_small(event.size)

    def _cover_where_too_small(self, size: Size) -> None:
        """Say plainly that there is too little room, rather than clip."""
        is_covered, is_small = isinstance(self.screen, TooSmallScreen), is_too_small(size)
        if is_covered and not is_small:
            self.pop_screen()
        elif is_small and not is_covered and len(self.screen_stack) > 1:
            self.push_screen(TooSmallScreen())

    def open_run(self, attachment: Attachment) -> None:
        """Attach to a run and show its dashboard."""
        self.detach()
        self.attachment, self.view, self.opened_with_run = attachment, View(), False
        attachment.poll(SECONDS_TO_CATCH_UP)
        self.push_screen(DashboardScreen())

    def detach(self) -> None:
        """Let go of the run, and show the list of runs; the search in it goes on."""
        while isinstance(self.screen, RunScreen):
            self.pop_screen()
        if len(self.screen_stack) == 1:  # the run was opened at once
            self._show_runs()
        if self.attachment is not None:
            self._come_back_from(self.attachment.folder)
            self.attachment.close()
            self.attachment = None

    def _show_runs(self) -> None:
        from autocompress.tui.screens.runs import RunsScreen

        self.push_screen(RunsScreen())

    def _come_back_from(self, folder: Path | None) -> None:
        from autocompress.tui.screens.runs import RunsScreen

        if isinstance(self.screen, RunsScreen):
            self.screen.left = folder

    def on_unmount(self) -> None:
        """Close what was opened."""
        if self.attachment is not None:
            self.attachment.close()

    def _fatal_error(self) -> None:
        """End as the command line does, once the terminal is given back: in a sentence, with a traceback on demand."""
        if os.environ.get("AUTOCOMPRESS_DEBUG"):
            super()._fatal_error()
            return
        self._return_code = INTERNAL
        error = self._exception
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = f"({type(error).__name__}; run with --debug for the traceback)"
        self.panic(Text.assemble(("error: ", "bold red"), f"{told} {remedy}"))

    @property
    def _run_screen(self) -> RunScreen | None:
        """The screen on top, if it is of a run."""
        stack = self.screen_stack
        top = stack[-1] if stack else None
        return top if isinstance(top, RunScreen) else None

    def _poll(self) -> None:
        attachment = self.attachment
        if attachment is None or not attachment.poll() or (screen := self._run_screen) is None:
            return
        if attachment.is_behind and time.monotonic() - self._drawn < SECONDS_BETWEEN_PICTURES_OF_THE_PAST:
            return  # reading on is worth more than drawing what is out of date
        self._drawn = time.monotonic()
        while_it_stands(screen, screen.refresh_run)

    def _tick(self) -> None:
        if self.attachment is not None and (screen := self._run_screen) is not None:
            while_it_stands(screen, screen.refresh_clock)

    def get_key_display(self, binding: Binding) -> str:
        """A key as footers and the palette name it."""
        return self.glyphs.plain(super().get_key_display(binding))

    def action_help(self) -> None:
        """Show the keys of the screen on top."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_toggle_theme(self) -> None:
        """Switch between dark and light."""
        self.theme = "autocompress-light" if self.theme.endswith("dark") else "autocompress-dark"

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the command palette offers: every key of the screen by its name, and the theme."""
        yield SystemCommand("Theme: dark or light", "Switch between the two themes", self.action_toggle_theme)
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.description and active.enabled and binding.action != "app.command_palette":
                yield SystemCommand(
                    binding.description,
                    binding.tooltip or f"key {self.get_key_display(binding)}",
                    lambda action=binding.action, node=active.node: self.run_worker(self.run_action(action, node)),
                )
