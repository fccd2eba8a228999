"""What all screens of one run have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from autocompress.tui.attachment import Attachment
from autocompress.tui.model.run_state import RunState
from autocompress.tui.screens.standing import while_it_stands
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

    def tell(self, text: str, *, accepted: bool | None = None) -> None:
        """Show a sentence.

        Args:
            text: what to say.
            accepted: whether something was done as asked; None where nothing was asked.
        """
        self.notify(self.glyphs.plain(text), severity="error" if accepted is False else "information")

    async def keep_note(self, number: int, text: str) -> None:
        """Keep a note in a run that no search works in; its log then tells it to the screens."""
        from autocompress.tui.command_output import CommandFailed, output_of

        try:
            told = await output_of("steer", str(self.attachment.folder), "note", "--", str(number), text)
        except CommandFailed as problem:
            self.tell(str(problem), accepted=False)
        else:
            self.tell(told.strip(), accepted=True)

    def refresh_run(self) -> None:
        """Draw what changed; called after new events, and when the screen is shown again."""

    def refresh_clock(self) -> None:
        """Draw what changes with time alone; called every second."""

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was on top."""
        if self.owner.attachment is not None:
            while_it_stands(self, self.refresh_run)
