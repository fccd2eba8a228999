"""Step 4: the limits, each with what it means in units, and what the best is chosen by."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Static

from autocompress.limits import LIMIT_NAMES
from autocompress.tui.model.draft import PREFERENCES
from autocompress.tui.model.limit_words import limit_meaning, told, told_metric
from autocompress.tui.screens.wizard.choice_list import Choice, ChoiceList
from autocompress.tui.screens.wizard.field import Field
from autocompress.tui.screens.wizard.step import Step

LABELS = {
    "quality_drop": ("Quality loss", "1pp, 1%, 0.01"),
    "size": ("Size", "25MB, 0.3x"),
    "latency": ("Latency", "20ms, 0.5x"),
    "ram": ("Memory", "2GB, 0.5x"),
    "vram": ("GPU memory", "2GB, 0.5x"),
}


class LimitsStep(Step):
    """Upper limits, and the preference among what keeps them."""

    title = "Limits"

    def compose(self) -> ComposeResult:
        """A field for each limit."""
        yield Static("How much may be lost, and how small must it become? Empty: no limit.", classes="heading")
        yield Static(id="original", classes="quiet")
        for name in LIMIT_NAMES:
            label, placeholder = LABELS[name]
            yield Field(label, placeholder, id=name)
        yield Static("\nAmong the recipes that keep all limits, the best is", classes="heading")
        yield ChoiceList(is_single=True, label_width=9, id="prefer")

    def show(self) -> None:
        """Fill in what was written, or suggested."""
        baseline = self.probe.baseline
        if baseline:
            figures = (
                f"{baseline.metric} {told_metric(baseline.value, baseline)}",
                told("size", baseline.size_bytes),
                told("latency", baseline.p50_ms),
                *([f"{told('ram', baseline.ram_bytes)} memory"] if baseline.ram_bytes else []),
            )
            text = f"The original: {' · '.join(figures)}"
        else:
            text = "The original was not measured; limits relative to it can be set all the same."
        self.query_one("#original", Static).update(self.glyphs.plain(text))
        for name in LIMIT_NAMES:
            field = self.query_one(f"#{name}", Field)
            field.fill(self.draft.limits.get(name, ""))
            if name == "vram":
                field.input.disabled = self.draft.device == "cpu" and not self.draft.limits.get("vram", "")
            self._tell(name)
        choices = [Choice(name, name, text) for name, text in PREFERENCES.items()]
        self.query_one(ChoiceList).fill(choices, {self.draft.prefer}, self.glyphs)
        self.query_one("#quality_drop", Field).input.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        field = event.input.parent
        if isinstance(field, Field) and field.id:
            self.draft.limits[field.id] = event.value
            self.draft.edited_limits.add(field.id)
            self._tell(field.id)
            self.wizard.tell("")

    @on(ChoiceList.Changed)
    def _ticked(self, event: ChoiceList.Changed) -> None:
        self.draft.prefer = next(iter(event.choices.ticked))

    def _tell(self, name: str) -> None:
        text = self.draft.limits.get(name, "")
        problem = self.draft.limit_problem(name, self.probe)
        meaning = "" if problem else limit_meaning(name, text, self.probe.baseline)
        if name == "vram" and self.draft.device == "cpu" and not text:
            meaning = "not on the CPU"
        self.query_one(f"#{name}", Field).tell(meaning, problem, self.glyphs)

    def may_go_on(self) -> bool:
        """Only with limits that can be judged."""
        wrong = next((name for name in LIMIT_NAMES if self.draft.limit_problem(name, self.probe)), None)
        if wrong:
            self.query_one(f"#{wrong}", Field).input.focus()
        return wrong is None
