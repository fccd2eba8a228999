"""Limits moved by hand: what would be feasible, on the front and best, without a new trial."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Footer, Static

from autocompress.tui.model.answers import answer_to
from autocompress.tui.model.headroom import LIMIT_WORDS
from autocompress.tui.model.judging import Candidates, Verdicts
from autocompress.tui.model.supposed_limit import Figures, SupposedLimit, bounds_of, limits_of
from autocompress.tui.model.view import View
from autocompress.tui.screens.run_screen import RunScreen
from autocompress.tui.widgets.front_plot import FrontPlot
from autocompress.tui.widgets.limit_changes import LimitChanges
from autocompress.tui.widgets.limit_strip import Histogram, strip

SECONDS_BEFORE_PICTURE = 0.06
"""The picture waits for keys that follow one another, the longer the more trials there are; words and counts don't."""
HINT = "h l move, H L coarse, [ ] to the next trial, space on or off, 0-9 type a value, u unit, x as it is now"


class LimitRow(Static):
    """One limit: its value, how many it lets through, and where the trials lie."""


class WhatIfScreen(RunScreen):
    """Moves the run's limits and shows what that would change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back", key_display="esc"),
        Binding("j,down,tab", "choose(1)", "Next", key_display="j", tooltip="Next limit", priority=True),
        Binding("k,up,shift+tab", "choose(-1)", "Previous limit", show=False, priority=True),
        Binding("h,left", "move(-1)", "Tighter", key_display="h", tooltip="Tighten the limit by a step"),
        Binding("l,right", "move(1)", "Looser", key_display="l", tooltip="Loosen the limit by a step"),
        Binding(
            "H,shift+left", "move(-1, True)", "Much tighter", show=False, tooltip="Tighten the limit by five steps"
        ),
        Binding("L,shift+right", "move(1, True)", "Much looser", show=False, tooltip="Loosen the limit by five steps"),
        Binding(
            "left_square_bracket",
            "jump(-1)",
            "One trial less",
            show=False,
            tooltip="Tighten until one trial less is inside",
        ),
        Binding(
            "right_square_bracket",
            "jump(1)",
            "One trial more",
            show=False,
            tooltip="Loosen until one trial more is inside",
        ),
        Binding("space", "on_off", "On/off", key_display="space"),
        Binding(
            "equals_sign",
            "type('')",
            "Type a value",
            show=False,
            key_display="=",
            tooltip="Type a value; a digit begins it at once",
        ),
        Binding("u", "unit", "Unit", show=False, tooltip="Between the figure's own unit and the original's multiple"),
        Binding("x", "reset", "As the search has it", show=False, tooltip="Back to the limits of the search"),
        Binding("enter", "apply", "Apply", key_display="enter", tooltip="Make them the search's limits"),
        Binding("v", "axes", "Other axes", show=False, tooltip="Other axes for the picture"),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    SCOPED_CSS = False
    CSS = """
    WhatIfScreen #title { height: 1; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis; }
    WhatIfScreen #body { height: 1fr; }
    WhatIfScreen.-wide #body { layout: horizontal; }
    WhatIfScreen .column { height: auto; }
    WhatIfScreen.-wide .column { width: 1fr; height: 1fr; }
    WhatIfScreen .panel {
        height: auto; border: round $primary 60%; border-title-color: $primary; border-subtitle-color: $quiet;
        padding: 0 1;
    }
    WhatIfScreen FrontPlot { height: 1fr; border: round $primary 60%; border-title-color: $primary; }
    WhatIfScreen.-narrow FrontPlot { display: none; }
    .-ascii WhatIfScreen .panel { border: ascii $primary 60%; }
    .-ascii WhatIfScreen FrontPlot { border: ascii $primary 60%; }
    WhatIfScreen LimitRow { height: 2; text-wrap: nowrap; text-overflow: ellipsis; }
    WhatIfScreen.-wide LimitRow { margin-bottom: 1; }
    WhatIfScreen LimitRow.chosen { background: $block-cursor-background 60%; }
    WhatIfScreen #told { height: auto; min-height: 1; padding: 0 1; color: $quiet; }
    WhatIfScreen #told.wrong { color: $error; }
    WhatIfScreen #told.done { color: $success; }
    WhatIfScreen #keys { height: auto; padding: 0 1; color: $quiet; }
    WhatIfScreen.-narrow #keys { display: none; }
    WhatIfScreen #ranking { height: 1fr; min-height: 4; text-wrap: nowrap; text-overflow: ellipsis; }
    WhatIfScreen.-narrow #ranking { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._limits: list[SupposedLimit] = []
        self._moved: set[str] = set()
        self._chosen = 0
        self._figures: dict[str, tuple[object, Figures]] = {}
        self._histograms: dict[str, tuple[object, Histogram]] = {}
        self._asked: dict[str, str] = {}
        self._said: list[tuple[str, bool]] = []
        self._picture_timer: Timer | None = None
        self._view = View()
        self._judged: object = None
        self._candidates: Candidates | None = None
        self._now: Verdicts | None = None
        self._picture_seconds = 0.0

    def compose(self) -> ComposeResult:
        """Limits, what changes, and a picture."""
        yield Static(id="title")
        with VerticalScroll(id="body", can_focus=False):
            with Vertical(classes="column"):
                with Vertical(classes="panel", id="limits") as panel:
                    panel.border_title = "Limits"
                ranking = Static(id="ranking", classes="panel")
                ranking.border_title = "Best under these limits"
                yield ranking
                yield Static(HINT, id="keys")
            with Vertical(classes="column"):
                changes = Static(id="changes", classes="panel")
                changes.border_title = "What changes"
                yield changes
                plot = FrontPlot(id="picture")
                plot.can_focus = False
                plot.border_title = "Front under these limits"
                yield plot
        yield Static(id="told", markup=False)
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        """Begin with the limits as they are."""
        self._limits = limits_of(self.state)
        panel = self.query_one("#limits")
        await panel.mount_all([LimitRow(id=f"limit-{limit.name}") for limit in self._limits])
        self.query_one("#keys", Static).update(self.glyphs.plain(HINT))
        self.refresh_run()
        self._draw_title()

    def on_resize(self) -> None:
        """Strips are as wide as their panel."""
        self.call_after_refresh(self._draw)

    # Drawing --------------------------------------------------------------------------------------------------------

    def refresh_run(self) -> None:
        """Take in new trials, limits that the search changed, and its answers."""
        self._take_answers()
        if not self._limits:
            return
        judged = (self.state, self.state.trials_revision)
        if judged == self._judged:
            return
        self._judged = judged
        self._candidates = self._now = None
        current = {limit.name: limit for limit in limits_of(self.state)}
        self._limits = [
            limit if limit.name in self._moved else current.get(limit.name, limit) for limit in self._limits
        ]
        self._draw()

    def refresh_clock(self) -> None:
        """The search may have ended."""
        self._draw_title()

    def _draw_title(self) -> None:
        steerable = self.attachment.can_be_steered
        words = (
            "enter makes them the search's limits"
            if steerable
            else "the search is over: nothing is changed by it, this only shows what would be"
            if self.state.ending is not None
            else "the search cannot be reached: this only shows what would be"
        )
        self.query_one("#title", Static).update(Content.assemble(("What if?", "bold"), (f"  {words}", "$quiet")))

    def _draw(self) -> None:
        if not self.is_mounted or not self.query(LimitRow):
            return
        for index, limit in enumerate(self._limits):
            row = self.query_one(f"#limit-{limit.name}", LimitRow)
            row.set_class(index == self._chosen, "chosen")
            row.update(self._limit_lines(limit, is_chosen=index == self._chosen, width=row.size.width))
        self._draw_changes()
        if self._picture_timer is not None:
            self._picture_timer.stop()
        self._picture_timer = self.set_timer(max(SECONDS_BEFORE_PICTURE, 2 * self._picture_seconds), self._draw_picture)

    def _figures_of(self, limit: SupposedLimit) -> Figures:
        of = (self._judged, limit.bound.relative)
        known = self._figures.get(limit.name)
        if known is None or known[0] != of:
            known = of, Figures(limit, self.state.trials.values(), self.state.original)
            self._figures[limit.name] = known
        return known[1]

    def _limit_lines(self, limit: SupposedLimit, *, is_chosen: bool, width: int) -> Content:
        glyphs, figures = self.glyphs, self._figures_of(limit)
        its = self.state.constraints.get(limit.name)
        is_changed = limit.name in self._changed
        sign = glyphs.running if is_chosen else " "
        name = LIMIT_WORDS[limit.name]
        value = f"{glyphs.at_most} {limit.written}" if limit.is_on else "no limit"
        kept = figures.n_kept(limit.bound.bound)
        count = f"{kept:,}/{len(figures.values):,} inside" if limit.is_on else f"{len(figures.values):,} measured"
        now = f"now {its.written if its else 'none'}" if is_changed else ""
        scale = limit.number / limit.bound.bound if limit.bound.bound else 100.0 if limit.unit in ("%", "pp") else 1.0
        head = Content.assemble(
            (f"{sign} {name:<13}", "bold" if is_chosen else ""),
            (f"{value:<11}", "bold $accent" if is_changed else "" if limit.is_on else "$quiet"),
            (f"{count:<20} ", "" if limit.is_on else "$quiet"),
            (now, "$quiet"),
        )
        line = strip(self._drawn(limit, figures, width - 2), limit.bound.bound, glyphs, is_on=limit.is_on, scale=scale)
        return Content("\n").join([head, Content("  ") + line])

    def _drawn(self, limit: SupposedLimit, figures: Figures, width: int) -> Histogram:
        of = (figures, width)
        known = self._histograms.get(limit.name)
        if known is None or known[0] != of:
            known = of, Histogram(figures.values, width)
            self._histograms[limit.name] = known
        return known[1]

    @property
    def _changed(self) -> list[str]:
        """The limits that are not as the search has them."""
        now = self.state.constraints
        changed = []
        for limit in self._limits:
            its = now.get(limit.name)
            same = its is None if not limit.is_on else its is not None and _same(its.written, limit)
            if not same:
                changed.append(limit.name)
        return changed

    def _draw_changes(self) -> None:
        panel = self.query_one("#changes", Static)
        original = self.state.original
        if original is None:
            panel.update("The original is not measured yet; limits can be judged after that.")
            return
        prefer = self.state.prefer
        if self._candidates is None or self._now is None:
            self._candidates = Candidates(self.state.trials.values(), original)
            self._now = self._candidates.verdicts(self.state.constraints, prefer)
        then = self._candidates.verdicts(bounds_of(self._limits), prefer)
        changes = LimitChanges(self.state, original, self._now, then, bounds_of(self._limits), self.glyphs)
        panel.update(changes.text())
        ranking = self.query_one("#ranking", Static)
        ranking.border_subtitle = f"by {prefer}" if prefer != "balanced" else "by size and latency"
        ranking.update(changes.ranking(max(1, ranking.size.height)))

    def _draw_picture(self) -> None:
        self._picture_timer = None
        began = time.perf_counter()
        picture = self.query_one("#picture", FrontPlot)
        if picture.display and self.state.original is not None:
            picture.show(self.state.under(bounds_of(self._limits)), self._view, self.glyphs)
            picture.border_title = "Front under these limits"
        self._picture_seconds = time.perf_counter() - began

    def _tell(self, text: str, kind: str = "") -> None:
        told = self.query_one("#told", Static)
        told.update(self.glyphs.plain(text))
        told.set_classes(kind)

    # Moving ---------------------------------------------------------------------------------------------------------

    @property
    def _limit(self) -> SupposedLimit:
        return self._limits[self._chosen]

    def _put(self, limit: SupposedLimit) -> None:
        self._limits[self._chosen] = limit
        self._moved.add(limit.name)
        if not self._asked:
            self._tell("")
        self._draw()

    def action_choose(self, by: int) -> None:
        """Go to another limit."""
        self._chosen = (self._chosen + by) % len(self._limits)
        self._draw()
        self.query_one(f"#limit-{self._limit.name}").scroll_visible(animate=False)

    def action_move(self, by: int, coarse: bool = False) -> None:
        """Tighten or loosen the limit."""
        self._put(self._limit.moved(by, coarse=coarse))

    def action_jump(self, by: int) -> None:
        """Go to where a trial comes in or falls out."""
        value = self._figures_of(self._limit).next_value(self._limit.bound.bound, by)
        if value is None or (value <= 0 and self._limit.name != "quality_drop"):
            self._tell("No trial lies beyond that.")
            return
        if value < 0:
            self._tell("A limit on a drop cannot be below none at all.")
            return
        self._put(self._limit.to_figure(value))

    def action_on_off(self) -> None:
        """Turn the limit on or off."""
        limit = self._limit
        self._put(SupposedLimit(limit.name, limit.number, limit.unit, not limit.is_on))

    def action_unit(self) -> None:
        """Write the limit in the other unit."""
        limit = self._limit.in_other_unit(self.state.original)
        if limit is self._limit:
            self._tell("The original's figure is not known, so the limit keeps its unit.")
            return
        self._put(limit)

    def action_reset(self) -> None:
        """Back to what the search has."""
        self._moved.clear()
        self._judged = None
        self._tell("")
        self.refresh_run()

    def action_axes(self) -> None:
        """Other axes."""
        self._view.axes = (self._view.axes + 1) % 3
        self._draw_picture()

    def on_key(self, event: events.Key) -> None:
        """A digit begins a value."""
        if event.character and event.character in "0123456789.":
            event.stop()
            self.action_type(event.character)

    def action_type(self, first: str) -> None:
        """Ask for a value."""
        from autocompress.tui.screens.prompt import PromptScreen

        limit = self._limit
        example = {"quality_drop": "1pp, 1% or 0.01", "latency": "20ms or 0.5x"}.get(limit.name, "25MB or 0.3x")
        question = f"Limit on {LIMIT_WORDS[limit.name]}"
        hint = f"such as {example}; a bare number is in {limit.unit or 'the unit of the metric'}"
        self.app.push_screen(
            PromptScreen(question, first or limit.written, validate=self._problem_of, hint=hint), self._typed
        )

    def _problem_of(self, text: str) -> str | None:
        try:
            self._limit.with_written(text)
        except ValueError as problem:
            return str(problem)
        return None

    def _typed(self, text: str | None) -> None:
        if text:
            self._put(self._limit.with_written(text))

    def on_click(self, event: events.Click) -> None:
        """Choose a limit with the mouse."""
        widget = event.widget
        if isinstance(widget, LimitRow):
            names = [f"limit-{limit.name}" for limit in self._limits]
            self._chosen = names.index(str(widget.id))
            self._draw()

    # Steering -------------------------------------------------------------------------------------------------------

    def action_apply(self) -> None:
        """Make what was changed the search's limits."""
        changed = self._changed
        if not changed:
            self._tell("These are the search's limits already.")
            return
        if not self.attachment.can_be_steered:
            why = "is over" if self.state.ending is not None else "cannot be reached"
            self._tell(f"The search {why}, so its limits stay as they are.", "wrong")
            return
        self._said.clear()
        for limit in self._limits:
            if limit.name in changed:
                value = limit.written if limit.is_on else None
                self._asked[self.attachment.ask("set_constraint", name=limit.name, value=value)] = limit.name
        self._tell(f"asked for {len(changed)} change{'' if len(changed) == 1 else 's'}; waiting for the search…")

    def _take_answers(self) -> None:
        for request_id, name in list(self._asked.items()):
            answer = answer_to(self.state, request_id)
            if answer is None:
                continue
            del self._asked[request_id]
            accepted = bool(answer.accepted)
            self._said.append((f"{LIMIT_WORDS[name]}: {answer.text}", accepted))
            if accepted:
                self._moved.discard(name)
            signs = [f"{self.glyphs.done if ok else self.glyphs.violates} {text}" for text, ok in self._said]
            self._tell("\n".join(signs), "done" if all(ok for _, ok in self._said) else "wrong")


def _same(written: str, limit: SupposedLimit) -> bool:
    return written == limit.written or SupposedLimit.of(limit.name, written, None).written == limit.written
