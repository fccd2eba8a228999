"""The plot: the Pareto front on three pairs of axes, how its volume grew, and what matters."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from autocompress.rounding import percent, significant
from autocompress.tui.model.hypervolume import HypervolumeHistory
from autocompress.tui.model.importance import FEWEST_TRIALS, Importance, importances
from autocompress.tui.model.plot import Dot, Scene, Tick, scene
from autocompress.tui.model.run_state import RunState
from autocompress.tui.model.trial import Trial
from autocompress.tui.model.view import AXES, View
from autocompress.tui.theme import UNICODE, Glyphs
from autocompress.tui.widgets.canvas import DOTS_ACROSS, DOTS_DOWN, Canvas

CELLS_BETWEEN_TICKS = 9
ROWS_BETWEEN_TICKS = 4
GUTTER = 7
"""Cells for the labels of the upright axis."""
REACH = 3
"""A click picks a trial so many cells away at most."""
SECONDS_BETWEEN_PIECES = 0.05
BUCKET_STYLES = ("fast", "middling", "slow")


class FrontPlot(Widget, can_focus=True):
    """Draws what the view's axes say. Left and up are better."""

    BORDER_TITLE = "2 Pareto front"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"plot--{name}"
        for name in (
            *("axis", "title", "dot", "feasible", "edge", "limit", "original", "best", "cursor", "bar", "quiet"),
            *BUCKET_STYLES,
        )
    }
    DEFAULT_CSS = """
    FrontPlot {
        background: $background;
        & > .plot--axis { color: $quiet; }
        & > .plot--quiet { color: $quiet; }
        & > .plot--title { color: $foreground; }
        & > .plot--dot { color: $infeasible 75%; }
        & > .plot--feasible { color: $feasible 55%; }
        & > .plot--edge { color: $front; }
        & > .plot--limit { color: $limit; }
        & > .plot--original { color: $foreground; text-style: bold; }
        & > .plot--fast { color: $fast; text-style: bold; }
        & > .plot--middling { color: $middling; text-style: bold; }
        & > .plot--slow { color: $slow; text-style: bold; }
        & > .plot--best { color: $background; background: $foreground; text-style: bold; }
        & > .plot--cursor { color: $block-cursor-foreground; background: $block-cursor-background; text-style: bold; }
        & > .plot--bar { color: $front; }
    }
    """

    class Picked(Message):
        """A trial's mark was clicked.

        Args:
            number: of the trial.
            twice: it was a double click.
        """

        def __init__(self, number: int, *, twice: bool) -> None:
            super().__init__()
            self.number, self.twice = number, twice

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._state = RunState()
        self._view = View()
        self._glyphs: Glyphs = UNICODE
        self._scene: Scene | None = None
        self._scene_of: object = None
        self._current: Trial | None = None
        self._ground: Canvas | None = None
        self._ground_of: object = None
        self._strips: list[Strip] = []
        self._styles: dict[str, Style] = {}
        self._history = HypervolumeHistory()
        self._history_timer: Timer | None = None
        self._importances: list[Importance] = []
        self._importances_of: object = None
        self._width = self._height = self._plot_width = self._plot_height = 1

    # Taking what is to be drawn -------------------------------------------------------------------------------------

    def show(self, state: RunState, view: View, glyphs: Glyphs) -> None:
        """Draw this; does nothing where it would look the same, or cannot be seen."""
        self._state, self._view, self._glyphs = state, view, glyphs
        if not self.display or not self.size.height:
            return
        current = view.current(state)
        of = (state, state.trials_revision, view.kept_revision, view.axes, self.size, state.best)
        complete = view.axes != AXES.index("hypervolume") or self._history.take(state)
        if of == self._ground_of and current is self._current and complete:
            return
        self._current, self._ground_of = current, of
        self._draw()
        if not complete:  # a long history is read piece by piece
            self._history_timer = self.set_timer(SECONDS_BETWEEN_PIECES, self._go_on)

    def _go_on(self) -> None:
        self.show(self._state, self._view, self._glyphs)

    @property
    def scene(self) -> Scene:
        """What the axes show; where they show no trials, the first pair's."""
        kind = AXES[self._view.axes] if "×" in AXES[self._view.axes] else AXES[0]
        of = (self._state, self._state.trials_revision, self._view.kept_revision, kind)
        if self._scene is None or of != self._scene_of:
            self._scene = scene(self._state, kind, self._view.rows(self._state))
            self._scene_of = of
            self._ground = None
        return self._scene

    def walk(self, by: int) -> int | None:
        """The number of the front's trial so many to the right of the cursor."""
        current = self._view.current(self._state)
        return self.scene.along_front(current.number if current else None, by)

    def on_resize(self) -> None:
        """Another scale fits now."""
        self._ground = None
        self._ground_of = None
        self.show(self._state, self._view, self._glyphs)

    def notify_style_update(self) -> None:
        """The theme changed."""
        super().notify_style_update()
        self._styles.clear()
        if self._strips:
            self._draw()

    # Where things are -----------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Take the size once for each picture: asking a widget for it is dear."""
        self._width, self._height = self.size
        self._plot_width = max(1, self._width - GUTTER - 1)
        self._plot_height = max(1, self._height - 3)

    def _cell(self, x: float, y: float) -> tuple[int, int]:
        """The cell of a place in unit coordinates."""
        column = GUTTER + min(self._plot_width - 1, max(0, int(x * self._plot_width)))
        row = 1 + min(self._plot_height - 1, max(0, int((1 - y) * self._plot_height)))
        return column, row

    def on_click(self, event: events.Click) -> None:
        """Pick the nearest trial."""
        offset = event.get_content_offset(self)
        if offset is None or "×" not in AXES[self._view.axes]:
            return
        nearest, away = None, float(REACH)
        candidates = [*self.scene.front, *([self.scene.original] if self.scene.original else []), *self.scene.dots]
        for dot in candidates:
            column, row = self._cell(dot.x, dot.y)
            distance = max(abs(column - offset.x), 2 * abs(row - offset.y))
            if distance < away:
                nearest, away = dot.trial, distance
        if nearest is not None:
            self.post_message(self.Picked(nearest.number, twice=event.chain > 1))

    # Drawing --------------------------------------------------------------------------------------------------------

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(f"plot--{name}") if name else self.rich_style
            self._styles[name] = style
        return style

    def render_line(self, y: int) -> Strip:
        """A line of what was drawn."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self._style(""))

    def _draw(self) -> None:
        kind = AXES[self._view.axes]
        self._measure()
        self.border_subtitle = ""
        if kind == "hypervolume":
            self.border_title, canvas = "2 Hypervolume", self._draw_history()
        elif kind == "importance":
            self.border_title, canvas = "2 What matters", self._draw_importances()
        else:
            self.border_title, canvas = "2 Pareto front", self._draw_front()
        ground = self._style("")
        self._strips = [strip.apply_style(ground) for strip in canvas.strips(self._style)]
        self.refresh()

    def _blank(self) -> Canvas:
        return Canvas(self._width, self._height, is_ascii=self._glyphs.is_ascii)

    def _draw_front(self) -> Canvas:
        drawn = self.scene
        if drawn.is_empty:
            canvas = self._blank()
            canvas.text(2, 1, "no trial has been measured yet", "quiet")
            return canvas
        if self._ground is None or (self._ground.width, self._ground.height) != (self._width, self._height):
            self._ground = self._draw_ground(drawn)
        canvas = self._ground.copy()
        self._draw_best(canvas, drawn)
        self._draw_cursor(canvas, drawn)
        return canvas

    def _draw_ground(self, drawn: Scene) -> Canvas:
        """All but the best and the cursor."""
        canvas, glyphs = self._blank(), self._glyphs
        left, bottom = GUTTER, 1 + self._plot_height
        self._draw_dots(canvas, drawn.dots)
        self._draw_limits(canvas, drawn)
        self._draw_edge(canvas, drawn)
        canvas.down(left - 1, 1, bottom - 1, "|" if glyphs.is_ascii else "│", "axis")
        canvas.across(bottom, left - 1, self._width - 1, "-" if glyphs.is_ascii else "─", "axis")
        canvas.put(left - 1, bottom, "+" if glyphs.is_ascii else "└", "axis")
        self._draw_ticks(canvas, drawn)
        if drawn.original is not None:
            canvas.put(*self._cell(drawn.original.x, drawn.original.y), glyphs.original, "original")
        for dot in drawn.front:
            canvas.put(*self._cell(dot.x, dot.y), *self._mark(drawn, dot))
        self._draw_outside(canvas, drawn)
        self._draw_titles(canvas, drawn)
        return canvas

    def _draw_dots(self, canvas: Canvas, dots: list[Dot]) -> None:
        """A dot each; a feasible one is a block of four in its cell."""
        left, width, height = GUTTER * DOTS_ACROSS, self._plot_width * DOTS_ACROSS, self._plot_height * DOTS_DOWN
        feasible = []
        for across, up, trial in dots:
            x, y = left + min(int(across * width), width - 1), DOTS_DOWN + min(int((1 - up) * height), height - 1)
            if trial.is_feasible:
                feasible.append((x, y))
            else:
                canvas.dot(x, y, "dot")
        for x, y in feasible:
            canvas.block(x, y, "feasible", ":")

    def _draw_limits(self, canvas: Canvas, drawn: Scene) -> None:
        ascii_only, right = self._glyphs.is_ascii, self._width - 1
        if drawn.y_limit is not None and drawn.up.limit is not None:
            _, row = self._cell(0, drawn.y_limit)
            canvas.across(row, GUTTER, right, "-" if ascii_only else "╌", "limit", over=False)
            sign = self._glyphs.at_most if drawn.up.smaller_is_better else self._glyphs.at_least
            text = f" {drawn.up.name.removesuffix(' %')} {sign} {significant(drawn.up.limit, 4)} "
            canvas.text(right - len(text), row, text, "limit")
        if drawn.x_limit is not None and drawn.across.limit is not None:
            column, _ = self._cell(drawn.x_limit, 0)
            canvas.down(column, 1, self._plot_height, ":" if ascii_only else "┊", "limit", over=False)
            text = f" {drawn.across.name.split(' ')[0]} {self._glyphs.at_most} {significant(drawn.across.limit)} "
            start = column - len(text) if column + len(text) > right else column + 1
            canvas.text(start, self._plot_height, text, "limit")

    def _draw_edge(self, canvas: Canvas, drawn: Scene) -> None:
        across, down, corner, foot = ("-", "|", "+", "+") if self._glyphs.is_ascii else ("─", "│", "┘", "┌")
        cells = [self._cell(x, y) for x, y in drawn.edge]
        for (x0, y0), (x1, y1) in pairwise(cells):
            canvas.across(y0, x0, x1, across, "edge")
            canvas.down(x1, y1, y0, down, "edge")
            if y1 != y0:
                canvas.put(x1, y0, corner if x1 != x0 else down, "edge")
                canvas.put(x1, y1, foot, "edge")

    def _mark(self, drawn: Scene, dot: Dot) -> tuple[str, str]:
        bucket = drawn.bucket(dot.trial) if drawn.buckets else None
        if bucket is None:
            return self._glyphs.front, "edge"
        return (self._glyphs.fast, self._glyphs.middling, self._glyphs.slow)[bucket], BUCKET_STYLES[bucket]

    def _draw_ticks(self, canvas: Canvas, drawn: Scene) -> None:
        bottom = 1 + self._plot_height
        for tick in drawn.y_ticks(max(2, self._plot_height // ROWS_BETWEEN_TICKS)):
            _, row = self._cell(0, tick.at)
            text = self._glyphs.plain(tick.text)[: GUTTER - 1]
            canvas.text(GUTTER - 1 - len(text), row, text, "axis")
            canvas.put(GUTTER - 1, row, "+" if self._glyphs.is_ascii else "┤", "axis")
        free = 0
        title_at = self._width - len(self._across_title(drawn)) - 1
        for tick in sorted(drawn.x_ticks(max(2, self._plot_width // CELLS_BETWEEN_TICKS))):
            free = self._draw_x_tick(canvas, tick, bottom, free, title_at)
        canvas.text(title_at + 1, bottom + 1, self._across_title(drawn), "quiet")

    def _draw_x_tick(self, canvas: Canvas, tick: Tick, bottom: int, free: int, title_at: int) -> int:
        column, _ = self._cell(tick.at, 0)
        canvas.put(column, bottom, "+" if self._glyphs.is_ascii else "┴", "axis")
        start = column - len(tick.text) // 2
        if start < free or start + len(tick.text) >= title_at:
            return free
        canvas.text(start, bottom + 1, tick.text, "axis")
        return start + len(tick.text) + 1

    def _across_title(self, drawn: Scene) -> str:
        log = " log" if drawn.across.is_log else ""
        arrow = "<" if self._glyphs.is_ascii else "←"
        return f"{drawn.across.name}{log} {arrow} better"

    def _draw_titles(self, canvas: Canvas, drawn: Scene) -> None:
        arrow = "^" if self._glyphs.is_ascii else "↑"
        title = f"{drawn.up.name}{' log' if drawn.up.is_log else ''} {arrow} better"
        canvas.text(0, 0, title, "quiet")
        if not drawn.buckets:
            return
        less, more = ("<", self._glyphs.at_least) if drawn.by.smaller_is_better else (">", self._glyphs.at_most)
        first, second = (significant(bound) for bound in drawn.buckets)
        name, _, unit = drawn.by.name.partition(" ")
        parts = [
            (f"{name} ", "quiet"),
            (self._glyphs.fast, "fast"),
            (f"{less}{first} ", "quiet"),
            (self._glyphs.middling, "middling"),
            (f"{less}{second} ", "quiet"),
            (self._glyphs.slow, "slow"),
            (f"{more}{second} {unit}".rstrip(), "quiet"),
        ]
        at = self._width - sum(len(text) for text, _ in parts) - 1
        if at <= len(title) + 1:
            parts, at = parts[1:], at + len(parts[0][0])
        for text, style in parts if at > len(title) + 1 else []:
            canvas.text(at, 0, text, style)
            at += len(text)

    def _draw_outside(self, canvas: Canvas, drawn: Scene) -> None:
        n = drawn.outside
        if n.get("below"):
            canvas.text(GUTTER + 1, self._plot_height, f"{self._glyphs.down} {n['below']} below", "quiet")
        if n.get("above"):
            canvas.text(GUTTER + 1, 1, f"{self._glyphs.up} {n['above']} above", "quiet")
        if n.get("left"):
            canvas.text(GUTTER + 1, 2, f"{'<' if self._glyphs.is_ascii else '◀'} {n['left']}", "quiet")
        if n.get("right"):
            text = f"{n['right']} {'>' if self._glyphs.is_ascii else '▶'}"
            canvas.text(self._width - len(text) - 1, self._plot_height, text, "quiet")

    def _draw_best(self, canvas: Canvas, drawn: Scene) -> None:
        best = self._state.best_trial
        if best is not None:
            self._draw_label(canvas, drawn, best, f"#{best.number}", "best")

    def _draw_cursor(self, canvas: Canvas, drawn: Scene) -> None:
        current = self._current
        if current is None or current.number == self._state.best:
            return
        position = drawn.position(current)
        if position is None:
            self.border_subtitle = f"#{current.number} has no figures to show"
            return
        x, y = position
        beyond = "below" if y < 0 else "above" if y > 1 else "left" if x < 0 else "right" if x > 1 else None
        if beyond is not None:
            words = beyond if beyond in ("below", "above") else f"to the {beyond} of"
            self.border_subtitle = f"#{current.number} is {words} what is shown"
        self._draw_label(canvas, drawn, current, f"#{current.number}", "cursor")

    def _draw_label(self, canvas: Canvas, drawn: Scene, trial: Trial, text: str, style: str) -> None:
        position = drawn.position(trial)
        if position is None:
            return
        x, y = position
        column, row = self._cell(x, y)
        if 0 <= x <= 1 and 0 <= y <= 1:
            dot = Dot(x, y, trial)
            if trial is self._state.original:
                mark = self._glyphs.original
            elif trial.number in self._state.front:
                mark = self._mark(drawn, dot)[0]
            else:
                mark = self._glyphs.feasible if trial.is_feasible else self._glyphs.violates
        else:
            mark = self._glyphs.down if y < 0 else self._glyphs.up if y > 1 else "<" if x < 0 else ">"
        canvas.put(column, row, mark, style)
        start = column - len(text) if column + len(text) >= self._width else column + 1
        canvas.text(start, row, text, style)

    # The other two views --------------------------------------------------------------------------------------------

    def _draw_history(self) -> Canvas:
        canvas, gains = self._blank(), self._history.gains
        if not gains or not gains[-1].volume:
            canvas.text(2, 1, "nothing on the front is smaller than the original yet", "quiet")
            return canvas
        last, most = max(self._state.trials), gains[-1].volume
        left, bottom = GUTTER, 1 + self._plot_height
        canvas.text(0, 0, "volume that the front dominates, % of now", "quiet")
        canvas.down(left - 1, 1, bottom - 1, "|" if self._glyphs.is_ascii else "│", "axis")
        canvas.across(bottom, left - 1, self._width - 1, "-" if self._glyphs.is_ascii else "─", "axis")
        for share in (0.0, 0.5, 1.0):
            _, row = self._cell(0, share / 1.05)
            canvas.text(left - 1 - len(f"{share:.0%}"), row, f"{share:.0%}", "axis")
        self._draw_growth(canvas, last, most)
        before = gains[-2].volume if len(gains) > 1 else 0.0
        told = f" last gain #{gains[-1].number}"
        if before:
            told += f" (+{percent(most / before - 1)})"
        canvas.text(left, bottom + 1, "0", "axis")
        canvas.text(self._width - 1 - len(str(last)), bottom + 1, str(last), "axis")
        title = "trial number"
        canvas.text(left + (self._plot_width - len(title)) // 2, bottom + 1, title, "quiet")
        self.border_subtitle = told.strip()
        return canvas

    def _draw_growth(self, canvas: Canvas, last: int, most: float) -> None:
        gains, at, value, before = self._history.gains, 0, 0.0, None
        for x in range(self._plot_width * DOTS_ACROSS):
            number = x / max(1, self._plot_width * DOTS_ACROSS - 1) * last
            while at < len(gains) and gains[at].number <= number:
                value, at = gains[at].volume, at + 1
            height = 1 - value / most / 1.05
            y = DOTS_DOWN + min(int(height * self._plot_height * DOTS_DOWN), self._plot_height * DOTS_DOWN - 1)
            for between in range(y, before + 1) if before is not None and before > y else (y,):
                canvas.dot(GUTTER * DOTS_ACROSS + x, between, "bar", "*")
            before = y

    def what_matters(self) -> list[Importance]:
        """The choices by what they explain; computed again once enough trials came since."""
        n = self._state.n_ended
        grain = max(5, n // 50)
        of = (self._state, n // grain)
        if of != self._importances_of:
            self._importances_of = of
            self._importances = importances(self._state.trials.values())
        return self._importances

    def _draw_importances(self) -> Canvas:
        canvas, found = self._blank(), self.what_matters()
        if not found:
            canvas.text(2, 1, f"told from {FEWEST_TRIALS} measured trials on", "quiet")
            return canvas
        name_width = min(24, max(len(each.choice) for each in found) + 1)
        cell = max(6, (self._width - name_width - 2) // 3)
        canvas.text(0, 0, "share of the spread that each choice explains", "quiet")
        for at, title in enumerate(("size", "latency", "quality")):
            canvas.text(name_width + at * cell, 2, title, "title")
        for row, each in enumerate(found[: self._height - 3], 3):
            canvas.text(0, row, each.choice[: name_width - 1], "title")
            for at, share in enumerate((each.size, each.latency, each.drop)):
                length = max(1, cell - 6)
                full = round(share * length)
                start = name_width + at * cell
                canvas.across(row, start, start + full - 1, self._glyphs.bar_full, "bar")
                canvas.across(row, start + full, start + length - 1, self._glyphs.bar_empty, "quiet")
                canvas.text(start + length, row, f"{share:4.0%}", "title")
        return canvas
