"""The real program in a real terminal, over real searches: what a person sees, and what survives whose end."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from command_line import TASK_FILE, CommandLine
from tmux_terminal import TmuxTerminal

from autocompress.recipe_file import read_recipe

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
    pytest.mark.timeout(600),
]

AUTOCOMPRESS = (sys.executable, "-m", "autocompress")
QUICK = ("--methods", "fp16,bf16,int8_weight_only", "--formats", "pytorch,onnx", "--max-quality-drop", "10pp")
HEAVY_LIBRARIES = ("torch", "pydantic_core", "numpy", "optuna", "transformers")

CRASHING = """
import sys
from pathlib import Path
from autocompress.tui.app import AutocompressApp

class Crashing(AutocompressApp):
    def on_mount(self):
        super().on_mount()
        self.set_timer(0.2, self.fall)

    def fall(self):
        raise ValueError("the pen broke")

app = Crashing(None, root=Path("."))
app.run()
sys.exit(app.return_code)
"""

Opener = Callable[..., TmuxTerminal]


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(tmp_path: Path, warm_cache: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path, warm_cache)
    yield command_line
    command_line.assert_nothing_runs()


@pytest.fixture
def opened(cli: CommandLine) -> Iterator[Opener]:
    """Opens terminals, and closes them before the test's processes are counted."""
    terminals: list[TmuxTerminal] = []

    def open_terminal(size: tuple[int, int] = (120, 40)) -> TmuxTerminal:
        terminals.append(TmuxTerminal(cli.folder, cli.environment, size))
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.close()


def test_q_gives_the_terminal_back_as_it_was(synthetic_run: Path, opened: Opener) -> None:
    terminal = opened()
    before = terminal.settings
    terminal.run(*AUTOCOMPRESS, "tui", synthetic_run)
    terminal.see("synthetic", "59/72")
    assert not terminal.is_restored
    assert terminal.settings != before
    terminal.press("q")
    terminal.shell_again()
    assert terminal.is_restored
    assert terminal.settings == before


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGHUP])
def test_so_does_a_signal(signal_number: signal.Signals, synthetic_run: Path, opened: Opener) -> None:
    terminal = opened((80, 24))
    before = terminal.settings
    terminal.run(*AUTOCOMPRESS, "tui", synthetic_run)
    terminal.see("synthetic")
    terminal.program().send_signal(signal_number)
    terminal.shell_again()
    assert terminal.is_restored
    assert terminal.settings == before


def test_closing_the_terminal_ends_the_program(synthetic_run: Path, opened: Opener) -> None:
    terminal = opened()
    terminal.run(*AUTOCOMPRESS, "tui", synthetic_run)
    terminal.see("synthetic")
    terminal.write("/kmeans")
    program = terminal.program()
    terminal.close()
    psutil.wait_procs([program], timeout=30)
    assert not program.is_running()


def test_so_does_an_error_that_nobody_foresaw_and_it_is_told_in_a_sentence(cli: CommandLine, opened: Opener) -> None:
    (cli.folder / "crashing.py").write_text(CRASHING)
    terminal = opened((80, 24))
    before = terminal.settings
    terminal.run(sys.executable, "crashing.py")
    terminal.see("error: the pen broke", "--debug")
    terminal.shell_again()
    assert "Traceback" not in terminal.screen
    assert terminal.is_restored
    assert terminal.settings == before


def test_the_program_loads_nothing_of_a_search(synthetic_run: Path, opened: Opener) -> None:
    terminal = opened()
    terminal.run(*AUTOCOMPRESS, "tui", synthetic_run)
    terminal.see("synthetic")
    mapped = Path(f"/proc/{terminal.program().pid}/maps").read_text()
    assert [name for name in HEAVY_LIBRARIES if f"/{name}" in mapped] == []


def test_the_recorded_run_is_played_back_to_its_end_and_loads_nothing_of_a_search(opened: Opener) -> None:
    terminal = opened()
    terminal.run(*AUTOCOMPRESS, "demo", "--replay", "--speed", 40)
    terminal.see("recording", "onnx")
    terminal.see("certified|observed")
    mapped = Path(f"/proc/{terminal.program().pid}/maps").read_text()
    assert [name for name in HEAVY_LIBRARIES if f"/{name}" in mapped] == []
    terminal.press("q")
    terminal.shell_again()
    assert terminal.is_restored


def test_what_is_typed_ahead_goes_where_it_belongs(synthetic_run: Path, opened: Opener) -> None:
    terminal = opened()
    terminal.run(*AUTOCOMPRESS, "tui", synthetic_run)
    terminal.see("synthetic", "59/72")
    terminal.write("/kmeans")  # each of these letters is also a key of the dashboard
    terminal.press("Enter")
    terminal.see(r"/ kmeans  \d+ of 59")


@pytest.mark.slow
def test_a_search_is_watched_filtered_compared_exported_left_and_found_again(cli: CommandLine, opened: Opener) -> None:
    terminal = opened()
    with cli.started("search", "--task-file", TASK_FILE, "--name", "watched", "--trials", 8, *QUICK) as search:
        cli.wait_until(lambda: 3 in cli.trials_in("watched"), search)
        cli.hold(search)
        n_ended = len(cli.trials_in("watched"))

        terminal.run(*AUTOCOMPRESS, "tui", "watched")
        terminal.see("watched", rf"\b{n_ended}/8", "running")

        terminal.write("/fp16")
        terminal.press("Enter")
        terminal.see(f"/ fp16  1 of {n_ended}")
        terminal.miss("the original")
        terminal.press("Escape")
        terminal.see("the original")

        terminal.press("g", "Space", "j", "Space", "c")
        terminal.see("(?i)compare")
        terminal.press("q")
        terminal.see(rf"\b{n_ended}/8")

        terminal.press("b", "e")
        terminal.see("Export", "format_version")
        terminal.press("Enter")
        written = cli.folder / "recipe-{}.yaml"
        terminal.wait(lambda: bool(list(cli.folder.glob("recipe-*.yaml"))), f"{written} was not written")
        (path,) = cli.folder.glob("recipe-*.yaml")
        assert read_recipe(path).export.format in ("onnx", "pytorch")
        terminal.press("q")

        terminal.see(rf"\b{n_ended}/8")
        terminal.press("q")
        terminal.shell_again()
        assert search.poll() is None
        cli.release()
        cli.wait_until(lambda: len(cli.trials_in("watched")) > n_ended, search)
        cli.hold(search)
        n_ended = len(cli.trials_in("watched"))

        terminal.run(*AUTOCOMPRESS, "tui", "watched")
        terminal.see(rf"\b{n_ended}/8", "running")
        terminal.program().kill()
        terminal.shell_again()
        assert search.poll() is None
        terminal.run("reset")
        terminal.shell_again()

        terminal.run(*AUTOCOMPRESS, "tui", "watched")
        terminal.see(rf"\b{n_ended}/8", "running")
        terminal.press("Q")
        terminal.see("(?i)stop")
        terminal.press("y")
        cli.release()
        search.wait(timeout=120)
        terminal.see("finished|stopped|ended")
        assert len(cli.trials_in("watched")) < 8
        ended = json.loads((cli.runs / "watched" / "events.jsonl").read_text().splitlines()[-1])
        assert ended["kind"] == "run_finished"


@pytest.mark.slow
def test_from_nothing_to_a_running_search_by_the_wizard(cli: CommandLine, opened: Opener) -> None:
    terminal = opened()
    terminal.run(*AUTOCOMPRESS)
    terminal.see("no runs")
    terminal.press("n")
    terminal.see("Which model")
    terminal.write(str(TASK_FILE))
    terminal.press("Enter")
    terminal.see("Which data")
    terminal.press("Enter")
    terminal.see("looked at in full", "Sequential", "agreement +100.0 %")
    terminal.press("Enter")
    terminal.see("How much may be lost", "agreement may fall")
    terminal.press("Enter")
    terminal.see("What may recipes be made of", r"\[x\] onnx")
    terminal.press("Enter")
    terminal.see("How much may be tried", "30 trials")
    terminal.press("End", "C-u")
    terminal.see("Write a whole number")
    terminal.write("3")
    terminal.see("About .*: 3 trials")
    terminal.press("Enter")
    terminal.see("1 Trials", "small_problem", "/3 ")
    terminal.press("q")
    terminal.see("1 run in", "small_problem")
    terminal.press("q")
    terminal.shell_again()
    assert terminal.is_restored
    assert "Exception" not in terminal.screen
    log = cli.runs / "small_problem" / "events.jsonl"
    terminal.wait(lambda: '"kind":"run_finished"' in log.read_text(), "the search did not go on")
    assert cli("show", "small_problem", "--json").json["trials"][0]["status"] == "complete"


@pytest.mark.slow
def test_when_a_search_is_killed_the_ui_says_so_and_stays_usable(cli: CommandLine, opened: Opener) -> None:
    terminal = opened()
    with cli.started("search", "--task-file", TASK_FILE, "--name", "killed", "--trials", 6, *QUICK) as search:
        cli.wait_until(lambda: 1 in cli.trials_in("killed"), search)
        cli.hold(search)
        terminal.run(*AUTOCOMPRESS, "tui", "killed")
        terminal.see("killed", "running")
        search.kill()
        terminal.see("search process gone")
    terminal.press("Enter")
    terminal.see("format")
    terminal.press("q")
    terminal.see("search process gone")
    terminal.press("q")
    terminal.shell_again()
    assert terminal.is_restored
