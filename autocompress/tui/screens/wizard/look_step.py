"""Step 3: a first look at model and data, by a command that runs beside the UI."""

from __future__ import annotations

import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import yaml
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, Label, Select, Static
from textual.worker import Worker

from autocompress.tui.child import running
from autocompress.tui.model.limit_words import told, told_metric
from autocompress.tui.model.probe import Baseline, DataLook, Probe, Problem
from autocompress.tui.screens.standing import while_it_stands
from autocompress.tui.screens.wizard.progress_line import progress_line
from autocompress.tui.screens.wizard.step import Step

PERMISSIONS = {"--allow-pickle": "allow_pickle", "--trust-remote-code": "trust_remote_code"}


class ColumnRow(Horizontal):
    """A role, the column that plays it, and how its first rows look."""

    DEFAULT_CSS = """
    ColumnRow { height: auto; min-height: 1; }
    ColumnRow > Label { width: 12; }
    ColumnRow > Select { width: 22; }
    ColumnRow > .cells { width: 1fr; margin-left: 2; color: $quiet; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, role: str, column: str | None, data: DataLook) -> None:
        super().__init__()
        self.role = role
        self.column = column
        self.data = data

    def compose(self) -> ComposeResult:
        """Role, column, three cells."""
        yield Label(self.role)
        found = self.data.found
        chosen = self.column if self.column in found else Select.NULL
        yield Select([(name, name) for name in found], value=chosen, prompt="choose", compact=True)
        yield Static(classes="cells", markup=False)

    def on_mount(self) -> None:
        """Show the cells."""
        self.show_cells(self.column)

    def show_cells(self, column: str | None) -> None:
        """Show how a column begins."""
        cells = self.data.cells.get(column or "", ())
        self.query_one(".cells", Static).update("\n".join(cells) if cells else "shown after another look")


class LookStep(Step):
    """Task, size, latency and quality of the original; the columns; what can be used here."""

    title = "Measure"
    DEFAULT_CSS = """
    LookStep > #columns { height: auto; }
    LookStep > #columns > Static { margin-top: 1; }
    LookStep > Button { margin-top: 1; }
    LookStep > #allow { display: none; }
    LookStep > #allow.-needed { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.looking: Worker[None] | None = None
        self._started = 0.0
        self._clock: Timer | None = None
        self._was_cancelled = False
        self._shown_data: DataLook | None = None

    def compose(self) -> ComposeResult:
        """What is going on, what was found, the columns."""
        yield Static("A first look: the original is loaded, written out, timed and judged.", classes="heading")
        yield Static(id="going-on", markup=False)
        yield Button("Allow it and look again", id="allow", compact=True)
        yield Static(id="found")
        yield Vertical(id="columns")
        yield Static(id="offers")

    @property
    def is_looking(self) -> bool:
        """Whether there is more to come."""
        return self.looking is not None and not self.looking.is_finished and not self.probe.is_complete

    @property
    def is_outdated(self) -> bool:
        """Whether something else is to be looked at than what was."""
        return self.wizard.probed != self.draft.subject()

    def show(self) -> None:
        """Look, unless that was done."""
        if self.is_looking or (not self.is_outdated and self.probe.is_complete):
            self._draw()
            self.wizard.focus_next_button()
        else:
            self.look()

    def leave(self) -> None:
        """A look goes on only while it is watched."""
        if self.is_looking:
            self._stop()

    def look(self) -> None:
        """Start, or start again."""
        self._stop()
        wizard = self.wizard
        wizard.probe, wizard.probed = Probe(), self.draft.subject()
        self._was_cancelled = False
        self._started = time.monotonic()
        self._clock = self.set_interval(1.0, self._tick)
        self.looking = self.run_worker(self._look(wizard.probed), group="look")
        self._draw()
        wizard.set_focus(None)

    def cancel(self) -> None:
        """End it; what was found so far stays."""
        self._was_cancelled = True
        self._stop()
        self._draw()

    def _stop(self) -> None:
        if self.looking is not None:
            self.looking.cancel()
            self.looking = None
        if self._clock is not None:
            self._clock.stop()
            self._clock = None

    async def _look(self, subject: dict[str, Any]) -> None:
        probe = self.probe
        with tempfile.TemporaryDirectory(prefix="autocompress-look-") as folder:
            spec = Path(folder) / "spec.yaml"
            spec.write_text(yaml.safe_dump(subject, sort_keys=False, allow_unicode=True), encoding="utf-8")
            async with running([*self.wizard.program, "probe", str(spec), "--json"]) as child:
                async with aclosing(child.lines()) as lines:
                    async for line in lines:
                        probe.take(line)
                        if line.get("kind") == "step":
                            self._tick()
                        elif probe.is_complete:  # the command still has to end, which nobody need wait for
                            self._end(probe)
                        else:
                            self._draw()
                if probe.is_complete:
                    return
                if probe.problem is None:
                    probe.problem = Problem(child.last_words)
        self.looking = None
        self._end(probe)

    def _end(self, probe: Probe) -> None:
        """Draw all that was found."""
        if self._clock is not None:
            self._clock.stop()
            self._clock = None
        if probe.is_complete:
            self.draft.suggest(probe)
        self._draw()
        if probe.is_complete:
            while_it_stands(self, self.wizard.focus_next_button)

    def may_go_on(self) -> bool:
        """Once the original is measured; or without, where the look was called off."""
        if self.is_looking:
            self.wizard.tell("Wait for the figures, or cancel with esc.")
            return False
        if self.is_outdated or (self.probe.problem and not self._was_cancelled):
            self.look()
            return False
        return True

    def _draw(self) -> None:
        while_it_stands(self, self._draw_all)  # the look may be quicker than the screen, or outlive it

    def _tick(self) -> None:
        while_it_stands(self, self._draw_progress)

    def _draw_all(self) -> None:
        self._draw_progress()
        self._draw_found()
        self._draw_columns()
        self.wizard.refresh_buttons()

    def _draw_progress(self) -> None:
        probe, glyphs = self.probe, self.glyphs
        problem = None if self._was_cancelled or self.is_looking else probe.problem
        if self.is_looking:
            told = progress_line(probe.step or "starting", probe.share, glyphs)
            text = f"{glyphs.running} {told}   {time.monotonic() - self._started:.0f} s"
        elif self._was_cancelled:
            text = "Called off. Next goes on without figures: limits then cannot be told in units."
        elif problem:
            text = f"{glyphs.violates} {problem.sentence}"
        else:
            text = f"{glyphs.done} looked at in full"
        going_on = self.query_one("#going-on", Static)
        going_on.update(glyphs.plain(text))
        going_on.set_class(problem is not None, "wrong")
        self.query_one("#allow", Button).set_class(bool(problem and self._permission), "-needed")

    @property
    def _permission(self) -> str | None:
        problem = self.probe.problem
        told = problem.sentence if problem else ""
        return next((key for flag, key in PERMISSIONS.items() if flag in told), None)

    @on(Button.Pressed, "#allow")
    def _allow(self, event: Button.Pressed) -> None:
        event.stop()
        if self._permission:
            self.draft.permissions.add(self._permission)
            self.look()

    def _draw_found(self) -> None:
        baseline = self.probe.baseline
        self.query_one("#found", Static).update(self._told_baseline(baseline) if baseline else "")
        self.query_one("#offers", Static).update(self._told_offers())

    def _told_baseline(self, baseline: Baseline) -> Content:
        millions = f", {baseline.n_parameters / 1e6:.3g} M parameters" if baseline.n_parameters else ""
        n_samples = baseline.n_samples.get("search")
        judged = f" on {n_samples:,} samples" if n_samples else ""
        figures = [told("size", baseline.size_bytes), f"{told('latency', baseline.p50_ms)} a call"]
        figures.append(f"memory {told('ram', baseline.ram_bytes)}")
        if self.draft.device == "cuda":
            figures.append(f"GPU memory {told('vram', baseline.vram_bytes)}")
        rows = [
            ("model", f"{baseline.architecture}{millions}"),
            ("task", baseline.task),
            ("original", " · ".join(figures)),
            (baseline.metric, f"{told_metric(baseline.value, baseline)}{judged}"),
        ]
        plain = self.glyphs.plain
        parts = [((f"{plain(name):<12}", "$quiet"), f"{plain(text)}\n") for name, text in rows]
        return Content.assemble(*(piece for pair in parts for piece in pair)).rstrip()

    def _told_offers(self) -> Content:
        probe = self.probe
        pieces: list[tuple[str, str] | str] = []
        for name, offers in (("formats", probe.formats), ("methods", probe.methods)):
            if offers:
                possible = [offer.name for offer in offers if offer.available]
                told = ", ".join(possible) if name == "formats" else f"{len(possible)} of {len(offers)}"
                pieces += [(f"\n{name:<12}", "$quiet"), f"{told} can be used here"]
        return Content.assemble(*pieces)

    def _draw_columns(self) -> None:
        data = self.probe.data
        if data is self._shown_data:
            return
        self._shown_data = data
        self.call_later(self._rebuild_columns, data)

    async def _rebuild_columns(self, data: DataLook | None) -> None:
        columns = self.query_one("#columns", Vertical)
        await columns.remove_children()
        if data is None or not data.columns:
            return
        rows = f"{data.n_rows:,} rows; are these the right columns?" if data.n_rows is not None else "The columns:"
        await columns.mount(Static(rows, markup=False))
        chosen = self.draft.columns
        await columns.mount(*(ColumnRow(role, chosen.get(role, name), data) for role, name in data.columns.items()))

    @on(Select.Changed)
    def _changed_column(self, event: Select.Changed) -> None:
        row = event.select.parent
        if not isinstance(row, ColumnRow) or event.value is Select.NULL or event.value == row.column:
            return
        row.column = str(event.value)
        row.show_cells(row.column)
        self.draft.columns[row.role] = row.column
        if self.is_outdated:
            self.wizard.tell("Other columns need another look: Next looks again.")
        self.wizard.refresh_buttons()
