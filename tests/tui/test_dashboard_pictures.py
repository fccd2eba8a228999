"""Pictures of the dashboard at two sizes; `pytest --snapshot-update` makes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from over_run import over
from textual.pilot import Pilot

from autocompress.tui.app import AutocompressApp


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_the_dashboard_looks_like_this(snap_compare: object, synthetic_run: Path, size: tuple[int, int]) -> None:
    app = AutocompressApp(over(synthetic_run), root=synthetic_run.parent)

    async def settled(pilot: Pilot[None]) -> None:
        await pilot.pause(0.5)
        await pilot.press("b")
        await pilot.pause(0.3)

    assert snap_compare(app, terminal_size=size, run_before=settled)  # type: ignore[operator]  # the plug-in's fixture
