"""The trial screen: what it shows of a trial, and its keys."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from over_run import StandIn, over, play, searching, text_of, until, until_shown
from textual.pilot import Pilot

from autocompress.tui.screens.export import ExportScreen
from autocompress.tui.screens.log import LogScreen
from autocompress.tui.screens.trial import TrialScreen
from autocompress.tui.screens.try_recipe import TryRecipeScreen


@pytest.fixture
def run(synthetic: ModuleType, tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "mine"
    synthetic.write_run(folder, 60)
    log = folder / "trials" / "12" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(50)), encoding="utf-8")
    return folder


def failed_in(folder: Path) -> int:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    ended = [event["record"] for line in lines if (event := json.loads(line))["kind"] == "trial_finished"]
    return next(record["number"] for record in ended if record["status"] != "complete")


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 60)])
def test_it_shows_recipe_figures_limits_time_log_and_the_nearest_recipe(
    run: Path, size: tuple[int, int], ascii_only: bool
) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(12))
        await until_shown(pilot, "#12", "size MB", "12.5", "[4.42, 4.79]")
        seen = text_of(pilot)
        for _ in range(12):
            await pilot.press("pagedown")
            await pilot.pause(0.05)
            seen += text_of(pilot)
        for words in ("quality drop", "ffn_width:", "keep: 0.75", "load model", "line 49", "as #", "128 readings"):
            assert words in seen, words
        assert ("VRAM MB                     -" if ascii_only else "VRAM MB                     –") in seen
        if ascii_only:
            assert seen.isascii()

    play(script, over(run), run.parent, size=size, ascii_only=ascii_only)


def test_a_failed_trial_shows_the_error_and_its_remedy_instead_of_figures(run: Path) -> None:
    number = failed_in(run)

    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(number))
        await until_shown(pilot, "a layer has no kernel for 3 bits", "Use 4 bits.", "in the stage export")
        assert "size MB" not in text_of(pilot)

    play(script, over(run), run.parent)


def test_j_and_k_go_along_the_order_that_was_given_and_stop_at_its_ends(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(12, [40, 12, 3]))
        await until_shown(pilot, "#12")
        await pilot.press("j")
        await until_shown(pilot, "#3 ")
        await pilot.press("j", "k", "k")
        await until_shown(pilot, "#40 ")
        await pilot.press("k")
        await until_shown(pilot, "#40 ")

    play(script, over(run), run.parent)


@pytest.mark.parametrize(("key", "screen"), [("e", ExportScreen), ("t", TryRecipeScreen), ("L", LogScreen)])
def test_keys_open_the_other_screens_and_escape_comes_back(run: Path, key: str, screen: type[Any]) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(12))
        await until_shown(pilot, "#12")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, screen) and pilot.app.screen.is_mounted)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrialScreen))

    play(script, over(run), run.parent)


def test_the_log_is_followed_as_it_grows(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(LogScreen(12))
        await until_shown(pilot, "line 49", "log.txt")
        with (run / "trials" / "12" / "log.txt").open("a") as log:
            log.write("one line more\n")
        await until_shown(pilot, "one line more")
        await pilot.press("g")
        await until_shown(pilot, "line 0")
        await pilot.press("G", "w")
        await until_shown(pilot, "one line more")

    play(script, over(run), run.parent)


def test_a_trial_without_a_log_says_so(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(LogScreen(3))
        await until_shown(pilot, "is not there")

    play(script, over(run), run.parent)


def test_the_recipe_is_copied(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(12))
        await until_shown(pilot, "#12")
        await pilot.press("y")
        await pilot.pause(0.1)
        assert "ffn_width" in pilot.app.clipboard

    play(script, over(run), run.parent)


def test_a_note_is_asked_of_the_search_and_shown_once_it_is_kept(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(12))
        await until_shown(pilot, "#12")
        await pilot.press("n")
        await pilot.pause(0.1)
        await pilot.press(*"keep", "enter")
        await pilot.pause(0.2)
        request = search.asked()[-1]
        assert (request["action"], request["number"], request["text"]) == ("note", 12, "keep")
        search.tell("trial_noted", number=12, text="keep this one")
        search.answer(accepted=True, text="noted with trial 12")
        await until_shown(pilot, "keep this one", "noted with trial 12")

    with searching(run) as search:
        play(script, over(run), run.parent)


@pytest.mark.parametrize("screen", ["trial", "dashboard"])
def test_a_note_is_kept_once_the_search_is_over(run: Path, monkeypatch: pytest.MonkeyPatch, screen: str) -> None:
    async def kept(*arguments: str) -> str:
        assert arguments == ("steer", str(run), "note", "--", "12", "-3 pp")
        StandIn(run).tell("trial_noted", number=12, text="minus three points")
        return "noted with trial 12\n"

    monkeypatch.setattr("autocompress.tui.command_output.output_of", kept)

    async def script(pilot: Pilot[None]) -> None:
        if screen == "trial":
            await pilot.app.push_screen(TrialScreen(12))
        else:
            pilot.app.screen._go_to(12)  # type: ignore[attr-defined]
        await until_shown(pilot, "#12")
        await pilot.press("n")
        await until_shown(pilot, "ote on ")
        await pilot.press(*"-3 pp", "enter")
        await until_shown(pilot, "noted with trial 12", "minus three points")

    play(script, over(run), run.parent)


def test_the_running_trial_shows_its_stages_and_an_unknown_one_says_so(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(59))
        await until_shown(pilot, "is running", "load model")
        await pilot.app.push_screen(TrialScreen(1000))
        await until_shown(pilot, "#1000 is not in this run")

    play(script, over(run), run.parent)


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_an_edited_copy_is_tried_and_the_search_s_answer_shown(run: Path, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TryRecipeScreen(12))
        await until_shown(pilot, "ffn_width", "keep: 0.75")
        area = pilot.app.screen.query_one("#text")
        area.text = area.text.replace("0.75", "0.5")  # type: ignore[attr-defined]
        await pilot.press("ctrl+s")
        await until_shown(pilot, "waiting for the search")
        request = search.asked()[-1]
        assert request["action"] == "try_recipe"
        assert request["recipe"]["steps"][0] == {"ffn_width": {"keep": 0.5}}
        assert request["recipe"]["format"] == "openvino"
        search.answer(accepted=False, text="steps[0]: there is no method named ffn")
        await until_shown(pilot, "Refused: steps[0]")
        await pilot.press("ctrl+s")
        await pilot.pause(0.2)
        search.answer(accepted=True, text="tried next")
        await until_shown(pilot, "tried next")

    with searching(run) as search:
        play(script, over(run), run.parent, size=size)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: [\nformat: onnx", "line 2"),
        ("- a\n", "a recipe has steps: and format:"),
        ("steps: []\n", "format: is missing"),
        ("steps: 3\nformat: onnx", "is a list"),
        ("steps: [[1]]\nformat: onnx", "steps[0] is no step"),
        ("stepz: []\nformat: onnx", "no stepz:"),
    ],
)
def test_what_is_no_recipe_is_not_sent_but_explained(run: Path, text: str, words: str) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TryRecipeScreen(12))
        await until_shown(pilot, "ffn_width")
        pilot.app.screen.query_one("#text").text = text  # type: ignore[attr-defined]
        await pilot.press("ctrl+s")
        await until_shown(pilot, "Not sent:", words)
        assert search.asked() == []

    with searching(run) as search:
        play(script, over(run), run.parent)


def test_nothing_can_be_tried_once_the_search_is_over(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TryRecipeScreen(12))
        await until_shown(pilot, "nothing can be tried now")
        await pilot.press("ctrl+s")
        await until_shown(pilot, "Not sent: the search is over")

    play(script, over(run), run.parent)
