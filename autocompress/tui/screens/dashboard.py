"""One run on one screen: header, trials, front, detail, and what runs now."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Footer, Static

from autocompress.tui.screens.run_screen import RunScreen


class DashboardScreen(RunScreen):
    """The main screen."""

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(id="all")
        yield Footer()

    def refresh_run(self) -> None:
        """Draw."""
        self.query_one("#all", Static).update(f"{self.state.name} {self.state.n_ended}/{self.state.total}")
