"""Every run under the runs folder."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer, Static


class RunsScreen(Screen[None]):
    """The list of runs."""

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static("runs")
        yield Footer()
