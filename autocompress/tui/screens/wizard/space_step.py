"""Step 5: the formats and methods that may be used."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static

from autocompress.tui.model.draft import default_names
from autocompress.tui.model.probe import Offer
from autocompress.tui.model.training_cost import told_training_cost
from autocompress.tui.screens.wizard.choice_list import Choice, ChoiceList
from autocompress.tui.screens.wizard.step import Step

PHASES = {
    "structure": "a smaller architecture",
    "prune": "single weights to zero",
    "distil": "training towards the original",
    "cluster": "few distinct values",
    "quantize": "weights as small integers",
    "compute": "what the runtime computes in",
}


class SpaceStep(Step):
    """What recipes may be made of."""

    title = "Methods"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "tick_all", "All"),
        Binding("d", "tick_default", "Default"),
        Binding("x", "untick_methods", "No method", show=False),
        Binding("y", "copy_install", "Copy the command that installs it", show=False),
    ]
    DEFAULT_CSS = """
    SpaceStep { overflow: hidden; }
    SpaceStep > ChoiceList { height: 1fr; }
    SpaceStep > #about { height: 3; margin-top: 1; }
    """

    def compose(self) -> ComposeResult:
        """The list, and more about the row under the cursor."""
        yield Static("What may recipes be made of?", classes="heading")
        yield ChoiceList(id="space")
        yield Static(id="about")

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Formats, then methods; a name can stand in both."""
        return self.probe.formats + self.probe.methods

    def show(self) -> None:
        """Fill in what was chosen."""
        probe, draft = self.probe, self.draft
        choices = [Choice("", "Formats")] if probe.formats else []
        choices += [self._choice("format", offer) for offer in probe.formats]
        for phase, offers in groupby(probe.methods, key=lambda offer: offer.phase):
            choices.append(Choice("", f"{phase.capitalize()}: {PHASES.get(phase, 'methods')}"))
            choices += [self._choice("method", offer) for offer in offers]
        ticked = {f"format {name}" for name in draft.chosen(probe.formats, draft.formats)}
        ticked |= {f"method {name}" for name in draft.chosen(probe.methods, draft.methods)}
        choice_list = self.query_one(ChoiceList)
        choice_list.fill(choices, ticked, self.glyphs)
        choice_list.focus()
        self._tell_about()

    def _choice(self, kind: str, offer: Offer) -> Choice:
        cost = told_training_cost(offer, self.probe.baseline) if offer.trains else None
        reason = (offer.reason or "not available") if not offer.available else None
        return Choice(f"{kind} {offer.name}", offer.name, offer.summary, reason, cost)

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        self._tell_about()

    def _tell_about(self) -> None:
        self.query_one("#about", Static).update(self._about())

    def _about(self) -> Content:
        offer = self._pointed_at()
        if offer is None:
            told = "Nothing is known of this machine's formats and methods; all that can be used will be."
            return Content(told if not self.offers else "")
        plain = self.glyphs.plain
        if not offer.available:
            install = f"\nTo have it: {offer.install}" if offer.install else ""
            copies = "   (y copies the command)" if offer.install else ""
            return Content.assemble((f"{offer.name} cannot be used: {plain(offer.reason or '')}{install}", ""), copies)
        why = ""
        if offer.trains:
            why = "\nIt trains, so trials with it take minutes; off until you tick it."
        elif not offer.by_default:
            why = "\nFor other software to run; tried only where it is ticked."
        return Content(plain(f"{offer.name}: {offer.summary}{why}"))

    def _pointed_at(self) -> Offer | None:
        choice = self.query_one(ChoiceList).pointed_at
        if choice is None or not choice.key:
            return None
        kind, _, name = choice.key.partition(" ")
        offers = self.probe.formats if kind == "format" else self.probe.methods
        return next((offer for offer in offers if offer.name == name), None)

    @on(ChoiceList.Changed)
    def _ticked(self, event: ChoiceList.Changed) -> None:
        keys = [key.partition(" ") for key in event.choices.ticked]
        self.draft.formats = frozenset(name for kind, _, name in keys if kind == "format")
        self.draft.methods = frozenset(name for kind, _, name in keys if kind == "method")
        self.wizard.tell(self.draft.space_problem(self.probe) or "", is_wrong=True)

    def action_tick_all(self) -> None:
        """Tick all that can be used, what trains among it."""
        choices = self.query_one(ChoiceList)
        choices.tick(choice.key for choice in choices.choices if choice.key and choice.reason is None)

    def action_tick_default(self) -> None:
        """Tick what a search takes by itself."""
        names = {f"format {name}" for name in default_names(self.probe.formats)}
        names |= {f"method {name}" for name in default_names(self.probe.methods)}
        self.query_one(ChoiceList).tick(names)

    def action_untick_methods(self) -> None:
        """Untick all methods, to begin with a few."""
        choices = self.query_one(ChoiceList)
        choices.tick(key for key in choices.ticked if key.startswith("format "))

    def action_copy_install(self) -> None:
        """Copy the command that installs what the cursor is on."""
        offer = self._pointed_at()
        if offer is not None and offer.install:
            self.app.copy_to_clipboard(offer.install)
            self.wizard.tell(f"copied: {offer.install}")

    def may_go_on(self) -> bool:
        """Only with a method and a format."""
        problem = self.draft.space_problem(self.probe)
        if problem:
            self.wizard.tell(problem, is_wrong=True)
            self.query_one(ChoiceList).focus()
        return problem is None
