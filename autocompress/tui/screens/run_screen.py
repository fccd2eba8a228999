"""What all screens of one run have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from autocompress.tui.attachment import Attachment
from autocompress.tui.model.run_state import RunState
from autocompress.tui.theme import Glyphs

if TYPE_CHECKING:
    from autocompress.tui.app import AutocompressApp


class RunScreen(Screen[None]):
    """A screen over the run that the app is attached to; the app calls `refresh_run` when something changed."""

    @property
    def owner(self) -> AutocompressApp:
        """The app, as what it is."""
        from autocompress.tui.app import AutocompressApp

        return cast(AutocompressApp, self.app)

    @property
    def attachment(self) -> Attachment:
        """The run."""
        attachment = self.owner.attachment
        assert attachment is not None
        return attachment

    @property
    def state(self) -> RunState:
        """What is known of the run."""
        return self.attachment.state

    @property
    def glyphs(self) -> Glyphs:
        """What to draw with."""
        return self.owner.glyphs

    def refresh_run(self) -> None:
        """Draw what changed; called after new events, and when the screen is shown again."""

    def refresh_clock(self) -> None:
        """Draw what changes with time alone; called every second."""

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was on top."""
        if self.owner.attachment is not None:
            self.refresh_run()
