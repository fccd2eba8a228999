"""The new-search wizard, step by step, over a program that answers at once."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList, Select, Static

from autocompress.spec import SearchSpec
from autocompress.tui.app import AutocompressApp
from autocompress.tui.screens.dashboard import DashboardScreen
from autocompress.tui.screens.runs import RunsScreen
from autocompress.tui.screens.wizard import WizardScreen
from autocompress.tui.screens.wizard.choice_list import ChoiceList
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
    for name in ("my-bert", "word-model", "slow-model", "broken-model", "pickled-model", "unstartable-model"):
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
        assert "How long it takes is not known" in driver.shown

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
