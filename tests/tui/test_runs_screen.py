"""The list of runs: what it tells, how it is read, and its keys."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from over_run import over, play, searching, text_of, until, until_shown
from textual.pilot import Pilot

from autocompress.tui import resuming
from autocompress.tui.attachment import StorageAttachment, is_locked
from autocompress.tui.model.run_list import RunList, run_folders
from autocompress.tui.screens import stored
from autocompress.tui.screens.dashboard import DashboardScreen
from autocompress.tui.screens.runs import RunsScreen, count_problem, url_problem
from autocompress.tui.screens.stored import shown_url
from autocompress.tui.widgets.run_lines import age_text


@pytest.fixture
def root(synthetic: ModuleType, tmp_path: Path) -> Path:
    """Four runs: two that ended, one interrupted, and one that has not told anything."""
    folder = tmp_path / "runs"
    for age, (name, finished) in enumerate((("bert-small", True), ("bert-large", True), ("resnet", False))):
        log = synthetic.write_run(folder / name, 20, age, finished=finished)
        os.utime(log, (1_700_000_000 - age, 1_700_000_000 - age))
    (folder / "fresh").mkdir()
    (folder / "fresh" / "spec.yaml").write_text("model: {path: x}\n", encoding="utf-8")
    return folder


def test_runs_are_newest_first_by_their_logs(root: Path) -> None:
    assert [folder.name for folder in run_folders(root)] == ["fresh", "bert-small", "bert-large", "resnet"]
    assert run_folders(root / "nowhere") == []


def test_what_goes_on_is_told_by_the_lock_and_the_last_event(root: Path) -> None:
    runs = RunList(is_locked)

    def standing(name: str) -> str:
        row = runs.read(root / name)
        assert row is not None
        return row.standing

    assert [standing(name) for name in ("bert-small", "resnet", "fresh")] == ["done", "interrupted", "not begun"]
    with searching(root / "resnet") as search:
        assert standing("resnet") == "searching"
        for state, told in (("paused", "paused"), ("stopping", "stopping"), ("running", "searching")):
            search.tell("state_changed", state=state, why="asked")
            assert standing("resnet") == told
        search.tell("run_finished", reason="enough", best=None)
        assert standing("resnet") == "done"
    with searching(root / "fresh"):
        assert standing("fresh") == "starting"


def test_a_row_is_read_again_only_when_log_or_lock_changed(root: Path) -> None:
    runs = RunList(is_locked)
    folder = root / "resnet"
    assert runs.known(folder) is None
    assert not runs.is_fresh(folder)
    row = runs.read(folder)
    assert runs.is_fresh(folder)
    assert runs.known(folder) is row
    with searching(folder) as search:
        assert not runs.is_fresh(folder)
        runs.read(folder)
        search.tell("trials_changed", trials=77)
        again = runs.read(folder)
        assert again is not None
        assert (again.total, again.is_live, again.n_trials) == (77, True, 19)
    runs.forget([])
    assert runs.known(folder) is None


def test_the_row_tells_the_best_and_reading_can_be_given_up(root: Path) -> None:
    row = RunList(is_locked).read(root / "resnet")
    assert row is not None
    assert row.best is not None
    assert row.best.is_feasible
    assert (row.n_trials, row.model) == (19, "models/minilm-sst2")
    assert RunList(is_locked).read(root / "bert-small", gives_up=lambda: True) is None


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_all_runs_are_listed_with_the_one_under_the_cursor_below(
    root: Path, size: tuple[int, int], ascii_only: bool
) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "done", "interrupted", "not begun", "bert-large", "20/24")
        await pilot.press("j")
        await until_shown(pilot, "all 20 trials are done", "R adds trials")
        await pilot.press("G")
        await until_shown(pilot, "best #", "as fast", "observed", "on the front", "R goes on with it")
        await pilot.press("g", "k")
        if ascii_only:
            assert text_of(pilot).isascii()

    play(script, None, root, size=size, ascii_only=ascii_only)


def test_words_narrow_the_list(root: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted", "bert-large")
        await pilot.press("slash", *"done large")
        await until(pilot, lambda: "bert-small" not in text_of(pilot))
        assert "bert-large" in text_of(pilot)
        await pilot.press("enter", "slash", *"nothing")
        await until_shown(pilot, "No run matches")
        await pilot.press("escape")
        await until_shown(pilot, "bert-small", "resnet")

    play(script, None, root)


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_without_runs_it_says_what_to_do(tmp_path: Path, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "There are no runs in", "n   search", "d   watch")

    play(script, None, tmp_path / "none", size=size)


def test_enter_opens_a_run_and_new_ones_appear_by_themselves(root: Path, synthetic: ModuleType) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted")
        synthetic.write_run(root / "newcomer", 5)
        await until_shown(pilot, "newcomer")
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DashboardScreen))
        assert pilot.app.attachment.folder == root / "newcomer"  # type: ignore[attr-defined]

    play(script, None, root)


def test_a_click_opens_a_run(root: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted")
        await pilot.click("#list", offset=(5, 1))
        await until(pilot, lambda: isinstance(pilot.app.screen, DashboardScreen))

    play(script, None, root)


def test_the_demo_is_played_back(root: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, DashboardScreen))
        assert pilot.app.attachment.is_recording  # type: ignore[attr-defined]

    play(script, None, root)


PROGRAM = """
import json, pathlib, sys, time
pathlib.Path(sys.argv[2], "resumed.json").write_text(json.dumps(sys.argv[1:]))
if "bert" in sys.argv[2]:
    print("error: the model is gone", file=sys.stderr)
    sys.exit(2)
"""


def test_an_interrupted_run_is_resumed_in_a_process_of_its_own_and_opened(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setattr(resuming, "PROGRAM", (sys.executable, str(tmp_path / "program.py")))

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted")
        await pilot.press("G", "R")
        await until(pilot, lambda: isinstance(pilot.app.screen, DashboardScreen))
        await until(pilot, (root / "resnet" / "resumed.json").exists)

    play(script, None, root)
    assert json.loads((root / "resnet" / "resumed.json").read_text()) == ["resume", str(root / "resnet")]


def test_trials_are_added_to_a_run_that_is_done_and_a_failure_is_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setattr(resuming, "PROGRAM", (sys.executable, str(tmp_path / "program.py")))

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted")
        await pilot.press("j", "R")
        await until_shown(pilot, "bert-small is done after 20 trials. How many more?")
        await pilot.press("enter")
        await until_shown(pilot, "the model is gone")

    play(script, None, root)
    asked = json.loads((root / "bert-small" / "resumed.json").read_text())
    assert asked == ["resume", str(root / "bert-small"), "--trials", "40"]


def test_a_run_that_is_searched_is_not_resumed_a_second_time(root: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "searching")
        await pilot.press("g", "R")
        await until_shown(pilot, "A search works in")
        assert isinstance(pilot.app.screen, RunsScreen)

    with searching(root / "fresh") as search:
        search.tell("heartbeat")
        with searching(root / "resnet"):
            play(script, None, root)


STORED = """
import json, sys
if "broken" in sys.argv[1]:
    print("error: nobody answers there", file=sys.stderr)
    sys.exit(4)
if "empty" not in sys.argv[1]:
    for name in ("left", "right"):
        print(json.dumps({"kind": "study", "name": name, "model": "m/tiny", "trials": 7, "total": 20,
                          "state": "searching", "best": 3, "size_ratio": 0.25, "speedup": 3.1}))
"""


@pytest.mark.parametrize(
    ("url", "words"),
    [("sqlite:///broken.db", "nobody answers there"), ("sqlite:///empty.db", "holds no search of this program")],
)
def test_a_storage_that_cannot_be_read_or_holds_nothing_says_so(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the storage is made where it is named
    (tmp_path / "stored.py").write_text(STORED, encoding="utf-8")
    monkeypatch.setattr(stored, "FOLLOW", (sys.executable, str(tmp_path / "stored.py")))

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted")
        await pilot.press("u")
        await until_shown(pilot, "URL of the storage")
        await pilot.press(*url, "enter")
        await until_shown(pilot, words)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))

    play(script, None, root)


def test_a_search_in_a_shared_storage_is_chosen_and_watched(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the storage is made where it is named
    (tmp_path / "stored.py").write_text(STORED, encoding="utf-8")
    monkeypatch.setattr(stored, "FOLLOW", (sys.executable, str(tmp_path / "stored.py")))

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted")
        await pilot.press("u")
        await until_shown(pilot, "URL of the storage")
        await pilot.press(*"sqlite:///shared.db", "enter")
        await until_shown(pilot, "left", "right", "7/20", "0.250× size")
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DashboardScreen))
        attachment = pilot.app.attachment  # type: ignore[attr-defined]
        assert isinstance(attachment, StorageAttachment)
        assert (attachment.title, attachment.folder) == ("right", None)

    play(script, None, root)


def test_a_password_is_not_shown() -> None:
    assert shown_url("postgresql://me:secret@host/db") == "postgresql://me@host/db"
    assert shown_url("sqlite:///a@b.db") == "sqlite:///a@b.db"


def test_texts_of_ages_and_what_is_no_answer() -> None:
    assert [age_text(s) for s in (3, 90, 7_300, 200_000)] == ["3 s", "2 min", "2 h", "2 d"]
    assert url_problem("study.db") is not None
    assert url_problem("sqlite:///study.db") is None
    assert [count_problem(text) is None for text in ("20", "0", "x", "")] == [True, False, False, False]


def test_nothing_is_read_while_a_run_covers_the_list(root: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.pause(0.5)
        listed = [screen for screen in pilot.app.screen_stack if isinstance(screen, RunsScreen)]
        assert all(screen._folders == [] for screen in listed)

    play(script, over(root / "resnet"), root)


def test_whoever_comes_back_from_a_run_finds_the_cursor_on_it(root: Path) -> None:
    told_of_it_alone = "R goes on with it"

    async def script(pilot: Pilot[None]) -> None:
        await until_shown(pilot, "interrupted")
        await until(pilot, lambda: told_of_it_alone not in text_of(pilot))
        pilot.app.open_run(over(root / "resnet"))  # type: ignore[attr-defined]  # as the wizard does
        await until_shown(pilot, "q Detach")
        await pilot.press("q")
        await until_shown(pilot, "bert-small", told_of_it_alone)
        await pilot.press("g")
        await until(pilot, lambda: told_of_it_alone not in text_of(pilot))
        await pilot.pause(2.5)  # it looked again, and the cursor stayed where it was put
        assert told_of_it_alone not in text_of(pilot)

    play(script, None, root)
