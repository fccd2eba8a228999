"""Exporting a recipe: the preview from a real child, writing without overwriting, copying."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from over_run import play, text_of, until, until_shown
from textual.pilot import Pilot

from autocompress.recipe_file import read_recipe
from autocompress.search.study import Study, sqlite_url
from autocompress.spec import SearchSpec
from autocompress.spec_file import write_spec
from autocompress.tui.attachment import Attachment
from autocompress.tui.screens import export
from autocompress.tui.screens.export import ExportScreen

sys.path.append(str(Path(__file__).parents[1] / "unit"))
import run_example


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a study, as a search leaves it, and the events that the screens read."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    spec = SearchSpec.model_validate({"model": {"path": "models/tiny"}, "constraints": {"size": "0.5x"}})
    write_spec(spec, folder / "spec.yaml")
    study = Study.create("mine", sqlite_url(folder / "study.db"), spec)
    study.prepared = run_example.prepared()
    lines = []
    original, *others = run_example.example_records()[:4]
    for record in (original, *others):
        study.start(record.recipe, record.origin, None)
        study.finish(record, original if record.number else None, {})
        event = {"seq": record.number, "time": 1.0, "kind": "trial_finished", "labels": [], "words": []}
        lines.append(json.dumps(event | {"record": json.loads(record.slim().model_dump_json())}) + "\n")
    (folder / "events.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def over(folder: Path) -> Attachment:
    return Attachment(folder.name, folder / "events.jsonl", folder)


@pytest.mark.parametrize(("size", "ascii_only"), [((120, 40), False), ((80, 24), True)])
def test_the_whole_recipe_file_is_shown_and_written_and_can_be_read_back(
    run: Path, size: tuple[int, int], ascii_only: bool
) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(ExportScreen(3))
        await until_shown(pilot, "reading the whole recipe file")
        await until_shown(pilot, "# An autocompress recipe", seconds=60)
        if ascii_only:
            assert text_of(pilot).isascii()
        await pilot.press("enter")
        await until_shown(pilot, "written to")
        assert [each.tag for each in read_recipe(Path("recipe-3.yaml")).steps] == ["magnitude", "int8_dynamic"]
        before = Path("recipe-3.yaml").stat().st_mtime_ns
        await pilot.press("enter")
        await until_shown(pilot, "exists. Press enter again to overwrite it")
        assert Path("recipe-3.yaml").stat().st_mtime_ns == before
        await pilot.press("enter")
        await until_shown(pilot, "written to")
        assert Path("recipe-3.yaml").stat().st_mtime_ns != before
        await pilot.press("y")
        await until_shown(pilot, "copied")
        assert pilot.app.clipboard.startswith("# An autocompress recipe")
        await pilot.press("q")
        await pilot.pause(0.2)
        assert not isinstance(pilot.app.screen, ExportScreen)

    play(script, over(run), run.parent, size=size, ascii_only=ascii_only)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    async def output_of(*_: str) -> str:
        return "steps: []\nformat: onnx\n"

    monkeypatch.setattr(export, "output_of", output_of)


@pytest.mark.usefixtures("_quick")
def test_the_path_can_be_edited_and_what_cannot_be_written_is_explained(run: Path) -> None:
    Path("folder").mkdir()
    Path("there.yaml").write_text("mine", encoding="utf-8")

    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(ExportScreen(3))
        await until_shown(pilot, "recipe-3.yaml")
        await pilot.press("tab")
        line = pilot.app.screen.query_one("#path")
        for path, told in (
            ("folder", "is a folder"),
            ("nowhere/x.yaml", "cannot be written: No such file"),
            ("", "Write where the file should go"),
            ("there.yaml", "there.yaml exists"),
        ):
            line.value = path  # type: ignore[attr-defined]
            await pilot.pause()
            await pilot.press("enter")
            await until_shown(pilot, told)
        await pilot.press("2", "backspace", "enter")
        await until_shown(pilot, "there.yaml exists")
        assert Path("there.yaml").read_text(encoding="utf-8") == "mine", "another name in between takes the word back"
        await pilot.press("ctrl+y")
        await until_shown(pilot, "copied")
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert not isinstance(pilot.app.screen, ExportScreen)

    play(script, over(run), run.parent)


def test_a_run_that_cannot_be_read_says_why(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    synthetic.write_run(folder, 5)

    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(ExportScreen(2))
        await until_shown(pilot, "The recipe file cannot be made:", seconds=60)
        await pilot.press("enter")
        await until_shown(pilot, "Nothing was written.")

    play(script, over(folder), tmp_path)


def test_leaving_while_it_is_read_ends_the_child(run: Path) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(ExportScreen(3))
        await until_shown(pilot, "reading the whole")
        await pilot.press("escape")
        await pilot.pause(0.5)
        assert not isinstance(pilot.app.screen, ExportScreen)

    play(script, over(run), run.parent)


def test_of_a_shared_storage_it_says_what_to_run_and_where(run: Path) -> None:
    elsewhere = Attachment("theirs", run / "events.jsonl", None)

    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(ExportScreen(3))
        await until_shown(pilot, "kept elsewhere", "autocompress export theirs --trial 3", "magnitude:")

    play(script, elsewhere, run.parent)


def test_a_file_that_is_read_for_a_window_that_has_lost_its_parts_is_no_complaint(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = asyncio.Event()

    async def late(*_: str) -> str:
        await gone.wait()
        return "format_version: 1"

    monkeypatch.setattr(export, "output_of", late)

    async def script(pilot: Pilot[None]) -> None:
        screen = ExportScreen(3)
        await pilot.app.push_screen(screen)
        await screen.query_one("#window").remove()
        gone.set()
        await until(pilot, lambda: screen.text is not None)

    play(script, over(run), run.parent)
