"""What docs/terminal-ui.md says of keys and filters is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.binding import Binding

from autocompress.tui.model.filter import Filter
from autocompress.tui.screens.dashboard import DashboardScreen
from autocompress.tui.screens.runs import RunsScreen

PAGE = (Path(__file__).parents[2] / "docs" / "terminal-ui.md").read_text(encoding="utf-8")
NAMES = {"/": "slash", "+": "plus", "?": "question_mark"}
HANDLED = {"tab"}  # by key_tab


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return [row.split("|")[1] for row in text.splitlines() if row.startswith("| ")]


def keys_of(screen: type) -> set[str]:
    bindings = [each for each in screen.BINDINGS if isinstance(each, Binding)]  # type: ignore[attr-defined]
    return {key for binding in bindings for key in binding.key.split(",")} | HANDLED


def test_the_filters_can_be_read() -> None:
    filters = [span for cell in first_cells(section("Filters")) for span in re.findall(r"`([^`]+)`", cell)]
    assert len(filters) > 8
    for text in filters:
        assert Filter.read(text).terms, text


@pytest.mark.parametrize("title", ["Keys of the dashboard", "Steering"])
def test_the_keys_are_those_of_the_dashboard(title: str) -> None:
    keys = [key for cell in first_cells(section(title)) for key in re.findall(r"`([^`]+)`", cell)]
    assert len(keys) > 6
    assert {NAMES.get(key, key) for key in keys} <= keys_of(DashboardScreen)


def test_no_key_of_the_dashboard_is_left_out() -> None:
    told = set(re.findall(r"`([^` ]+)`", section("Keys of the dashboard") + section("Steering")))
    synonyms = {"down", "up", "home", "end", "pagedown", "pageup", "left", "right", "ctrl+d", "ctrl+u"}
    missing = keys_of(DashboardScreen) - synonyms - {NAMES.get(key, key) for key in told}
    assert not missing


def test_the_list_of_runs_has_the_key_for_a_new_search() -> None:
    assert "n" in keys_of(RunsScreen)
