"""One run on one screen: header, trials, front, detail, and what runs now."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Footer, Input

from autocompress.tui.attachment import StorageAttachment
from autocompress.tui.model.advice import advice
from autocompress.tui.model.trial import Trial
from autocompress.tui.model.view import AXES, View
from autocompress.tui.screens.standing import while_it_stands
from autocompress.tui.screens.steering import Steering
from autocompress.tui.widgets.detail_pane import DetailPane
from autocompress.tui.widgets.filter_bar import FilterBar
from autocompress.tui.widgets.front_plot import FrontPlot
from autocompress.tui.widgets.message_line import MessageLine
from autocompress.tui.widgets.now_pane import NowPane
from autocompress.tui.widgets.run_header import Pulse, RunHeader
from autocompress.tui.widgets.trials_table import TrialsTable

SECONDS_BEFORE_DETAIL = 0.06
"""A cursor that runs along the rows does not draw the detail of each."""
SHARE_FOR_ROWS = 8
"""New trials wait so many times as long as it took to draw them last: with 20,000 of them half a second."""
MANY_TRIALS, SECONDS_BEFORE_MANY = 5_000, 0.25
"""Among so many, a filter waits until its writer pauses."""
PANES = ("trials", "front", "detail", "now")


class DashboardScreen(Steering):
    """The main screen."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (180, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]
    SCOPED_CSS = False  # the class that asks for ASCII is on the app
    CSS = """
    DashboardScreen { background: $background; }
    DashboardScreen #body { height: 1fr; layout: grid; grid-gutter: 0; }
    DashboardScreen #trials, DashboardScreen #front, DashboardScreen #detail, DashboardScreen #now {
        border: round $quiet 50%; border-title-color: $quiet; border-subtitle-color: $quiet; padding: 0;
    }
    DashboardScreen #trials:focus, DashboardScreen #front:focus,
    DashboardScreen #detail:focus, DashboardScreen #now:focus {
        border: round $primary; border-title-color: $primary; border-title-style: bold;
    }
    .-ascii DashboardScreen #trials, .-ascii DashboardScreen #front,
    .-ascii DashboardScreen #detail, .-ascii DashboardScreen #now { border: ascii $quiet 50%; }
    .-ascii DashboardScreen #trials:focus, .-ascii DashboardScreen #front:focus,
    .-ascii DashboardScreen #detail:focus, .-ascii DashboardScreen #now:focus { border: ascii $primary; }
    DashboardScreen #now { height: 4; padding: 0 1; }
    DashboardScreen #detail { padding: 0 1; }

    DashboardScreen.-medium #body { grid-size: 2 2; grid-columns: 51% 1fr; grid-rows: 1fr 15; }
    DashboardScreen.-medium.-short #body { grid-rows: 1fr 9; }
    DashboardScreen.-medium #trials { row-span: 2; }
    DashboardScreen.-wide #body { grid-size: 3 1; grid-columns: 12fr 8fr 54; }

    DashboardScreen.-narrow #body, DashboardScreen.-zoomed #body { layout: vertical; }
    DashboardScreen.-narrow #body > *, DashboardScreen.-zoomed #body > * { display: none; height: 1fr; width: 1fr; }
    DashboardScreen.-narrow.-pane-1 #trials, DashboardScreen.-zoomed.-pane-1 #trials { display: block; }
    DashboardScreen.-narrow.-pane-2 #front, DashboardScreen.-zoomed.-pane-2 #front { display: block; }
    DashboardScreen.-narrow.-pane-3 #detail, DashboardScreen.-zoomed.-pane-3 #detail { display: block; }
    DashboardScreen.-narrow #now { height: 2; border: none; background: $panel; }
    DashboardScreen.-narrow.-pane-4 #body, DashboardScreen.-zoomed.-pane-4 #body { display: none; }
    DashboardScreen.-narrow.-pane-4 #now, DashboardScreen.-zoomed.-pane-4 #now {
        height: 1fr; background: $background; border: round $primary;
    }
    .-ascii DashboardScreen.-narrow.-pane-4 #now, .-ascii DashboardScreen.-zoomed.-pane-4 #now {
        border: ascii $primary;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("1", "pane(1)", "Trials"),
        Binding("2", "pane(2)", "Front"),
        Binding("3", "pane(3)", "Detail"),
        Binding("4", "pane(4)", "Now", show=False),
        # By priority, so that it is done before the next key is looked at: what is typed ahead is the filter's.
        Binding("slash", "filter", "Filter", key_display="/", priority=True),
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Sort the other way", show=False, key_display="S"),
        Binding("space", "mark", "Mark", key_display="␣"),
        Binding("c", "compare", "Cmp", tooltip="Compare the marked trials side by side"),
        Binding("e", "export", "Export"),
        Binding("q", "detach", "Detach", tooltip="Leave; the search goes on"),
        Binding("enter", "open", "Open the trial", show=False),
        Binding("b", "best", "Go to the best", show=False),
        Binding("j,down", "move(1)", "Next row", show=False),
        Binding("k,up", "move(-1)", "Previous row", show=False),
        Binding("g,home", "end(-1)", "First row", show=False),
        Binding("G,end", "end(1)", "Last row", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("h,left", "walk(-1)", "Along the front, to the left", show=False),
        Binding("l,right", "walk(1)", "Along the front, to the right", show=False),
        Binding("v", "axes", "Other axes, hypervolume, what matters", show=False),
        Binding("z", "zoom", "Zoom this pane", show=False),
        Binding("f", "follow", "Follow the newest trial", show=False),
        Binding("i", "hide", "Hide what breaks a limit", show=False),
        Binding("escape", "clear", "Clear the filter", show=False),
        Binding("y", "copy", "Copy the recipe as YAML", show=False),
        Binding("w", "what_if", "What if: other limits", show=False),
        Binding("L", "log", "Log of the trial", show=False, key_display="L"),
        Binding("n", "note", "Write a note on the trial", show=False),
        Binding("t", "try", "Try an edited recipe next", show=False),
        Binding("plus", "add_trials", "More trials", show=False, key_display="+"),
        Binding("p", "pause", "Pause or go on", show=False),
        Binding("x", "cancel", "Cancel the running trial", show=False),
        Binding("r", "runs", "The list of runs", show=False),
        Binding("Q", "stop", "Stop the search", show=False, key_display="Q"),
    ]

    def __init__(self) -> None:
        super().__init__(classes="-pane-1")
        self.pane = 1
        self._is_alive = True
        self._told_problem = False
        self._n_said = 0
        self._detail_timer: Timer | None = None
        self._rows_timer: Timer | None = None
        self._rows_drawn = self._seconds_for_rows = 0.0
        self._detail_of: object = None
        self._record: tuple[Trial, dict[str, Any]] | None = None

    def compose(self) -> ComposeResult:
        """Lay it out."""
        self.header = RunHeader()
        self.table, self.plot = TrialsTable(id="trials"), FrontPlot(id="front")
        self.detail, self.now = DetailPane(id="detail"), NowPane(id="now")
        self.message, self.filter_bar = MessageLine(), FilterBar()
        yield self.header
        with Container(id="body"):
            yield self.table
            yield self.plot
            yield self.detail
        yield self.now
        yield self.message
        yield self.filter_bar
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """The table has the keys at first; what was said before this was opened is no news."""
        self.table.focus()
        self._n_said = max(0, len(self.state.said) - 1)

    @property
    def view(self) -> View:
        """What the person chose to see."""
        return self.owner.view

    @property
    def current(self) -> Trial | None:
        """The trial in question."""
        return self.view.current(self.state)

    # Drawing --------------------------------------------------------------------------------------------------------

    def refresh_run(self) -> None:
        """Draw what changed."""
        self.refresh_clock()
        self._tell_news()
        self._draw_rows_in_turn()

    def refresh_clock(self) -> None:
        """Draw what changes with time alone."""
        attachment = self.attachment
        was_alive, self._is_alive = self._is_alive, attachment.is_alive
        if was_alive != self._is_alive:
            self._draw_rows()
        pulse = Pulse(
            self._is_alive,
            attachment.now(),
            is_recording=attachment.is_recording,
            is_here=attachment.folder is not None,
        )
        self.header.show(attachment.title, self.state, self.glyphs, pulse)
        self.now.show(self.state, self.glyphs, pulse)
        self._tell_problem()

    def _tell_problem(self) -> None:
        """Say once why a storage cannot be read any more."""
        attachment = self.attachment
        if isinstance(attachment, StorageAttachment) and not self._told_problem and (problem := attachment.problem):
            self._told_problem = True
            self.tell(problem, accepted=False)

    def _draw_rows_in_turn(self) -> None:
        """Draw the rows, but not all the time where there are so many that this takes long."""
        if self._rows_timer is not None:
            return
        wait = self._rows_drawn + SHARE_FOR_ROWS * self._seconds_for_rows - time.monotonic()
        if wait > 0:
            self._rows_timer = self.set_timer(wait, self._draw_rows_late)
        else:
            self._draw_rows_late()

    def _draw_rows_late(self) -> None:
        self._rows_timer = None
        if self.owner.attachment is None:
            return
        began = time.thread_time()
        while_it_stands(self, self._draw_rows)
        self._rows_drawn, self._seconds_for_rows = time.monotonic(), time.thread_time() - began

    def _draw_rows(self) -> None:
        self.table.show(self.state, self.view, self.glyphs, is_alive=self._is_alive)
        self.plot.show(self.state, self.view, self.glyphs)
        of = (self.state, self.state.trials_revision, self.current)
        if of != self._detail_of:
            self._detail_of = of
            self._draw_detail_soon()

    def _draw_detail_soon(self) -> None:
        if self._detail_timer is not None:
            self._detail_timer.stop()
        self._detail_timer = self.set_timer(SECONDS_BEFORE_DETAIL, lambda: while_it_stands(self, self._draw_detail))

    def _draw_detail(self) -> None:
        if self.owner.attachment is None:
            return
        trial = self.current
        record = self._record_of(trial) if trial is not None and trial.status != "complete" else {}
        self.detail.show(self.state, trial, record, self.plot.what_matters(), self.glyphs)

    def _record_of(self, trial: Trial) -> dict[str, Any]:
        if self._record is None or self._record[0] is not trial:
            self._record = (trial, self.attachment.record(trial))
        return self._record[1]

    def tell(self, text: str, *, accepted: bool | None = None) -> None:
        """Show a sentence in the message line for some seconds, or until there is another."""
        self.message.say(text, self.glyphs, accepted=accepted)

    def _tell_news(self) -> None:
        said = self.state.said
        if len(said) < self._n_said:
            self._n_said = 0  # the log began anew
        if len(said) > self._n_said:
            self._n_said = len(said)
            self.tell(self.answer_text(said[-1]), accepted=said[-1].accepted)
        self.message.advise(advice(self.state), self.glyphs)

    def on_resize(self, _: events.Resize) -> None:
        """Hidden panes have no size: draw those that are shown now."""
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        if self.owner.attachment is None:
            return
        self._detail_of = None
        while_it_stands(self, self.refresh_run)

    # Panes ----------------------------------------------------------------------------------------------------------

    def action_pane(self, number: int) -> None:
        """Go to a pane."""
        self._enter_pane(number)
        self._panes[number - 1].focus()

    def _enter_pane(self, number: int) -> None:
        if number == self.pane:
            return
        self.remove_class(f"-pane-{self.pane}")
        self.pane = number
        self.add_class(f"-pane-{number}")
        self.call_after_refresh(self._redraw)

    @property
    def _panes(self) -> tuple[Widget, ...]:
        return self.table, self.plot, self.detail, self.now

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """`tab` and clicks go to panes too."""
        if event.widget in self._panes:
            self._enter_pane(self._panes.index(event.widget) + 1)

    def key_tab(self, event: events.Key) -> None:
        """The next pane; those that are hidden too."""
        event.stop()
        event.prevent_default()
        self.action_pane(self.pane % len(PANES) + 1)

    def action_zoom(self) -> None:
        """Let a pane have all the room, or give it back."""
        self.toggle_class("-zoomed")
        self.call_after_refresh(self._redraw)

    # The cursor -----------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Move the cursor by so many rows."""
        self.view.move(self.state, by)
        self._draw_rows()

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self.action_move(by * self.table.page)

    def action_end(self, end: int) -> None:
        """Go to the first or the last row."""
        self.action_move(end * max(1, len(self.view.rows(self.state))))

    def action_walk(self, by: int) -> None:
        """Go along the front."""
        number = self.plot.walk(by)
        if number is None:
            self.tell("the front is empty yet")
            return
        self._go_to(number)

    def action_best(self) -> None:
        """Go to the best trial."""
        if self.state.best is None:
            self.tell("nothing is within the limits yet")
            return
        self._go_to(self.state.best)

    def _go_to(self, number: int) -> None:
        self.view.go_to(number)
        if self.view.place(self.state, number) is None:
            self.tell(f"#{number} does not pass the filter; esc clears it")
        self._draw_rows()

    @on(TrialsTable.Picked)
    @on(FrontPlot.Picked)
    def _picked(self, event: TrialsTable.Picked | FrontPlot.Picked) -> None:
        self._go_to(event.number)
        if event.twice:
            self.action_open()

    @on(TrialsTable.Sorted)
    def _sorted(self, event: TrialsTable.Sorted) -> None:
        self.view.sort_by(event.column)
        self._draw_rows()

    # What is shown --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # Textual's
        """In the filter itself a slash is a slash."""
        del parameters
        return not (action == "filter" and self.filter_bar.is_open)

    def action_filter(self) -> None:
        """Write a filter; the table follows while one types."""
        self.filter_bar.tell(None)
        self.filter_bar.open(self.view.filter.text)

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        if not self.filter_bar.is_open:
            return
        self.view.set_filter(event.value)
        self.filter_bar.tell(self.view.mistake and self.glyphs.plain(self.view.mistake))
        if self.state.n_ended < MANY_TRIALS:
            self._draw_rows()
            return
        if self._rows_timer is not None:
            self._rows_timer.stop()
        self._rows_timer = self.set_timer(SECONDS_BEFORE_MANY, self._draw_rows_late)

    @on(Input.Submitted)
    def _filter_taken(self, event: Input.Submitted) -> None:
        event.stop()
        if self.view.set_filter(event.value):
            self._close_filter()
        else:
            self.filter_bar.tell(self.glyphs.plain(self.view.mistake or ""))

    def _close_filter(self) -> None:
        self.filter_bar.close()
        self.set_focus(self.table)
        self._draw_rows()

    def action_clear(self) -> None:
        """Show all trials again, and no longer what was said."""
        self.view.set_filter("")
        if self.filter_bar.is_open:
            self._close_filter()
        elif self.view.hide_infeasible:
            self.view.toggle_infeasible()
        self.message.forget()
        self._draw_rows()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.view.next_sort(("number", *dict.fromkeys(column.sort for column in self.table.columns), "recipe"))
        self._draw_rows()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.view.reverse()
        self._draw_rows()

    def action_hide(self) -> None:
        """Hide what breaks a limit or has no figures, or show it."""
        self.view.toggle_infeasible()
        self._draw_rows()

    def action_follow(self) -> None:
        """Go with the newest trial, or stay."""
        self.view.follow = not self.view.follow
        self.view.revision += 1
        self.tell("the cursor follows the newest trial" if self.view.follow else "the cursor stays")
        self._draw_rows()

    def action_mark(self) -> None:
        """Mark the trial, or unmark it."""
        trial = self.current
        if trial is not None:
            self.view.toggle_mark(trial.number)
            self._draw_rows()

    def action_axes(self) -> None:
        """The plot's next view."""
        self.view.axes = (self.view.axes + 1) % len(AXES)
        if self.plot.size.height == 0:
            self.action_pane(2)
        self._draw_rows()

    # Other screens --------------------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Show all that is known of the trial."""
        trial = self.current
        if trial is None:
            self.tell("no trial has ended yet")
            return
        from autocompress.tui.screens.trial import TrialScreen

        self.app.push_screen(TrialScreen(trial.number, [each.number for each in self.view.rows(self.state)]))

    def action_compare(self) -> None:
        """Show the marked trials side by side; with one marked or none, the current one and the best."""
        numbers = sorted(number for number in self.view.marks if number in self.state.trials)
        if len(numbers) < 2:
            others = [self.current.number if self.current else None, self.state.best]
            numbers = list(dict.fromkeys(n for n in (*numbers, *others) if n is not None))
        if len(numbers) < 2:
            self.tell("mark two trials with space, then compare them")
            return
        from autocompress.tui.screens.compare import CompareScreen

        self.app.push_screen(CompareScreen(numbers))

    def action_export(self) -> None:
        """Write the recipe to a file."""
        trial = self.current
        if trial is None:
            self.tell("no trial has ended yet")
            return
        from autocompress.tui.screens.export import ExportScreen

        self.app.push_screen(ExportScreen(trial.number))

    def action_what_if(self) -> None:
        """Move the limits and see what changes."""
        if self.state.original is None:
            self.tell("the original has to be measured first")
            return
        from autocompress.tui.screens.what_if import WhatIfScreen

        self.app.push_screen(WhatIfScreen())

    def action_log(self) -> None:
        """Show what the trial's process wrote."""
        trial, running = self.current, self.state.running
        number = trial.number if trial is not None else running.number if running is not None else None
        if number is None:
            self.tell("no trial has begun yet")
            return
        from autocompress.tui.screens.log import LogScreen

        self.app.push_screen(LogScreen(number))

    def action_copy(self) -> None:
        """Copy the recipe as YAML."""
        trial = self.current
        recipe = self._record_of(trial).get("recipe") if trial is not None else None
        if trial is None or recipe is None:
            self.tell("there is no recipe to copy")
            return
        import yaml

        self.app.copy_to_clipboard(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
        self.tell(f"copied the recipe of #{trial.number} as YAML", accepted=True)

    def action_runs(self) -> None:
        """Go to the list of runs; the search goes on."""
        self.owner.detach()

    def action_detach(self) -> None:
        """Leave; the search goes on."""
        if self.owner.opened_with_run:
            self.app.exit()
        else:
            self.owner.detach()

    # Steering -------------------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause the search, or let it go on."""
        self.ask_for_pause()

    def action_stop(self) -> None:
        """Stop the search after this trial."""
        self.ask_for_stop()

    def action_cancel(self) -> None:
        """Cancel the running trial."""
        self.ask_to_cancel()

    def action_add_trials(self) -> None:
        """Ask for more trials."""
        self.ask_for_trials()

    def action_note(self) -> None:
        """Write a note on the trial."""
        self.ask_for_note(self.current)

    def action_try(self) -> None:
        """Try an edited recipe next."""
        self.ask_to_try(self.current)
