"""The table of trials: only the rows that are seen are ever drawn, so that its length costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from autocompress.tui.model.run_state import Running, RunState
from autocompress.tui.model.trial import Trial
from autocompress.tui.model.view import View
from autocompress.tui.theme import UNICODE, Glyphs
from autocompress.tui.widgets.columns import GAP, Column, columns_for
from autocompress.tui.widgets.trial_text import verdict_of

NARROWEST_NUMBER = 3
_GLYPH_STYLES = {"front": "star", "feasible": "kept", "infeasible": "broken"}


class TrialsTable(ScrollView, can_focus=True, inherit_bindings=False):
    """One row a trial, in the view's order; the trial that runs stands above them."""

    BORDER_TITLE = "1 Trials"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "trials--heading",
        "trials--front",
        "trials--feasible",
        "trials--infeasible",
        "trials--ended",
        "trials--running",
        "trials--cursor",
        "trials--star",
        "trials--kept",
        "trials--broken",
        "trials--failed",
        "trials--mark",
    }
    DEFAULT_CSS = """
    TrialsTable {
        overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; background: $background;
        & > .trials--heading { color: $quiet; text-style: bold; }
        & > .trials--front { color: $feasible; text-style: bold; }
        & > .trials--feasible { color: $feasible; }
        & > .trials--infeasible { color: $infeasible; }
        & > .trials--ended { color: $infeasible; text-style: italic; }
        & > .trials--running { color: $primary; }
        & > .trials--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
        & > .trials--star { color: $front; text-style: bold; }
        & > .trials--kept { color: $success; }
        & > .trials--broken { color: $warning; }
        & > .trials--failed { color: $error; text-style: bold; }
        & > .trials--mark { color: $accent; text-style: bold; }
    }
    """

    class Picked(Message):
        """A trial was clicked.

        Args:
            number: of the trial.
            twice: it was a double click.
        """

        def __init__(self, number: int, *, twice: bool) -> None:
            super().__init__()
            self.number, self.twice = number, twice

    class Sorted(Message):
        """A heading was clicked.

        Args:
            column: what sorting calls it.
        """

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._state = RunState()
        self._view = View()
        self._glyphs: Glyphs = UNICODE
        self._rows: list[Trial] = []
        self._current: Trial | None = None
        self._drawn: object = None
        self._is_alive = True
        self.columns: tuple[Column, ...] = ()
        self._label_width = 0
        self._number_width = NARROWEST_NUMBER
        self._styles: dict[str, Style] = {}

    # Taking what is to be drawn -------------------------------------------------------------------------------------

    def show(self, state: RunState, view: View, glyphs: Glyphs, *, is_alive: bool) -> None:
        """Draw this; does nothing where it would look the same.

        Args:
            state: the run.
            view: what is to be seen of it.
            glyphs: what to draw with.
            is_alive: whether the trials that have not ended may still run.
        """
        rows, current = view.rows(state), view.current(state)
        running = tuple(state.all_running)
        now = (state, id(rows), state.trials_revision, view.revision, running, state.best, is_alive)
        if now == self._drawn:
            if current is not self._current:
                self._move_cursor(current)
            return
        anchor, offset = self._anchor()
        had_running = self._n_heading_lines
        self._state, self._view, self._glyphs, self._rows = state, view, glyphs, rows
        self._current, self._drawn, self._is_alive = current, now, is_alive
        self._lay_out()
        self._set_height(len(rows) + self._n_heading_lines)
        place = view.place(state, anchor.number if anchor else None)
        if place is not None:
            self._scroll_rows(place - offset)
        if view.follow or self._n_heading_lines != had_running:
            self.reveal()
        self.border_subtitle = self._subtitle()
        self.refresh()

    def _set_height(self, height: int) -> None:
        """Tell the scrollbar how long the table is, without laying out the whole screen for each trial."""
        self.set_reactive(TrialsTable.virtual_size, Size(0, height))
        self._scroll_update(self.virtual_size)

    def _anchor(self) -> tuple[Trial | None, int]:
        """The trial that keeps its place on the screen when rows come or go, and its line there."""
        top = round(self.scroll_y)
        current = self._view.place(self._state, self._current.number) if self._current and self._rows else None
        if self._view.cursor is not None and current is not None and 0 <= current - top < self._n_visible:
            return self._current, current - top
        if top and top < len(self._rows):
            return self._rows[top], 0
        return None, 0

    def _subtitle(self) -> str:
        shown, all_ = len(self._rows), self._state.n_ended
        words = [f"{shown} of {all_}" if self._view.is_filtered else f"{all_}"]
        if self._view.filter.text:
            words.insert(0, f"/ {self._view.filter.text}")
        if self._view.hide_infeasible:
            words.insert(0, "feasible only")
        if self._view.marks:
            words.insert(0, f"{len(self._view.marks)} marked")
        if self._view.follow:
            words.insert(0, "follows the newest")
        return self._glyphs.plain("  ".join(words)).replace("[", r"\[")

    @property
    def _n_heading_lines(self) -> int:
        return 1 + len(self._unfinished)

    @property
    def _unfinished(self) -> list[Running]:
        """The trials that run, each with a row of its own above the others."""
        return [running for running in self._state.all_running.values() if running.is_trial]

    @property
    def _n_visible(self) -> int:
        return max(0, self.scrollable_content_region.height - self._n_heading_lines)

    def _lay_out(self) -> None:
        trials = self._state.trials
        biggest = max(next(reversed(trials), 0), *self._state.all_running, 0)
        self._number_width = max(NARROWEST_NUMBER, len(str(biggest)))
        some = self._state.original or next(iter(trials.values()), None)
        width = self.scrollable_content_region.width - self._number_width - 4 - GAP
        self.columns, self._label_width = columns_for(
            width,
            self._state.constraints,
            has_ram=some is not None and some.ram_bytes is not None,
            has_vram=some is not None and some.vram_bytes is not None,
        )

    def on_resize(self) -> None:
        """Other columns fit now."""
        self._lay_out()
        self.reveal()
        self.refresh()

    def notify_style_update(self) -> None:
        """The theme changed."""
        super().notify_style_update()
        self._styles.clear()

    # The cursor -----------------------------------------------------------------------------------------------------

    def _move_cursor(self, current: Trial | None) -> None:
        before, self._current = self._current, current
        self.reveal()
        for trial in (before, current):
            place = self._view.place(self._state, trial.number) if trial else None
            if place is not None:
                self.refresh_lines(place + self._n_heading_lines, 1)

    def reveal(self) -> None:
        """Scroll so that the cursor is seen, if the person put it somewhere."""
        chosen = self._view.cursor is not None or self._view.follow
        place = self._view.place(self._state, self._current.number) if self._current and chosen else None
        if place is None or not self._n_visible:
            return
        top = round(self.scroll_y)
        if place < top:
            self._scroll_rows(place)
        elif place >= top + self._n_visible:
            self._scroll_rows(place - self._n_visible + 1)

    def _scroll_rows(self, top: int) -> None:
        self.scroll_to(y=max(0, top), animate=False)

    @property
    def page(self) -> int:
        """How many rows a page has."""
        return max(1, self._n_visible - 1)

    # The mouse ------------------------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """Pick a trial, or sort by a heading."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            column = self._column_at(offset.x)
            if column is not None:
                self.post_message(self.Sorted(column))
            return
        place = offset.y - self._n_heading_lines + round(self.scroll_y)
        if offset.y >= self._n_heading_lines and place < len(self._rows):
            self.post_message(self.Picked(self._rows[place].number, twice=event.chain > 1))

    def _column_at(self, x: int) -> str | None:
        at = 1 + self._number_width
        if x <= at:
            return "number"
        if x <= at + 2:
            return "status"
        at += 3 + self._label_width
        if x < at:
            return "recipe"
        for column in self.columns:
            at += column.width + GAP
            if x < at:
                return column.sort
        return None

    # Drawing --------------------------------------------------------------------------------------------------------

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(f"trials--{name}") if name else self.rich_style
            self._styles[name] = style
        return style

    def render_line(self, y: int) -> Strip:
        """A line: the headings, a running trial, or one that has ended."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._strip([Segment(self._headings(), self._style("heading"))], width)
        if y < self._n_heading_lines:
            return self._strip([Segment(self._running_row(self._unfinished[y - 1]), self._style("running"))], width)
        place = y - self._n_heading_lines + round(self.scroll_y)
        if place < len(self._rows):
            return self._strip(list(self._row(self._rows[place])), width)
        if not self._rows and y == self._n_heading_lines + 1:
            return self._strip([Segment(self._nothing(), self._style("ended"))], width)
        return Strip.blank(width, self._style(""))

    def _strip(self, segments: list[Segment], width: int) -> Strip:
        ground = self._style("")
        return Strip(segments).adjust_cell_length(width, ground).apply_style(ground)

    def _nothing(self) -> str:
        if self._state.trials:
            return "   nothing here passes the filter; esc clears it"
        return "   no trial has ended yet"

    def _headings(self) -> str:
        arrow = ("v" if self._view.descending else "^") if self._glyphs.is_ascii else "▴▾"[self._view.descending]
        sort = self._view.sort

        def marked(title: str, name: str) -> str:
            return f"{title}{arrow}" if name == sort else title

        recipe = marked("recipe", "recipe") if sort != "status" else f"recipe (by status{arrow})"
        parts = [" ", marked("#", "number").rjust(self._number_width), "   "]
        parts.append(set_cell_size(recipe, self._label_width))
        seen: set[str] = set()
        for column in self.columns:
            title = self._glyphs.plain(column.title)
            if column.sort not in seen:
                seen.add(column.sort)
                title = marked(title, column.sort)
            parts.append(" " * GAP + title[-column.width :].rjust(column.width))
        return "".join(parts)

    def _running_row(self, running: Running) -> str:
        number = str(running.number).rjust(self._number_width)
        label = self._glyphs.plain(running.label)
        if not self._is_alive:
            return f" {number} {self._glyphs.failed} {label}: did not end"
        return f" {number} {self._glyphs.running} {label}"

    def _row(self, trial: Trial) -> Iterator[Segment]:
        """The segments of a trial's row, without gaps between those of one style."""
        state, glyphs = self._state, self._glyphs
        on_front = trial.number in state.front
        is_cursor = self._current is not None and trial.number == self._current.number
        if trial.status != "complete":
            name = "ended"
        elif on_front:
            name = "front"
        else:
            name = "feasible" if trial.is_feasible else "infeasible"
        base = self._style(name)
        over = self._style("cursor") if is_cursor else None
        if over is not None:
            base = base + over
        is_marked = trial.number in self._view.marks
        mark = self._style("mark")
        yield Segment(glyphs.marked if is_marked else " ", mark + over if over else mark)
        yield Segment(f"{trial.number:>{self._number_width}} ", base)
        glyph = verdict_of(state, trial, glyphs)[0]
        style = self._style(_GLYPH_STYLES.get(name, "failed" if glyph == glyphs.failed else "ended"))
        yield Segment(glyph, style + over if over else style)
        yield Segment(f" {self._fitted(self._label(trial), self._label_width)}", base)
        if trial.status != "complete":
            width = sum(column.width + GAP for column in self.columns)
            yield Segment(self._fitted(self._ending(trial).rjust(width), width), base)
            return
        yield from self._figures(trial, base)

    def _ending(self, trial: Trial) -> str:
        words = trial.status.replace("_", " ")
        return self._glyphs.plain(f" {words}: {trial.error}" if trial.error else f" {words}")

    def _label(self, trial: Trial) -> str:
        label = "the original" if trial.origin == "baseline" else trial.label
        if trial.notes:
            label = f"{label} *"
        return self._glyphs.plain(label)

    def _fitted(self, text: str, width: int) -> str:
        if cell_len(text) > width:
            text = set_cell_size(text, max(0, width - 1)).rstrip() + self._glyphs.ellipsis
        return set_cell_size(text, width)

    def _figures(self, trial: Trial, base: Style) -> Iterator[Segment]:
        is_rate = self._state.metric.is_rate if self._state.metric else True
        best = self._state.best_trial if trial.is_feasible and trial.number != self._state.best else None
        underlined = base + Style(underline=True)
        plain = ""
        for column in self.columns:
            text = self._glyphs.plain(column.text(trial, is_rate))
            if best is not None and column.tied and self._ties(trial, best, column.tied):
                text = f"{'=' if self._glyphs.is_ascii else '≈'}{text}"
            plain += " " * (GAP + column.width - len(text))
            if any(trial.violations.get(limit, 0) > 0 for limit in column.limits):
                yield Segment(plain, base)
                yield Segment(text, underlined)
                plain = ""
            else:
                plain += text
        yield Segment(plain, base)

    @staticmethod
    def _ties(trial: Trial, best: Trial, name: str) -> bool:
        mine, its = getattr(trial, name), getattr(best, name)
        return mine is not None and its is not None and bool(mine.overlaps(its))
