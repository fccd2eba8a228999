"""What all steps of the wizard have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import VerticalScroll

from autocompress.tui.model.draft import Draft
from autocompress.tui.model.probe import Probe
from autocompress.tui.theme import Glyphs

if TYPE_CHECKING:
    from autocompress.tui.screens.wizard.wizard import WizardScreen


class Step(VerticalScroll, can_focus=False):
    """One page of the wizard; it reads the draft when it is shown and writes it while one types."""

    DEFAULT_CSS = """
    Step { padding: 0 1; }
    Step Static { height: auto; }
    Step .heading { text-style: bold; margin-bottom: 1; }
    Step .quiet { color: $quiet; }
    Step .wrong { color: $error; }
    """
    title: ClassVar[str]
    next_label: ClassVar[str] = "Next"

    @property
    def wizard(self) -> WizardScreen:
        """The wizard that it is a step of."""
        return cast("WizardScreen", self.screen)

    @property
    def draft(self) -> Draft:
        """The search that is being put together."""
        return self.wizard.draft

    @property
    def probe(self) -> Probe:
        """What is known of the model and the data."""
        return self.wizard.probe

    @property
    def glyphs(self) -> Glyphs:
        """What to draw with."""
        return self.wizard.owner.glyphs

    def show(self) -> None:
        """Draw what the draft says, and put the focus where one begins."""

    def leave(self) -> None:
        """End what only runs while it is shown."""

    def may_go_on(self) -> bool:
        """Whether the next step can be shown; says beside its field what is in the way."""
        return True
