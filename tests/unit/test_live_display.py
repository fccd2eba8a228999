"""What a search shows on a terminal while it runs, and what of it stays."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from run_example import CONSTRAINTS, example_records

from autocompress.cli import console
from autocompress.cli.display import display
from autocompress.events import Event, ModelRead, RunStarted

READ = ModelRead(
    seq=1,
    time=1.0,
    task="text-classification",
    architecture="Bert",
    n_parameters=1,
    metric="accuracy",
    metric_is_rate=True,
    higher_is_better=True,
    n_samples={"search": 872},
)
STARTED = RunStarted(
    seq=0,
    time=0.0,
    name="mine",
    model="my-bert",
    trials=20,
    timeout_seconds=None,
    constraints=CONSTRAINTS,
    prefer="balanced",
    device="cpu",
    threads=1,
    methods=(),
    formats=(),
    records=example_records(),
)


class Terminal:
    """A terminal of 120 columns that remembers what was written after its last line was cleared."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.console = Console(file=self.stream, force_terminal=True, width=120, height=60, color_system=None)

    @property
    def left(self) -> str:
        """What stands on it in the end: what came after the last erasure of a line."""
        return self.stream.getvalue().rpartition("\x1b[2K")[2]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(console, "err", terminal.console)
    return terminal


def shown(take: Callable[[Event], None], end: Exception | KeyboardInterrupt | None = None) -> None:
    take(STARTED)
    take(READ)
    if end is not None:
        raise end


def test_the_trials_stay_on_the_terminal_when_the_search_is_interrupted(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), display("balanced") as take:
        shown(take, KeyboardInterrupt())
    assert "the original" in terminal.left
    assert "int8" in terminal.left


def test_they_give_way_to_the_result_where_one_follows(terminal: Terminal) -> None:
    with display("balanced") as take:
        shown(take)
    assert "int8" not in terminal.left
    assert "quality drop ≤ 1 pp, size ≤ 0.5×" in terminal.stream.getvalue()
