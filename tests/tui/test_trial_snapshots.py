"""How the trial screen and the comparison look; `pytest --snapshot-update` keeps a wanted change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from over_run import over, until_shown
from textual.pilot import Pilot

from autocompress.tui.app import AutocompressApp
from autocompress.tui.screens.compare import CompareScreen
from autocompress.tui.screens.trial import TrialScreen

Compare = Callable[..., bool]


def test_the_trial_screen_at_120_by_40(snap_compare: Compare, synthetic_run: Path) -> None:
    async def show(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(TrialScreen(13))
        await until_shown(pilot, "int8_dynamic", "Nearest on the front")

    app = AutocompressApp(over(synthetic_run), root=synthetic_run.parent)
    assert snap_compare(app, terminal_size=(120, 40), run_before=show)


def test_the_comparison_at_80_by_24(snap_compare: Compare, synthetic_run: Path) -> None:
    async def show(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(CompareScreen([2, 12, 13]))
        await until_shown(pilot, "#13", "RAM is one reading")
        pilot.app.screen_stack[-2].styles.display = "none"  # the run below tells how long it took until now

    app = AutocompressApp(over(synthetic_run), root=synthetic_run.parent)
    assert snap_compare(app, terminal_size=(80, 24), run_before=show)
