"""A terminal with too little room is told so, and nothing is lost by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from over_run import over, play, text_of, until, until_shown
from textual.pilot import Pilot

from autocompress.tui.screens.dashboard import DashboardScreen


@pytest.mark.parametrize("size", [(79, 24), (80, 19), (30, 5)])
def test_below_80_by_20_that_is_said_instead_of_a_clipped_screen(synthetic_run: Path, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, f"too small: {size[0]} x {size[1]}", "it takes 80 x 20")
        assert "Trials" not in text_of(pilot)
        await pilot.press("q")
        await until(pilot, lambda: pilot.app._exit)

    play(script, over(synthetic_run), synthetic_run.parent, size=size)


def test_what_was_on_the_screen_comes_back_with_the_room(synthetic_run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "Trials")
        await pilot.press("slash", *"onnx")
        await pilot.resize_terminal(60, 24)
        await until_shown(pilot, "too small: 60 x 24")
        await pilot.resize_terminal(61, 10)
        await until_shown(pilot, "too small: 61 x 10")
        await pilot.resize_terminal(80, 20)
        await until_shown(pilot, "Trials", "onnx")
        assert isinstance(pilot.app.screen, DashboardScreen)
        assert len(pilot.app.screen_stack) == 2
        await pilot.press("enter", "j")
        assert pilot.app.screen.view.filter.text == "onnx"

    play(script, over(synthetic_run), synthetic_run.parent)
