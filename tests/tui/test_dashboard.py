"""The dashboard under keys and mouse, over runs in every state."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
import yaml
from over_run import StandIn, over, play, searching, text_of, until, until_shown
from textual.pilot import Pilot
from textual.widgets import Input

from autocompress.tui.app import AutocompressApp
from autocompress.tui.model.view import AXES, View
from autocompress.tui.screens.dashboard import DashboardScreen

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture
def run(synthetic_run: Path, tmp_path: Path) -> Path:
    """A run of sixty trials, to be changed at will."""
    folder = tmp_path / "synthetic"
    shutil.copytree(synthetic_run, folder)
    return folder


@pytest.fixture
def search(run: Path) -> Iterator[StandIn]:
    """A search works in it."""
    with searching(run) as stand_in:
        yield stand_in


def app_of(pilot: Pilot[None]) -> AutocompressApp:
    return cast(AutocompressApp, pilot.app)


def view_of(pilot: Pilot[None]) -> View:
    return app_of(pilot).view


def dashboard(pilot: Pilot[None]) -> DashboardScreen:
    return next(screen for screen in pilot.app.screen_stack if isinstance(screen, DashboardScreen))


def panes_of(pilot: Pilot[None]) -> str:
    """What is shown above the keys, which bear the panes' names too."""
    return "\n".join(text_of(pilot).splitlines()[:-1])


def played(
    folder: Path,
    script: Callable[[Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (120, 40),
    *,
    ascii_only: bool = False,
) -> None:
    play(script, over(folder), folder.parent, size=size, ascii_only=ascii_only)


# What is shown ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_header_table_and_running_trial_fit_every_size(run: Path, search: StandIn, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "synthetic", "running", "59/72", "1 Trials", "best", "#56", "front ")
        shown = text_of(pilot).splitlines()
        assert len(shown) == size[1]
        assert "? Help" in shown[-1]
        assert "Detach" in shown[-1]
        assert sum("59 ▶" in line for line in shown) == 1
        has_plot = "2 Pareto front" in text_of(pilot)
        assert has_plot == (size[0] >= 100)

    played(run, script, size)


def test_a_narrow_screen_shows_one_pane_at_a_time(run: Path, search: StandIn) -> None:
    async def script(pilot: Pilot[None]) -> None:
        titles = ("1 Trials", "2 Pareto front", "3 Detail", "4 Now")
        for number, title in enumerate(titles, 1):
            await pilot.press(str(number))
            await until_shown(pilot, title)
            assert [each for each in titles if each in panes_of(pilot)] == [title]
        await until_shown(pilot, "○ export", "▶")
        await pilot.press("1", "tab")
        await until_shown(pilot, "2 Pareto front", "size MB log")
        await pilot.press("tab")
        await until_shown(pilot, "3 Detail", "smaller")

    played(run, script, (80, 24))


def test_ascii_means_ascii(run: Path, search: StandIn) -> None:
    async def script(pilot: Pilot[None]) -> None:
        for key in ("1", "2", "3", "4", "v", "v", "v", "v", "z", "slash"):
            await pilot.press(key)
            await pilot.pause(0.1)
            text = text_of(pilot)
            assert text.isascii(), [line for line in text.splitlines() if not line.isascii()]
        assert "best #" in text

    for size in ((80, 24), (120, 40)):
        played(run, script, size, ascii_only=True)


def test_no_color_says_the_same(run: Path, search: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "★", "✗", "◎", "▶")
        for strip in pilot.app.screen._compositor.render_strips():
            for segment in strip:
                triplet = segment.style.color.triplet if segment.style and segment.style.color else None
                assert triplet is None or triplet.red == triplet.green == triplet.blue

    played(run, script)


def test_figures_that_break_a_limit_are_underlined(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        table = dashboard(pilot).table
        state = app_of(pilot).attachment.state  # type: ignore[union-attr]
        broken = [n for n, trial in state.trials.items() if trial.size_bytes and trial.violations["size"] > 0]
        number = broken[-1]
        view_of(pilot).set_filter(f"#{number}")
        dashboard(pilot).refresh_run()
        await until(pilot, lambda: len(table._rows) == 1)
        underlined = [segment.text for segment in table.render_line(2) if segment.style and segment.style.underline]
        assert underlined[0] == f"{(state.trials[number].size_bytes or 0) / 1e6:.1f}"

    played(run, script)


def test_a_run_whose_search_died_says_so_and_stays_usable(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "search process gone", "did not end")
        await pilot.press("j", "j", "p")
        await until_shown(pilot, "no search works in this run now")
        assert view_of(pilot).cursor is not None

    played(run, script)


def test_a_finished_run_tells_its_end_and_how_sure_the_best_is(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "done"
    synthetic.write_run(folder, 30, finished=True)

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "finished", "all 30 trials are done")
        await pilot.press("Q")
        await until_shown(pilot, "the search has ended")

    played(folder, script)


def test_an_empty_run_waits_for_its_first_events(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "no events yet", "no trial has ended yet", "the original is measured first")
        for key in ("j", "G", "b", "l", "space", "c", "enter", "e", "w", "y", "L", "v", "v", "v", "v", "s", "i", "f"):
            await pilot.press(key)
        assert isinstance(pilot.app.screen, DashboardScreen)

    for size in SIZES:
        played(folder, script, size)


def test_a_torn_log_is_shown_as_far_as_it_is_whole_and_goes_on(run: Path, search: StandIn) -> None:
    log = run / "events.jsonl"
    whole = log.read_bytes()
    cut = whole.rindex(b'"kind":"trial_finished"') + 60
    log.write_bytes(whole[:cut])

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "58/72")
        with log.open("ab") as stream:
            stream.write(whole[cut:])
        await until_shown(pilot, "59/72")

    played(run, script)


def test_new_events_are_drawn_as_they_come(run: Path, search: StandIn) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "running")
        search.tell("state_changed", state="paused", why="asked for")
        await until_shown(pilot, "‖ paused")
        search.tell("note", text="the machine is busy; latencies are timed again")
        await until_shown(pilot, "the machine is busy")
        search.tell("trials_changed", trials=500)
        await until_shown(pilot, "59/500")

    played(run, script)


# The cursor ---------------------------------------------------------------------------------------------------------


def test_keys_move_the_cursor_and_the_detail_follows(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        view = view_of(pilot)
        for key, number in (
            ("g", 58),
            ("j", 57),
            ("down", 56),
            ("k", 57),
            ("up", 58),
            ("G", 0),
            ("home", 58),
            ("end", 0),
        ):
            await pilot.press(key)
            assert view.cursor == number, key
        await until_shown(pilot, "#0 ", "the original")
        await pilot.press("pageup")
        assert 0 < (view.cursor or 0) < 58
        await pilot.press("pagedown")
        assert view.cursor == 0
        await pilot.press("b")
        best = app_of(pilot).attachment.state.best  # type: ignore[union-attr]
        assert view.cursor == best
        await until_shown(pilot, f"#{best} ★", "best so far")

    played(run, script)


def test_h_and_l_walk_along_the_front(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        front = [dot.trial.number for dot in dashboard(pilot).plot.scene.front]
        await pilot.press(*["h"] * len(front))
        assert view_of(pilot).cursor == front[0]
        walked = []
        for _ in front[1:]:
            await pilot.press("l")
            walked.append(view_of(pilot).cursor)
        assert walked == front[1:]
        await pilot.press("left")
        assert view_of(pilot).cursor == front[-2]

    played(run, script)


def test_following_goes_with_the_newest_trial(run: Path, search: StandIn) -> None:
    lines = (run / "events.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("G", "f")
        await until_shown(pilot, "#58 ", "follows the newest")
        ended = next(line for line in reversed(lines) if '"kind":"trial_finished"' in line)
        with (run / "events.jsonl").open("a", encoding="utf-8") as log:
            log.write(ended.replace('"number":58', '"number":59'))
        await until_shown(pilot, "60/72", "#59 ")
        await pilot.press("f")
        assert not view_of(pilot).follow

    played(run, script)


def test_the_mouse_picks_rows_points_and_headings(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        screen = dashboard(pilot)
        await pilot.click("#trials", offset=(12, 6))
        assert view_of(pilot).cursor == screen.table._rows[3].number
        dot = screen.plot.scene.front[-1]
        column, row = screen.plot._cell(dot.x, dot.y)
        await pilot.click("#front", offset=(column + 1, row + 1))
        picked = view_of(pilot).cursor
        assert picked in app_of(pilot).attachment.state.front  # type: ignore[union-attr]
        assert screen.pane == 2
        heading = text_of(pilot).splitlines()[3].index("MB")
        await pilot.click("#trials", offset=(heading, 1))
        assert view_of(pilot).sort == "size"
        await pilot.click("#trials", offset=(heading, 1))
        assert view_of(pilot).descending

    played(run, script)


# What is shown of it ------------------------------------------------------------------------------------------------


def test_a_filter_is_followed_while_it_is_written_and_mistakes_are_told(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"ok")
        await until_shown(pilot, "/ ok", " of 59")
        kept = len(dashboard(pilot).table._rows)
        await pilot.press("space", *"q>=")
        await until_shown(pilot, "needs a number")
        assert len(dashboard(pilot).table._rows) == kept
        await pilot.press("enter")
        assert dashboard(pilot).filter_bar.is_open
        await pilot.press("9", "0", "enter")
        assert not dashboard(pilot).filter_bar.is_open
        assert view_of(pilot).filter.text == "ok q>=90"
        await pilot.press("slash")
        assert pilot.app.screen.query_one(Input).value == "ok q>=90"
        await pilot.press("space", *"zzz")
        await until_shown(pilot, "nothing here passes the filter")
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert view_of(pilot).filter.text == ""
        assert not dashboard(pilot).filter_bar.is_open
        assert len(dashboard(pilot).table._rows) == 59

    played(run, script)


def test_sorting_hiding_marking_and_axes(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        view = view_of(pilot)
        await pilot.press("s")
        assert view.sort == "size"
        await until_shown(pilot, "MB▴")
        await pilot.press("S")
        assert view.descending
        await pilot.press("i")
        await until_shown(pilot, "feasible only")
        assert all(trial.is_feasible for trial in view.rows(app_of(pilot).attachment.state))  # type: ignore[union-attr]
        await pilot.press("g", "space", "j", "space")
        assert len(view.marks) == 2
        await until_shown(pilot, "2 marked")
        titles = (
            "latency ms log",
            "size MB log",
            "volume that the front dominates",
            "share of the spread",
            "accuracy % ↑",
        )
        for at, title in enumerate(titles, 1):
            await pilot.press("v")
            await until_shown(pilot, title)
            assert view.axes == at % len(AXES)

    played(run, script)


def test_zoom_gives_a_pane_all_the_room(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("2", "z")
        await until_shown(pilot, "2 Pareto front")
        assert "1 Trials" not in panes_of(pilot)
        assert dashboard(pilot).plot.size.width > 110
        await pilot.press("z")
        await until_shown(pilot, "1 Trials", "2 Pareto front")

    played(run, script)


def test_a_failure_is_told_with_cause_and_remedy(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        state = app_of(pilot).attachment.state  # type: ignore[union-attr]
        failed = next(trial.number for trial in state.trials.values() if trial.status != "complete")
        view_of(pilot).go_to(failed)
        dashboard(pilot).refresh_run()
        await until_shown(pilot, f"#{failed} ", "a layer has no kernel", "Use 4 bits.")

    played(run, script)


# Other screens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("enter", "TrialScreen"),
        ("c", "CompareScreen"),
        ("e", "ExportScreen"),
        ("w", "WhatIfScreen"),
        ("L", "LogScreen"),
        ("question_mark", "HelpScreen"),
    ],
)
def test_keys_open_the_other_screens_and_escape_comes_back(run: Path, key: str, name: str) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("G", "k", key)
        await until(pilot, lambda: type(pilot.app.screen).__name__ == name)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, DashboardScreen))

    played(run, script)


def test_y_copies_the_recipe_as_yaml(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("g", "y")
        await until_shown(pilot, "copied the recipe of #58")
        copied = yaml.safe_load(pilot.app.clipboard)
        assert set(copied) == {"steps", "format", "seed"}

    played(run, script)


def test_q_leaves_the_app_that_was_opened_over_a_run_and_r_goes_to_the_runs(run: Path, search: StandIn) -> None:
    async def to_runs(pilot: Pilot[None]) -> None:
        await pilot.press("r")
        await until(pilot, lambda: type(pilot.app.screen).__name__ == "RunsScreen")
        assert app_of(pilot).attachment is None

    async def away(pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await until(pilot, lambda: not pilot.app.is_running)

    played(run, to_runs)
    played(run, away)
    assert search.asked() == []


# Steering -----------------------------------------------------------------------------------------------------------


def test_requests_are_written_and_their_answers_shown(run: Path, search: StandIn) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "running")
        await pilot.press("p")
        await until_shown(pilot, "asked: pause")
        search.answer(accepted=True, text="pauses after trial 59")
        search.tell("state_changed", state="paused", why="asked for")
        await until_shown(pilot, "✓ pauses after trial 59", "‖ paused")
        await pilot.press("p")
        await until(pilot, lambda: search.asked()[-1]["action"] == "resume")
        search.answer(accepted=False, text="it is not paused")
        await until_shown(pilot, "✗ it is not paused")

    played(run, script)


def test_stopping_and_cancelling_ask_first(run: Path, search: StandIn) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "running")
        await pilot.press("Q")
        await until_shown(pilot, "Stop the search after this trial?")
        await pilot.press("n")
        await pilot.pause()
        assert search.asked() == []
        await pilot.press("Q", "y")
        await until(pilot, lambda: [each["action"] for each in search.asked()] == ["stop"])
        await pilot.press("x")
        await until_shown(pilot, "Cancel trial #59?")
        await pilot.press("enter")
        await until(pilot, lambda: len(search.asked()) == 2)
        assert search.asked()[-1]["action"] == "cancel_trial"
        assert search.asked()[-1]["number"] == 59

    played(run, script)


def test_more_trials_and_notes_are_typed(run: Path, search: StandIn) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "running")
        await pilot.press("plus")
        await until_shown(pilot, "How many more trials?")
        await pilot.press("x")
        await until_shown(pilot, "a whole number from 1")
        await pilot.press("enter")
        assert search.asked() == []
        await pilot.press("backspace", "7", "enter")
        await until(pilot, lambda: len(search.asked()) == 1)
        assert (search.asked()[0]["action"], search.asked()[0]["trials"]) == ("add_trials", 7)
        await pilot.press("g", "n")
        await until_shown(pilot, "A note on #58")
        await pilot.press(*"good", "enter")
        await until(pilot, lambda: len(search.asked()) == 2)
        assert {"action": "note", "number": 58, "text": "good"}.items() <= search.asked()[1].items()

    played(run, script)


def test_t_opens_an_edited_recipe_to_try(run: Path, search: StandIn) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "running")
        await pilot.press("g", "t")
        await until(pilot, lambda: type(pilot.app.screen).__name__ == "TryRecipeScreen")

    played(run, script)


def test_an_answer_goes_after_some_seconds(run: Path, search: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autocompress.tui.widgets.message_line.SECONDS_TO_READ", 1.0)

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "running")
        await pilot.press("p")
        await until_shown(pilot, "asked: pause after this trial")
        search.answer(accepted=True, text="pauses when trial 59 has ended")
        await until_shown(pilot, "pauses when trial 59 has ended")
        await until(pilot, lambda: "pauses when trial 59" not in text_of(pilot))

    played(run, script)


def test_what_was_said_is_read_to_its_end_where_the_pane_has_room(run: Path, search: StandIn) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("4")
        search.tell("note", text=f"{'a long story ' * 12}with a moral")
        await until_shown(pilot, "with a moral")

    played(run, script, (80, 24))
