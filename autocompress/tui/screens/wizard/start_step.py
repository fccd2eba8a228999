"""Step 6: the budget, the name, and the start."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Static

from autocompress.limits import LIMIT_NAMES
from autocompress.runs import fresh_name
from autocompress.tui.model.limit_words import limit_meaning
from autocompress.tui.model.training_cost import told_duration
from autocompress.tui.screens.wizard.field import Field
from autocompress.tui.screens.wizard.step import Step


class StartStep(Step):
    """How long, under which name, and what it comes to."""

    title = "Start"
    next_label = "Start"

    def compose(self) -> ComposeResult:
        """The fields, and all that was chosen."""
        yield Static("How much may be tried?", classes="heading")
        yield Field("Trials", "30", id="trials")
        yield Field("Stop after", "15m, 2h", id="timeout")
        yield Field("Name", "my-search", id="name")
        yield Static(id="estimate", markup=False)
        yield Static(id="summary")

    def show(self) -> None:
        """Fill in what was written; the run's name comes from the model."""
        draft = self.draft
        if not draft.name.strip() or draft.name == self.wizard.suggested_name:
            draft.name = self.wizard.suggested_name = fresh_name(draft.stem, self.wizard.owner.root)
        for name in ("trials", "timeout", "name"):
            self.query_one(f"#{name}", Field).fill(getattr(draft, name))
        self._tell()
        self.query_one("#trials", Field).input.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        field = event.input.parent
        if isinstance(field, Field) and field.id:
            setattr(self.draft, field.id, event.value)
            self.wizard.tell("")
            self._tell()

    def _tell(self) -> None:
        draft, glyphs = self.draft, self.glyphs
        root = self.wizard.owner.root
        self.query_one("#trials", Field).tell("recipes tried, the original included", draft.trials_problem(), glyphs)
        meaning = "then the search ends by itself" if draft.timeout.strip() else "no limit"
        self.query_one("#timeout", Field).tell(meaning, draft.timeout_problem(), glyphs)
        self.query_one("#name", Field).tell(f"kept in {root / draft.name}", draft.name_problem(root), glyphs)
        self.query_one("#estimate", Static).update(glyphs.plain(f"\n{self._estimate()}"))
        self.query_one("#summary", Static).update(self._summary())

    def _estimate(self) -> str:
        draft, per_trial = self.draft, self.probe.seconds_per_trial
        seconds = draft.estimated_seconds(self.probe)
        if seconds is None or per_trial is None:
            return "How long it takes is not known: the original was not measured."
        told = f"About {told_duration(seconds)}: {draft.trials.strip()} trials of {told_duration(per_trial)}, "
        told += "which the original took. An estimate; smaller models are often faster."
        trained = draft.training_methods(self.probe)
        if trained:
            told += f" Trials with {', '.join(trained)} take minutes more each."
        stop = draft.timeout_seconds()
        if stop is not None and stop < seconds:
            told += f" It stops after {told_duration(stop)}."
        return told

    def _summary(self) -> Content:
        draft, probe = self.draft, self.probe
        limits = [
            limit_meaning(name, text, probe.baseline)
            for name in LIMIT_NAMES
            if (text := draft.limits.get(name, "")).strip() and not draft.limit_problem(name, probe)
        ]
        n_methods, formats = len(draft.chosen(probe.methods, draft.methods)), draft.chosen(probe.formats, draft.formats)
        rows = [
            ("Model", draft.model.strip()),
            ("Data", draft.data.strip() or ", ".join(draft.data_parts.values()) or "its own"),
            ("Runs on", f"{'CPU' if draft.device == 'cpu' else 'CUDA'}, threads: {draft.threads.strip() or 1}"),
            *(("Limits" if not number else "", text) for number, text in enumerate(limits or ["none"])),
            ("Best by", draft.prefer),
            ("Made of", f"{n_methods} methods, {', '.join(sorted(formats))}" if formats else "all that can be used"),
        ]
        plain = self.glyphs.plain
        pieces = [piece for name, text in rows for piece in ((f"\n{name:<14}", "$quiet"), plain(text))]
        return Content.assemble(*pieces)

    def may_go_on(self) -> bool:
        """Only with a budget and a name."""
        problems = {
            "trials": self.draft.trials_problem(),
            "timeout": self.draft.timeout_problem(),
            "name": self.draft.name_problem(self.wizard.owner.root),
        }
        self._tell()
        wrong = next((name for name, problem in problems.items() if problem), None)
        if wrong:
            self.query_one(f"#{wrong}", Field).input.focus()
        return wrong is None
