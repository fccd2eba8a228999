"""Step 6: the budget, the name, what is to be expected by a command that runs beside the UI, and the start."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Static
from textual.worker import Worker

from autocompress.limits import LIMIT_NAMES
from autocompress.report.numbers import seconds_between
from autocompress.runs import fresh_name
from autocompress.tui.child import running
from autocompress.tui.model.expected import Expected
from autocompress.tui.model.limit_words import limit_meaning
from autocompress.tui.model.training_cost import told_duration
from autocompress.tui.screens.standing import while_it_stands
from autocompress.tui.screens.wizard.expected_table import ExpectedTable
from autocompress.tui.screens.wizard.field import Field
from autocompress.tui.screens.wizard.step import Step


class StartStep(Step):
    """How long, under which name, and what it comes to."""

    title = "Start"
    next_label = "Start"
    DEFAULT_CSS = """
    StartStep > #expected { height: 1fr; margin-top: 1; }
    .-tall StartStep > #summary { margin-top: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.expected: Expected | None = None
        self._expected_of: dict[str, Any] | None = None
        self._failure = ""
        self._working: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """The fields, and all that was chosen."""
        yield Static("How much may be tried?", classes="heading")
        yield Field("Trials", "30", id="trials")
        yield Field("Stop after", "15m, 2h", id="timeout")
        yield Field("Name", "my-search", id="name")
        yield ExpectedTable(id="expected")
        yield Static(id="estimate", markup=False)
        yield Static(id="summary")

    def show(self) -> None:
        """Fill in what was written; the run's name comes from the model."""
        draft = self.draft
        if not draft.name.strip() or draft.name == self.wizard.suggested_name:
            draft.name = self.wizard.suggested_name = fresh_name(draft.stem, self.wizard.owner.root)
        for name in ("trials", "timeout", "name"):
            self.query_one(f"#{name}", Field).fill(getattr(draft, name))
        self._expect()
        self._tell()
        self.query_one("#trials", Field).input.focus()

    def leave(self) -> None:
        """What is to be expected is worked out only while somebody waits for it."""
        if self._working is not None:
            self._working.cancel()
            self._working = None

    def _expect(self) -> None:
        """Work out what is to be expected, unless that is known."""
        outline = self.draft.outline(self.probe)
        if self.expected is None or self._expected_of != outline:
            self.leave()
            self.expected, self._expected_of, self._failure = None, outline, ""
            self._working = self.run_worker(self._work_out(outline), group="expect")
        self._draw_expected()

    async def _work_out(self, outline: dict[str, Any]) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="autocompress-estimate-") as folder:
                spec = Path(folder) / "spec.yaml"
                spec.write_text(yaml.safe_dump(outline, sort_keys=False, allow_unicode=True), encoding="utf-8")
                async with running([*self.wizard.program, "estimate", str(spec), "--json"]) as child:
                    output = await child.output()
                    if await child.code():
                        self._failure = child.last_words
                    else:
                        self.expected = Expected.read(output)
        except (OSError, ValueError) as problem:
            self._failure = str(problem)
        self._working = None
        while_it_stands(self, self._draw_expected)
        while_it_stands(self, self._tell)

    def _draw_expected(self) -> None:
        table = self.query_one(ExpectedTable)
        if self.expected is not None:
            table.show_expected(self.expected, self.glyphs)
        elif self._failure:
            table.tell(f"What to expect is not known: {self._failure}", self.glyphs)
        else:
            table.tell("working out what to expect…", self.glyphs)

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
        folder, here = root / draft.name, Path.cwd()
        kept_in = folder.relative_to(here) if folder.is_relative_to(here) else folder
        self.query_one("#trials", Field).tell("recipes tried, the original included", draft.trials_problem(), glyphs)
        meaning = "then the search ends by itself" if draft.timeout.strip() else "no limit"
        self.query_one("#timeout", Field).tell(meaning, draft.timeout_problem(), glyphs)
        self.query_one("#name", Field).tell(f"kept in {kept_in}", draft.name_problem(root), glyphs)
        self.query_one("#estimate", Static).update(glyphs.plain(self._estimate()))
        self.query_one("#summary", Static).update(self._summary())

    def _estimate(self) -> str:
        """How long it takes: by what the original took, or as foretold where that is not known; and how much disk."""
        draft, expected, trials = self.draft, self.expected, self.draft.trial_count()
        if trials is None:
            return ""
        seconds, per_trial = draft.estimated_seconds(self.probe), self.probe.seconds_per_trial
        if seconds is not None and per_trial is not None:
            each = told_duration(per_trial)
            told = f"About {told_duration(seconds)}: {trials} trials of {each}, as the original took"
        elif expected is not None:
            low, seconds = expected.cost.seconds(trials)
            told = f"About {seconds_between(low, seconds)} for {trials} trials"
        elif self._working is not None:
            return ""
        else:
            return "How long it takes is not known: the original was not measured."
        told += f"; {expected.told_disk(trials)}." if expected is not None else "."
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
        device = "CPU" if draft.device == "cpu" else "CUDA"
        rows = [
            ("Model", draft.model.strip()),
            ("Data", draft.data.strip() or ", ".join(draft.data_parts.values()) or "its own"),
            *(("Limits" if not number else "", text) for number, text in enumerate(limits or ["none"])),
            ("Best by", f"{draft.prefer}; on {device}, threads: {draft.threads.strip() or 1}"),
            ("Made of", f"{n_methods} methods, {', '.join(sorted(formats))}" if formats else "all that can be used"),
        ]
        plain = self.glyphs.plain
        return Content("\n").join([Content.assemble((f"{name:<14}", "$quiet"), plain(text)) for name, text in rows])

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
