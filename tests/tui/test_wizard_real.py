"""The new-search wizard over the real program: a real look, a real search."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from command_line import TASK_FILE, CommandLine
from test_wizard import Driver

from autocompress.tui.app import AutocompressApp
from autocompress.tui.screens.dashboard import DashboardScreen
from autocompress.tui.screens.wizard import WizardScreen


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_model_of_ones_own_is_looked_at_and_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = CommandLine(tmp_path)
    for name, value in cli.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    async def run() -> None:
        app = AutocompressApp(root=cli.runs)
        async with app.run_test(size=(120, 40)) as pilot:
            wizard = WizardScreen()
            await app.push_screen(wizard)
            driver = Driver(pilot, app, wizard)
            await driver.choose(str(TASK_FILE), None)
            await driver.until(lambda: wizard.probe.is_complete or wizard.probe.problem)
            assert wizard.probe.problem is None
            assert "agreement   100.0 %" in driver.shown
            await driver.press("enter")
            await driver.at("Limits")
            assert "agreement may fall from 100.0 % to 99.0 %" in driver.shown
            await driver.type("10pp")
            await driver.press("tab")
            await driver.type("1.5x")
            await driver.press("enter", "enter")
            await driver.at("Start")
            await driver.until(lambda: "known-good" in driver.shown)
            assert "on disk." in driver.shown
            await driver.type("3")
            await driver.press("enter")
            await driver.until(lambda: isinstance(app.screen, DashboardScreen))
            attachment = app.attachment
            assert attachment is not None
            await driver.until(lambda: attachment.state.ending is not None)
            assert attachment.state.n_ended == 3

    asyncio.run(run())
    assert "quality_drop: 10pp" in (cli.runs / "small_problem" / "spec.yaml").read_text()
    assert cli("best", "small_problem", "--json").code == 0
    cli.assert_nothing_runs()
