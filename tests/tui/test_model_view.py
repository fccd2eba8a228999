"""What a person chose to see: order, filter, marks and cursor over a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocompress.tui.attachment import Attachment
from autocompress.tui.model.run_state import RunState
from autocompress.tui.model.sorting import SORTS, in_order
from autocompress.tui.model.view import View


@pytest.fixture(scope="module")
def state(synthetic_run: Path) -> RunState:
    attachment = Attachment("synthetic", synthetic_run / "events.jsonl", synthetic_run)
    attachment.poll(60)
    return attachment.state


def test_the_newest_comes_first_and_the_cursor_is_on_the_best(state: RunState) -> None:
    view = View()
    assert [trial.number for trial in view.rows(state)] == sorted(state.trials, reverse=True)
    assert view.current(state) is state.best_trial


def test_rows_are_made_again_only_where_something_changed(state: RunState) -> None:
    view = View()
    rows = view.rows(state)
    view.move(state, 3)
    assert view.rows(state) is rows
    view.toggle_mark(5)
    assert view.rows(state) is rows
    kept = view.kept_revision
    view.reverse()
    assert view.rows(state) == rows[::-1]
    assert view.kept_revision == kept
    view.set_filter("-marked")
    assert len(view.rows(state)) == len(rows) - 1
    view.toggle_mark(5)
    assert len(view.rows(state)) == len(rows)


@pytest.mark.parametrize("by", SORTS)
@pytest.mark.parametrize("descending", [False, True])
def test_what_was_not_measured_comes_last(state: RunState, by: str, descending: bool) -> None:
    rows = in_order(state.trials.values(), by, descending=descending)
    assert sorted(trial.number for trial in rows) == sorted(state.trials)
    measured = [trial.speedup is not None for trial in rows]
    if by in ("size", "speed", "latency", "quality", "drop"):
        assert measured == sorted(measured, reverse=True)
    if by == "size":
        sizes = [trial.size_bytes for trial in rows if trial.size_bytes is not None]
        assert sizes == sorted(sizes, reverse=descending)


def test_sorting_by_the_same_column_turns_it_round(state: RunState) -> None:
    view = View()
    view.sort_by("speed")
    assert view.descending
    view.sort_by("speed")
    assert not view.descending


def test_the_last_filter_that_could_be_read_stays(state: RunState) -> None:
    view = View()
    assert view.set_filter("ok")
    kept = [trial.number for trial in view.rows(state)]
    assert 0 < len(kept) < len(state.trials)
    assert not view.set_filter("ok q>=")
    assert view.mistake is not None
    assert [trial.number for trial in view.rows(state)] == kept
    assert view.set_filter("")
    assert view.mistake is None
    assert len(view.rows(state)) == len(state.trials)


def test_front_and_marked_are_of_this_moment(state: RunState) -> None:
    view = View()
    view.set_filter("front")
    assert {trial.number for trial in view.rows(state)} == set(state.front.numbers)
    view.set_filter("marked")
    assert view.rows(state) == []
    view.toggle_mark(7)
    assert [trial.number for trial in view.rows(state)] == [7]


def test_the_cursor_stays_within_the_rows_and_comes_back_to_them(state: RunState) -> None:
    view = View()
    view.move(state, -10_000)
    assert view.cursor == max(state.trials)
    view.move(state, 10_000)
    assert view.cursor == 0
    view.set_filter("front")
    view.move(state, 1)
    assert view.cursor == view.rows(state)[1].number


def test_following_ends_with_going_somewhere(state: RunState) -> None:
    view = View()
    view.follow = True
    current = view.current(state)
    assert current is not None
    assert current.number == max(state.trials)
    view.move(state, 1)
    assert not view.follow


def test_a_run_without_trials_has_no_rows_and_no_cursor() -> None:
    view, state = View(), RunState()
    assert view.rows(state) == []
    assert view.current(state) is None
    view.move(state, 1)
    assert view.cursor is None


def test_the_trial_in_question_is_never_one_that_the_filter_hides(state: RunState) -> None:
    view = View()
    view.go_to(12)
    view.set_filter("#18")
    assert view.current(state) is state.trials[18]
    view.set_filter("#18 #12")
    assert view.current(state) is None
    view.set_filter("")
    assert view.current(state) is state.trials[12]
