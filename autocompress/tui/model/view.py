"""What a person chose to see of a run: shared by its screens, and kept when one goes from one to another."""

from __future__ import annotations

from autocompress.tui.model.filter import Filter, FilterContext, FilterMistake
from autocompress.tui.model.run_state import RunState
from autocompress.tui.model.sorting import DESCENDING_AT_FIRST, SORTS, in_order
from autocompress.tui.model.trial import Trial

AXES = ("size × quality", "latency × quality", "size × latency", "hypervolume", "importance")


class View:
    """The filter, the order, the marks and the trial in question.

    ``revision`` grows with what changes the table, ``kept_revision`` with what changes which trials are shown; the
    cursor is no part of either.

    Attributes:
        cursor: the number of the trial that the person went to; None: the best one so far.
        follow: the cursor goes with the newest trial.
        axes: which of `AXES` the plot shows.
        mistake: why the filter that is being written cannot be read; the last one that could be stays in force.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.kept_revision = 0
        self._order_revision = 0
        self.filter = Filter()
        self.mistake: str | None = None
        self.sort = "number"
        self.descending = True
        self.hide_infeasible = False
        self.follow = False
        self.marks: set[int] = set()
        self.cursor: int | None = None
        self.axes = 0
        self._rows: list[Trial] = []
        self._rows_of: object = None
        self._places: dict[int, int] | None = None

    # Choosing -------------------------------------------------------------------------------------------------------

    def set_filter(self, text: str) -> bool:
        """Filter by this from now on; tells whether it could be read, else `mistake` says why not."""
        try:
            wanted = Filter.read(text)
        except FilterMistake as mistake:
            self.mistake = str(mistake)
            return False
        self.mistake = None
        if wanted.text != self.filter.text:
            self.filter = wanted
            self._keep_others()
        return True

    def sort_by(self, column: str) -> None:
        """Sort by a column; by the same one again: the other way round."""
        if column == self.sort:
            self.reverse()
            return
        self.sort, self.descending = column, column in DESCENDING_AT_FIRST
        self._order_otherwise()

    def next_sort(self, columns: tuple[str, ...] = SORTS) -> None:
        """Sort by the next column."""
        at = columns.index(self.sort) if self.sort in columns else -1
        self.sort_by(columns[(at + 1) % len(columns)])

    def reverse(self) -> None:
        """Sort the other way round."""
        self.descending = not self.descending
        self._order_otherwise()

    def toggle_infeasible(self) -> None:
        """Hide what broke a limit or gave no figures, or show it again."""
        self.hide_infeasible = not self.hide_infeasible
        self._keep_others()

    def toggle_mark(self, number: int) -> None:
        """Mark a trial, or unmark it."""
        self.marks.symmetric_difference_update({number})
        self._mark_others()

    def clear_marks(self) -> None:
        """Unmark all."""
        self.marks.clear()
        self._mark_others()

    def _mark_others(self) -> None:
        self.revision += 1
        if self.filter.terms:  # one may be about marks
            self._keep_others()

    def _keep_others(self) -> None:
        self.revision += 1
        self.kept_revision += 1

    def _order_otherwise(self) -> None:
        self.revision += 1
        self._order_revision += 1

    # Looking --------------------------------------------------------------------------------------------------------

    @property
    def is_filtered(self) -> bool:
        """Whether trials may be hidden."""
        return bool(self.filter.terms) or self.hide_infeasible

    def rows(self, state: RunState) -> list[Trial]:
        """The trials that are shown, in their order; the same list as long as nothing changed."""
        of = (state, state.trials_revision, self.kept_revision, self._order_revision)
        if of != self._rows_of:
            self._rows = in_order(self._kept(state), self.sort, descending=self.descending)
            self._rows_of, self._places = of, None
        return self._rows

    def _kept(self, state: RunState) -> list[Trial]:
        trials = list(state.trials.values())
        if self.hide_infeasible:
            trials = [trial for trial in trials if trial.is_feasible and trial.is_measured]
        if not self.filter.terms:
            return trials
        is_rate = state.metric.is_rate if state.metric else True
        context = FilterContext(state.front.numbers, self.marks, is_rate)
        return [trial for trial in trials if self.filter.holds(trial, context)]

    def place(self, state: RunState, number: int | None) -> int | None:
        """The row of a trial; None where it is not shown."""
        rows = self.rows(state)
        if number is None:
            return None
        if self._places is None:
            self._places = {trial.number: at for at, trial in enumerate(rows)}
        return self._places.get(number)

    def current(self, state: RunState) -> Trial | None:
        """The trial in question: at the cursor, else the newest or the best; of those shown, else the first row.

        Keys act on it, so it is never one that a filter hides.
        """
        rows = self.rows(state)
        wanted = self._wanted(state)
        if wanted is not None and (not self.is_filtered or self.place(state, wanted.number) is not None):
            return wanted
        return rows[0] if rows else None

    def _wanted(self, state: RunState) -> Trial | None:
        if self.follow and state.trials:
            return state.trials[next(reversed(state.trials))]
        if self.cursor is not None and self.cursor in state.trials:
            return state.trials[self.cursor]
        return state.best_trial

    def move(self, state: RunState, by: int) -> None:
        """Move the cursor by so many rows."""
        rows = self.rows(state)
        if not rows:
            return
        current = self.current(state)
        at = self.place(state, current.number if current else None)
        target = 0 if at is None else min(max(at + by, 0), len(rows) - 1)
        self.go_to(rows[target].number)

    def go_to(self, number: int) -> None:
        """Put the cursor on a trial, and no longer follow."""
        self.cursor, self.follow = number, False
