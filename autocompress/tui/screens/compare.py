"""Trials side by side: what differs stands out, and the best figure is marked only where its interval separates it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from autocompress.tui.model.figure_rows import FigureRow, figure_rows
from autocompress.tui.model.ties import Mark, marks
from autocompress.tui.model.trial import Trial
from autocompress.tui.screens.run_screen import RunScreen
from autocompress.tui.screens.standing import while_it_stands
from autocompress.tui.widgets.trial_text import is_broken, seconds_text, verdict_of

NAME_WIDTH = 18
NARROWEST, WIDEST = 18, 30
MARK_WIDTH = 4


class CompareScreen(RunScreen, ModalScreen[None]):
    """A table with a column for each trial.

    Args:
        numbers: of the trials, in the order of the columns.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,c", "app.pop_screen", "Back", key_display="esc"),
        Binding("d", "toggle_same", "Differences only", tooltip="Hide the rows that are the same for all"),
        Binding("h,left", "scroll(-1, 0)", "Left", show=False),
        Binding("l,right", "scroll(1, 0)", "Right", show=False),
        Binding("j,down", "scroll(0, 1)", "Down", show=False),
        Binding("k,up", "scroll(0, -1)", "Up", show=False),
    ]
    SCOPED_CSS = False
    CSS = """
    CompareScreen { align: center middle; }
    CompareScreen #window {
        width: auto; height: auto; max-width: 100%; max-height: 100%; background: $surface;
        border: round $primary; border-title-color: $primary; border-subtitle-color: $quiet; padding: 0 1;
    }
    .-ascii CompareScreen #window { border: ascii $primary; }
    CompareScreen #scroll { width: auto; height: auto; max-width: 100%; max-height: 100%; }
    CompareScreen #table { width: auto; height: auto; text-wrap: nowrap; }
    CompareScreen #legend { color: $quiet; height: auto; width: auto; max-width: 100%; }
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self.numbers = tuple(numbers)
        self._only_differences = False
        self._drawn: int | None = None

    def compose(self) -> ComposeResult:
        """A window around the table."""
        with Vertical(id="window") as window:
            window.border_title = "Compare"
            window.border_subtitle = "d differences only   esc back"
            with ScrollableContainer(id="scroll"):
                yield Static(id="table")
            yield Static(id="legend")

    def on_mount(self) -> None:
        """Draw."""
        self.query_one("#scroll").focus()
        self.refresh_run()

    def on_resize(self) -> None:
        """Columns share the width."""
        self._drawn = None
        while_it_stands(self, self.refresh_run)

    def refresh_run(self) -> None:
        """Draw again where figures or limits changed."""
        if self._drawn == self.state.trials_revision:
            return
        self._drawn = self.state.trials_revision
        trials = [self.state.trials[number] for number in self.numbers if number in self.state.trials]
        table, legend = self.query_one("#table", Static), self.query_one("#legend", Static)
        if not trials:
            table.update("There is nothing to compare: mark trials with the space key first.")
            legend.update("")
            return
        glyphs = self.glyphs
        sign = "<" if glyphs.is_ascii else "◄"
        table.update(Content("\n").join(self._lines(trials, sign)))
        words = f"{sign} best   tie: intervals overlap   RAM is one reading, so not ranked"
        if any(trial.contended for trial in trials):
            words += f"\n{glyphs.contended} the machine was busy while this was timed"
        legend.update(words)
        around = 2 + words.count("\n") + 1  # the frame, and the legend below the table
        self.query_one("#scroll").styles.max_height = max(3, self.size.height - around)

    def _lines(self, trials: list[Trial], sign: str) -> list[Content]:
        glyphs, state = self.glyphs, self.state
        room = max(0, self.size.width - NAME_WIDTH - 6) // len(trials)
        width = min(WIDEST, max(NARROWEST, room))
        heads = [(f"#{trial.number}", "bold") for trial in trials]
        lines = [_line("", heads, width)]
        verdicts = [verdict_of(state, trial, glyphs) for trial in trials]
        lines.append(_line("", [(f"{glyph} {_verdict_word(words)}", style) for glyph, words, style in verdicts], width))
        recipes = [self.attachment.record(trial).get("recipe") or {} for trial in trials]
        for name, values in knob_rows(trials, recipes):
            lines += self._knob_line(name, values, width)
        lines.append(Content(""))
        with_energy = any(trial.energy for trial in trials)
        rows = [figure_rows(trial, state.metric, with_energy=with_energy) for trial in trials]
        for column in zip(*rows, strict=True):
            lines += self._figure_line(trials, column, width, sign)
        spent = [seconds_text(t.wall_seconds) if t.wall_seconds is not None else glyphs.not_measured for t in trials]
        lines.append(_line("trial took", [(glyphs.plain(each), "$quiet") for each in spent], width))
        return lines

    def _knob_line(self, name: str, values: list[str], width: int) -> list[Content]:
        same = len(set(values)) == 1
        if same and self._only_differences:
            return []
        style = "$quiet" if same else "bold $accent"
        return [
            _line(
                name, [(self.glyphs.shortened(self.glyphs.plain(v), width - MARK_WIDTH), style) for v in values], width
            )
        ]

    def _figure_line(self, trials: list[Trial], column: Sequence[FigureRow], width: int, sign: str) -> list[Content]:
        glyphs, name = self.glyphs, column[0].name
        texts = [glyphs.plain(row.text) for row in column]
        same = len(set(texts)) == 1
        if self._only_differences and same:
            return []
        found = marks([row.ranked_by for row in column], smaller_is_better=column[0].smaller_is_better)
        cells = []
        for trial, row, text, mark in zip(trials, column, texts, found, strict=True):
            style = "$quiet" if same or not row.is_measured else "bold $front" if mark == "best" else "$feasible"
            if is_broken(row, trial, self.state):
                style = f"{style} underline"
            cells.append((text, style))
        lines = [_line(glyphs.plain(name), cells, width, [_mark_word(mark, sign) for mark in found])]
        if any(row.interval for row in column):
            lines.append(_line("", [(glyphs.plain(row.interval), "$quiet") for row in column], width))
        return lines

    def action_toggle_same(self) -> None:
        """Hide or show what is the same for all."""
        self._only_differences = not self._only_differences
        self._drawn = None
        while_it_stands(self, self.refresh_run)

    def action_scroll(self, columns: int, rows: int) -> None:
        """Scroll by a column of figures or by a row."""
        self.query_one("#scroll").scroll_relative(columns * NARROWEST, rows, animate=False)


def knob_rows(trials: Sequence[Trial], recipes: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """A row for each method that any of the recipes uses, in the order of use, and one for the format.

    A cell is the step's label, with the knobs that differ between the trials where labels don't show it.
    """
    methods: list[str] = []
    steps: list[dict[str, tuple[str, dict[str, Any]]]] = []
    for trial, recipe in zip(trials, recipes, strict=True):
        mine: dict[str, tuple[str, dict[str, Any]]] = {}
        plain = recipe.get("steps") or [{label.split(" ")[0]: {}} for label in trial.labels]
        for step, label in zip(plain, trial.labels, strict=False):
            tag = next(iter(step))
            mine[tag] = label, step[tag] or {}
            if tag not in methods:
                methods.append(tag)
        steps.append(mine)
    rows = []
    for method in methods:
        labels = [mine[method][0] if method in mine else "–" for mine in steps]
        knobs = [mine[method][1] for mine in steps if method in mine]
        names = [n for n in {n: None for each in knobs for n in each} if len({str(each.get(n)) for each in knobs}) > 1]
        hidden = names if len(set(labels)) < len({str(each) for each in knobs}) else []
        cells = [_cell(mine.get(method), hidden) for mine in steps]
        rows.append((method.replace("_", " "), cells))
    return [*rows, ("format", [trial.format for trial in trials])]


def _cell(step: tuple[str, dict[str, Any]] | None, knobs: Sequence[str]) -> str:
    if step is None:
        return "–"
    label, values = step
    told = [f"{name.replace('_', ' ')} {values[name]}" for name in knobs if name in values]
    return ", ".join([label, *told])


def _verdict_word(words: str) -> str:
    return "over a limit" if words.startswith("breaks") else "feasible" if words.startswith("inside") else words


def _mark_word(mark: Mark | None, sign: str) -> str:
    return {"best": sign, "tie": "tie", None: ""}[mark]


def _line(name: str, cells: Sequence[tuple[str, str]], width: int, words: Sequence[str] = ()) -> Content:
    """A row: the name, then cells to the right, each with room for a mark behind."""
    parts: list[tuple[str, str] | str] = [(f"{name[:NAME_WIDTH]:<{NAME_WIDTH}}", "$quiet")]
    for (text, style), word in zip(cells, words or [""] * len(cells), strict=True):
        parts += [" " * max(0, width - MARK_WIDTH - len(text)), (text, style)]
        parts.append((f" {word:<{MARK_WIDTH - 1}}", "$quiet" if word == "tie" else "bold $front"))
    return Content.assemble(*parts)
