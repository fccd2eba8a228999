"""Trials side by side, and the list of keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from over_run import over, play, text_of, until, until_shown
from textual.binding import Binding
from textual.pilot import Pilot

from autocompress.tui.screens.compare import CompareScreen, knob_rows
from autocompress.tui.screens.help import HelpScreen, key_name
from autocompress.tui.screens.trial import TrialScreen
from autocompress.tui.theme import ASCII, UNICODE


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_trials_stand_side_by_side_and_only_a_separated_best_is_marked(
    synthetic_run: Path, size: tuple[int, int], ascii_only: bool
) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(CompareScreen([2, 12, 13]))
        await until_shown(pilot, "#2", "#12", "#13", "ffn 75%", "rtn 4")
        table = str(pilot.app.screen.query_one("#table").render())
        row = next(line for line in table.splitlines() if line.startswith("speed vs original"))
        assert row.rstrip().endswith("<" if ascii_only else "◄"), "#13 is twice as fast as the others"
        lost = next(line for line in table.splitlines() if line.startswith("accuracy change"))
        assert lost.count("tie") == 3, "the interval of #2 overlaps with both others"
        assert "RAM is one reading" in text_of(pilot)
        if ascii_only:
            assert text_of(pilot).isascii()

    play(script, over(synthetic_run), synthetic_run.parent, size=size, ascii_only=ascii_only)


def test_rows_that_are_the_same_for_all_can_be_hidden(synthetic_run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(CompareScreen([2, 12]))
        await until_shown(pilot, "VRAM", "rtn 4")
        await pilot.press("d")
        await pilot.pause()
        shown = text_of(pilot)
        assert "VRAM" not in shown
        assert "openvino" not in shown
        assert "ffn 75%" in shown
        await pilot.press("d")
        await until_shown(pilot, "VRAM")

    play(script, over(synthetic_run), synthetic_run.parent)


def test_many_trials_scroll_sideways(synthetic_run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(CompareScreen(list(range(10))))
        await until_shown(pilot, "#0")
        assert "#9" not in text_of(pilot)
        for _ in range(10):
            await pilot.press("l")
        await until_shown(pilot, "#9")

    play(script, over(synthetic_run), synthetic_run.parent, size=(80, 24))


@pytest.mark.parametrize("key", ["escape", "q", "c"])
def test_compare_is_left_by_each_of_its_keys(synthetic_run: Path, key: str) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(CompareScreen([2, 12]))
        await until_shown(pilot, "#12")
        await pilot.press(key)
        await until(pilot, lambda: not isinstance(pilot.app.screen, CompareScreen))

    play(script, over(synthetic_run), synthetic_run.parent)


def test_nothing_to_compare_is_said(synthetic_run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(CompareScreen([]))
        await until_shown(pilot, "mark trials with the space key first")

    play(script, over(synthetic_run), synthetic_run.parent)


def test_knobs_that_labels_do_not_tell_are_told_where_they_differ(synthetic_run: Path) -> None:
    attachment = over(synthetic_run)
    while attachment.poll():
        pass
    trial = attachment.state.trials[12]
    recipe = attachment.record(trial)["recipe"]
    other = {**recipe, "steps": [recipe["steps"][0], {"rtn": {"bits": 4, "group_size": 32}}]}
    rows = dict(knob_rows([trial, trial], [recipe, other]))
    assert rows["rtn"] == ["rtn 4, group size 64", "rtn 4, group size 32"]
    assert rows["ffn width"] == ["ffn 75%", "ffn 75%"]
    assert rows["format"] == ["openvino", "openvino"]


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_help_lists_the_keys_of_the_screen_below_the_signs_and_the_filter(
    synthetic_run: Path, size: tuple[int, int], ascii_only: bool
) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(12))
        await until_shown(pilot, "#12")
        await pilot.press("question_mark")
        await until_shown(pilot, "This screen", "Write a note")
        seen = text_of(pilot)
        for _ in range(80):
            await pilot.press("j")
        await pilot.pause(0.1)
        seen += text_of(pilot)
        assert "not measured" in seen
        assert "q>=75" in seen
        if ascii_only:
            assert seen.isascii()

    play(script, over(synthetic_run), synthetic_run.parent, size=size, ascii_only=ascii_only)


@pytest.mark.parametrize("key", ["escape", "question_mark", "q", "enter"])
def test_help_is_left_by_each_of_its_keys(synthetic_run: Path, key: str) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.press(key)
        await until(pilot, lambda: not isinstance(pilot.app.screen, HelpScreen))

    play(script, over(synthetic_run), synthetic_run.parent)


@pytest.mark.parametrize(
    ("key", "name", "plain"),
    [("ctrl+s", "^s", "^s"), ("up", "↑", "up"), ("question_mark", "?", "?"), ("shift+left", "shift-←", "shift-left")],
)
def test_keys_are_called_as_people_call_them(key: str, name: str, plain: str) -> None:
    assert key_name(Binding(key, "x"), UNICODE) == name
    assert key_name(Binding(key, "x"), ASCII) == plain
