"""The new-search wizard, step by step, over a program that answers at once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList, Select, Static

from autocompress.spec import SearchSpec
from autocompress.tui.app import AutocompressApp
from autocompress.tui.screens.dashboard import DashboardScreen
from autocompress.tui.screens.runs import RunsScreen
from autocompress.tui.screens.wizard import WizardScreen
from autocompress.tui.screens.wizard.choice_list import ChoiceList
from autocompress.tui.screens.wizard.expected_table import ExpectedTable
from autocompress.tui.screens.wizard.field import Field
from autocompress.tui.screens.wizard.look_step import ColumnRow
from autocompress.tui.screens.wizard.yaml_screen import YamlScreen

PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_program.py")))
PATIENCE_LOOKS = 4000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with models and data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_FOLDER", str(tmp_path))
    for kind in ("my-bert", "word", "slow", "broken", "pickled", "unstartable", "strange", "large"):
        name = kind if "-" in kind else f"{kind}-model"
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "config.json").write_text('{"architectures": ["Bert"]}')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "reviews.csv").write_text("sentence,label,rating\na,1,5\n")
    return tmp_path


class Driver:
    """A wizard and the keys to it."""

    def __init__(self, pilot: Pilot[None], app: AutocompressApp, wizard: WizardScreen) -> None:
        self.pilot, self.app, self.wizard = pilot, app, wizard

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Put a text into the focused line."""
        assert isinstance(self.app.focused, Input)
        self.app.focused.value = text
        await self.pilot.pause()

    async def until(self, condition: Callable[[], Any]) -> None:
        for _ in range(PATIENCE_LOOKS):
            if condition():
                await self.pilot.pause()
                return
            await self.pilot.pause(0.05)
        raise AssertionError(f"waited in vain; on the screen: {self.shown}")

    async def at(self, title: str) -> None:
        """Wait until a step is shown."""
        await self.until(lambda: self.wizard.step.title == title and self.wizard.step.region)

    async def choose(self, model: str, data: str | None = "data/reviews.csv") -> None:
        """The first two steps; the third begins."""
        self.wizard.query_one("#model Input", Input).focus()
        await self.pilot.pause()
        await self.type(model)
        await self.press("enter")
        await self.at("Data")
        if data is not None:
            await self.type(data)
        await self.press("enter")
        await self.at("Measure")

    async def look(self, model: str = "models/my-bert") -> None:
        """The first three steps."""
        await self.choose(model)
        await self.until(lambda: self.wizard.probe.is_complete)

    @property
    def shown(self) -> str:
        """The texts of the step and of the line below it."""
        widgets = [*self.wizard.step.query(Static), self.wizard.query_one("#told", Static)]
        return "\n".join(str(widget.render()) for widget in widgets if widget.display)

    def field(self, name: str) -> Field:
        return self.wizard.step.query_one(f"#{name}", Field)

    def label(self, button: str) -> str:
        return str(self.wizard.query_one(f"#{button}", Button).label)


def drive(
    folder: Path,
    story: Callable[[Driver], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    ascii_only: bool = False,
) -> None:
    async def run() -> None:
        app = AutocompressApp(root=folder / "runs", ascii_only=ascii_only)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            wizard = WizardScreen(PROGRAM)
            await app.push_screen(wizard)
            await pilot.pause()
            await story(Driver(pilot, app, wizard))

    asyncio.run(run())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_keys_alone_lead_from_a_model_to_a_running_search(folder: Path, size: tuple[int, int]) -> None:
    async def story(driver: Driver) -> None:
        await driver.press(*"mod")  # the list has the focus: what is typed begins a path
        await driver.press("tab")
        await driver.press(*"my")
        await driver.press("tab")
        assert driver.wizard.draft.model == "models/my-bert/"
        await driver.press("enter")
        await driver.at("Data")
        await driver.press(*"data/", "tab")
        assert driver.wizard.draft.data == "data/reviews.csv"
        await driver.press("enter")
        await driver.at("Measure")
        await driver.until(lambda: driver.wizard.probe.is_complete)
        assert "90.9 MB · 12.3 ms a call" in driver.shown
        assert "a gripping film" in driver.shown
        await driver.press("enter")
        await driver.at("Limits")
        assert "accuracy may fall from 92.3 % to 91.3 %" in driver.shown
        assert "at most 45.5 MB, 2.0× smaller (now 90.9 MB)" in driver.shown
        await driver.press("enter")
        await driver.at("Methods")
        await driver.press("enter")
        await driver.at("Start")
        assert "About 12 min: 30 trials of 24 s" in driver.shown
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.app.screen, DashboardScreen))
        assert driver.wizard not in driver.app.screen_stack
        attachment = driver.app.attachment
        assert attachment is not None
        assert attachment.folder == folder / "runs" / "my-bert"

    drive(folder, story, size=size)
    written = yaml.safe_load((folder / "runs" / "my-bert" / "spec.yaml").read_text())
    assert written["model"] == {"path": str(folder / "models" / "my-bert")}
    assert written["constraints"] == {"quality_drop": "1pp", "size": "0.5x"}
    SearchSpec.model_validate(written)
    assert (folder / "runs" / "my-bert" / "search.log").is_file()
    assert not (folder / "runs" / ".starting").exists()


def test_going_back_keeps_everything(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        await driver.press("enter")
        await driver.at("Limits")
        await driver.type("2pp")
        await driver.press("enter")
        await driver.at("Methods")
        await driver.press("x")
        await driver.press("enter")
        await driver.at("Methods")
        assert "Choose at least one method" in driver.shown
        await driver.press("d", "enter")
        await driver.at("Start")
        await driver.type("7")
        for title in ("Methods", "Limits", "Measure", "Data", "Model"):
            await driver.press("escape")
            await driver.at(title)
        for title in ("Data", "Measure", "Limits"):
            driver.wizard.action_next()
            await driver.at(title)
            assert not driver.wizard.step.query("ProgressBar")
        assert driver.field("quality_drop").input.value == "2pp"
        await driver.press("enter", "enter")
        await driver.at("Start")
        assert driver.field("trials").input.value == "7"

    drive(folder, story)


def test_leaving_the_first_step_leaves_the_wizard(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("escape")
        await driver.until(lambda: isinstance(driver.app.screen, RunsScreen))

    drive(folder, story)


def test_errors_appear_beside_the_field_with_a_remedy(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("tab", "enter")
        assert "✗ Choose one of the list" in driver.shown
        await driver.type("models/nothing")
        await driver.press("enter")
        assert "✗ There is no models/nothing. Check the path" in driver.shown
        await driver.look()
        await driver.press("enter")
        await driver.at("Limits")
        await driver.type("a little")
        assert "✗ 'a little' is not a drop; write 1%" in driver.shown
        await driver.press("enter")
        await driver.at("Limits")
        await driver.type("1pp")
        await driver.press("enter", "enter")
        await driver.at("Start")
        await driver.type("none")
        await driver.press("enter")
        assert "✗ Write a whole number" in driver.shown
        assert driver.wizard.launch is None

    drive(folder, story)


def test_a_look_can_be_cancelled_and_its_process_is_gone(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.choose("models/slow-model")
        await driver.until((folder / "slow.pid").exists)
        assert "timing the original" in driver.shown
        assert "50 %" in driver.shown
        assert driver.label("back") == "Cancel (esc)"
        await driver.press("escape")
        assert "Called off" in driver.shown
        process = int((folder / "slow.pid").read_text())
        await driver.until(lambda: not _is_running(process))
        driver.wizard.action_next()
        await driver.at("Limits")
        assert "The original was not measured" in driver.shown
        await driver.press("enter", "enter")
        await driver.at("Start")
        await driver.until(lambda: "About 6.0 to 24 min for 30 trials; up to 1.2 GB on disk." in driver.shown)

    drive(folder, story)


def test_the_end_of_the_ui_ends_a_look(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.choose("models/slow-model")
        await driver.until((folder / "slow.pid").exists)

    drive(folder, story)
    process, end = int((folder / "slow.pid").read_text()), time.monotonic() + 20
    while _is_running(process):
        assert time.monotonic() < end, "the look goes on"
        time.sleep(0.05)


async def _to_the_start(driver: Driver) -> None:
    """From the third step to the last one."""
    for title in ("Limits", "Methods", "Start"):
        driver.wizard.action_next()
        await driver.at(title)


def _lines(driver: Driver) -> list[str]:
    """The screen as it is drawn."""
    strips = driver.app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def test_what_is_to_be_expected_is_shown_before_the_start_those_inside_the_limits_first(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        await _to_the_start(driver)
        await driver.until(lambda: "may fit" in driver.shown)
        lines = _lines(driver)
        heading = next(number for number, line in enumerate(lines) if "4 of 7 known-good may fit" in line)
        assert lines[heading].split()[-4:] == ["size", "≈RAM", "≈a", "call"]
        assert " ".join(lines[heading + 1].split()) == "✓ int8-dynamic → onnx 23.1 MB 0.254× 46–92 MB 1.2–4.6 ms"
        assert "~17.2 MB" in lines[heading + 2]
        told = "About 12 min: 30 trials of 24 s, as the original took; up to 1.2 GB on disk."
        assert any(told in line for line in lines[heading + 4 :])
        assert all(any(line.startswith(f" {name} ") for line in lines) for name in ("Trials", "Stop after", "Name"))
        assert "Start (enter)" in lines[-2]
        await driver.type("3")
        assert "About 72 s: 3 trials of 24 s, as the original took; up to 350 MB on disk." in driver.shown
        await driver.type("three")
        assert "on disk" not in driver.shown

    drive(folder, story)
    assert len((folder / "estimates.jsonl").read_text().splitlines()) == 1


def test_the_last_step_fits_the_smallest_usual_terminal_with_every_limit_of_a_cpu(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        driver.wizard.draft.limits.update(size="25MB", latency="10ms", ram="300MB")
        await _to_the_start(driver)
        await driver.until(lambda: "known-good" in driver.shown)
        text = "\n".join(_lines(driver))
        limits = ("accuracy may fall", "at most 25.0 MB", "at most 10.0 ms", "at most 300 MB")
        for told in ("Model", "Data", *limits, "Best by", "Made of", "on disk"):
            assert told in text, text
        assert driver.wizard.step.max_scroll_y == 0

    drive(folder, story)


def test_where_there_is_room_all_that_is_foretold_is_shown_and_what_breaks_a_limit_underlined(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        await _to_the_start(driver)
        await driver.until(lambda: "may fit" in driver.shown)
        table = driver.wizard.query_one(ExpectedTable)
        await driver.until(lambda: table.size.height == 8)
        told = table.render()
        assert isinstance(told, Content)
        assert [line[0] for line in told.plain.splitlines()[1:]] == list("✓✓✓✓✗✗✗")
        underlined = [told.plain[span.start : span.end] for span in told.spans if "underline" in str(span.style)]
        assert underlined == ["90.9 MB", "91.0 MB", "50.1 MB"]

    drive(folder, story, size=(120, 40))


def test_other_limits_are_foretold_anew_and_the_same_ones_are_not(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        await _to_the_start(driver)
        await driver.until(lambda: "4 of 7 known-good may fit" in driver.shown)
        await driver.press("escape")
        await driver.at("Methods")
        await driver.press("enter")
        await driver.at("Start")
        assert "4 of 7 known-good may fit" in driver.shown
        await driver.press("escape", "escape")
        await driver.at("Limits")
        driver.field("size").input.value = ""
        await driver.pilot.pause()
        driver.wizard.action_next()
        driver.wizard.action_next()
        await driver.until(lambda: "7 known-good recipes" in driver.shown)

    drive(folder, story)
    asked = [json.loads(line) for line in (folder / "estimates.jsonl").read_text().splitlines()]
    assert [one["constraints"] for one in asked] == [
        {"quality_drop": "1pp", "size": "0.5x"},
        {"quality_drop": "1pp"},
    ]


def test_a_search_of_which_nothing_can_be_foretold_is_started_all_the_same(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look("models/strange-model")
        await _to_the_start(driver)
        await driver.until(lambda: "its layers" in driver.shown)
        assert "What to expect is not known: its layers are of no known kind" in driver.shown
        assert "About 12 min: 30 trials of 24 s, as the original took." in driver.shown
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.app.screen, DashboardScreen))

    drive(folder, story)


@pytest.mark.parametrize("way", ["back", "start"])
def test_whoever_leaves_the_last_step_ends_the_estimate(folder: Path, way: str) -> None:
    async def story(driver: Driver) -> None:
        await driver.look("models/large-model")
        await _to_the_start(driver)
        await driver.until(lambda: (folder / "large.pid").exists() and (folder / "large.pid").read_text())
        assert "working out what to expect…" in driver.shown
        process = int((folder / "large.pid").read_text())
        if way == "back":
            await driver.press("escape")
            await driver.at("Methods")
        else:
            await driver.press("enter")
            await driver.until(lambda: isinstance(driver.app.screen, DashboardScreen))
        await driver.until(lambda: not _is_running(process))

    drive(folder, story)


def test_why_a_look_failed_is_told_and_it_can_be_repeated(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.choose("models/broken-model")
        await driver.until(lambda: driver.wizard.probe.problem)
        await driver.until(lambda: driver.label("next") == "Look again (enter)")
        assert "✗ broken-model: the folder holds no weights. It needs model.safetensors." in driver.shown
        driver.wizard.action_next()
        await driver.at("Measure")

    drive(folder, story)


def test_permission_for_pickled_weights_is_asked_for(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.choose("models/pickled-model")
        await driver.until(lambda: driver.wizard.query_one("#allow", Button).display)
        await driver.pilot.click("#allow")
        await driver.until(lambda: driver.wizard.probe.is_complete)
        assert driver.wizard.draft.plain(driver.wizard.probe)["model"]["allow_pickle"] is True

    drive(folder, story)


def test_a_wrong_column_can_be_changed_and_leads_to_another_look(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        await driver.until(lambda: len(driver.wizard.query(ColumnRow)) == 2)
        row = driver.wizard.query(ColumnRow).last()
        row.query_one(Select).value = "rating"
        await driver.until(lambda: driver.label("next") == "Look again (enter)")
        assert "5\n2\n4" in driver.shown
        driver.wizard.action_next()
        await driver.until(lambda: driver.wizard.probe.is_complete and driver.label("next") == "Next (enter)")
        assert driver.wizard.draft.plain(driver.wizard.probe)["data"]["columns"] == {"label": "rating"}
        driver.wizard.action_next()
        await driver.at("Limits")

    drive(folder, story)


def test_what_cannot_be_used_says_why_and_how_to_get_it(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        await driver.press("enter", "enter")
        await driver.at("Methods")
        await driver.press("down", "down")
        assert "openvino cannot be used: openvino is not installed" in driver.shown
        await driver.press("space")
        choices = driver.wizard.query_one("#space", ChoiceList)
        assert "format openvino" not in choices.ticked
        await driver.press("y")
        assert driver.app.clipboard == "pip install 'autocompress[openvino]'"
        assert "trains, roughly 6 min a trial" in str(choices.get_option_at_index(9).prompt)
        await driver.press("a")
        assert driver.wizard.draft.plain(driver.wizard.probe)["space"]["training"] is True
        await driver.press("enter")
        await driver.at("Start")
        assert "Trials with distil take minutes more each" in driver.shown

    drive(folder, story)


def test_the_mouse_ticks_and_goes_back(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        await driver.pilot.click("#next")
        await driver.at("Limits")
        await driver.pilot.click("#next")
        await driver.at("Methods")
        await driver.pilot.click("#space", offset=(2, 2))
        assert driver.wizard.draft.formats == {"pytorch"}
        await driver.pilot.click("#steps", offset=(15, 0))
        await driver.at("Model")

    drive(folder, story)


def test_the_spec_is_shown_copied_and_written(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("ctrl+y")
        assert "before there is a model" in driver.shown
        await driver.look()
        await driver.press("ctrl+y")
        await driver.until(lambda: isinstance(driver.app.screen, YamlScreen))
        await driver.press("y")
        assert driver.app.clipboard == driver.wizard.draft.yaml(driver.wizard.probe)
        await driver.press("w")
        await driver.press("enter")
        await driver.until((folder / "search.yaml").exists)
        await driver.press("q")
        await driver.at("Measure")

    drive(folder, story)
    SearchSpec.model_validate(yaml.safe_load((folder / "search.yaml").read_text()))


def test_the_demo_is_prepared_and_looked_at(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("enter")
        await driver.until(lambda: "training the demo's model" in driver.shown)
        await driver.at("Measure")
        await driver.until(lambda: driver.wizard.probe.is_complete)
        assert driver.wizard.draft.trials == "16"
        assert driver.wizard.draft.model == str(folder / "demo-model")
        assert driver.wizard.draft.stem == "demo"

    drive(folder, story)


def test_a_recent_model_brings_its_data(folder: Path) -> None:
    run = folder / "runs" / "before"
    run.mkdir(parents=True)
    spec = {"model": {"path": str(folder / "models/my-bert")}, "data": {"path": str(folder / "data/reviews.csv")}}
    (run / "spec.yaml").write_text(yaml.safe_dump(spec))

    async def story(driver: Driver) -> None:
        models = driver.wizard.query_one("RecentList", OptionList)
        assert models.highlighted == 1
        assert "my-bert" in str(models.get_option_at_index(1).prompt)
        await driver.press("enter")
        await driver.at("Data")
        assert driver.wizard.draft.subject() == spec

    drive(folder, story)


def test_a_refused_search_leads_back_to_the_step_that_it_names(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look("models/unstartable-model")
        await driver.press("enter", "enter", "enter")
        await driver.at("Start")
        await driver.press("enter")
        await driver.at("Limits")
        assert "The search did not start: constraints.size: it is too small. Write 0.5x." in driver.shown

    drive(folder, story)
    assert not (folder / "runs" / ".starting").exists()


def test_a_lower_metric_may_rise(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look("models/word-model")
        await driver.press("enter")
        await driver.at("Limits")
        assert "wer may rise from 4.2 % to 5.2 %" in driver.shown

    drive(folder, story)


def test_all_steps_are_drawn_in_ascii_where_that_is_asked_for(folder: Path) -> None:
    async def story(driver: Driver) -> None:
        await driver.look()
        for title in ("Measure", "Limits", "Methods", "Start"):
            await driver.at(title)
            strips = driver.app.screen._compositor.render_strips()
            text = "\n".join(segment.text for strip in strips for segment in strip)
            assert text.isascii(), sorted(set(text) - set(map(chr, range(128))))
            if title != "Start":
                driver.wizard.action_next()

    drive(folder, story, ascii_only=True)


def _is_running(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text().split(")")[-1].split()[0]
    return False
