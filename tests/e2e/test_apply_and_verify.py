"""A recipe gives the same compressed model again, and its figures hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from command_line import TASK_FILE, CommandLine

OTHER_PROBLEM = (
    TASK_FILE.read_text()
    + """

def load_model(path):
    return torch.nn.Linear(N_INPUTS, N_CLASSES)
"""
)


@pytest.fixture(scope="module")
def applied(finished: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `apply` made of the best recipe; not to be changed."""
    folder = tmp_path_factory.mktemp("applied") / "small"
    finished("apply", finished.runs / "done" / "recipe.yaml", "-o", folder, "--task-file", TASK_FILE)
    return folder


def test_apply_gives_the_bytes_that_the_search_measured_every_time(
    finished: CommandLine, applied: Path, tmp_path: Path
) -> None:
    recipe = finished.runs / "done" / "recipe.yaml"
    told = finished("apply", recipe, "-o", tmp_path / "again", "--task-file", TASK_FILE, "--json").json
    assert told["digest"] == yaml.safe_load(recipe.read_text())["artifact"]["digest"]
    assert told["reproduced"] is True
    for file in told["files"]:
        assert (tmp_path / "again" / file["path"]).read_bytes() == (applied / file["path"]).read_bytes()


def test_a_calibrated_recipe_is_applied_with_the_data_that_the_problem_brings(
    finished: CommandLine, tmp_path: Path
) -> None:
    rows = finished("show", "done", "--json").json["trials"]
    trial = next(row["trial"] for row in rows if "int8_static" in str(finished.record("done", row["trial"])["recipe"]))
    finished("export", "done", "--trial", trial, "-o", tmp_path / "recipe.yaml")
    options = ("-o", tmp_path / "made", "--task-file", TASK_FILE, "--json")
    assert finished("apply", tmp_path / "recipe.yaml", *options).json["reproduced"] is True


def without_latency(recipe: Path) -> None:
    """Take the speed out of a recipe: whether it holds depends on what else the machine does."""
    plain = yaml.safe_load(recipe.read_text())
    del plain["measured"]["latency"]
    recipe.write_text(yaml.safe_dump(plain))


def test_what_apply_made_verifies(finished: CommandLine, applied: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(applied, folder)
    without_latency(folder / "recipe.yaml")
    checks = finished("verify", folder, "--task-file", TASK_FILE, "--json").json
    assert {check["figure"]: check["holds"] for check in checks} == dict.fromkeys(
        ("files", "size", "agreement", "ram"), True
    )


def test_a_recipe_verifies_by_being_built_again(finished: CommandLine, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    shutil.copy(finished.runs / "done" / "recipe.yaml", recipe)
    without_latency(recipe)
    told = finished("verify", recipe, "--task-file", TASK_FILE).out
    assert "the same bytes" in told
    assert "✗" not in told


def test_verify_tells_which_file_was_changed(finished: CommandLine, applied: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tampered"
    shutil.copytree(applied, folder)
    name = yaml.safe_load((folder / "recipe.yaml").read_text())["artifact"]["files"][0]["path"]
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    checks = finished("verify", folder, "--task-file", TASK_FILE, "--json", code=1).json
    files = next(check for check in checks if check["figure"] == "files")
    assert files["holds"] is False
    assert name in files["measured"]
    assert "speedup" in {check["figure"] for check in checks}


def test_verify_tells_which_file_is_missing(finished: CommandLine, applied: Path, tmp_path: Path) -> None:
    folder = tmp_path / "incomplete"
    shutil.copytree(applied, folder)
    name = yaml.safe_load((folder / "recipe.yaml").read_text())["artifact"]["files"][0]["path"]
    (folder / name).unlink()
    assert f"the file {name} is missing" in finished.refuses("verify", folder, "--task-file", TASK_FILE)


def test_a_recipe_for_another_architecture_is_refused(finished: CommandLine, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(OTHER_PROBLEM)
    told = finished.refuses("apply", finished.runs / "done" / "recipe.yaml", "-o", tmp_path / "x", "--task-file", other)
    assert "the recipe is for Sequential, the model is a Linear" in told
    assert not (tmp_path / "x").exists()


def test_the_model_of_a_python_file_is_read_from_where_the_recipe_says(finished: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "trained").mkdir()
    task_file = tmp_path / "reads_a_folder.py"
    checked = "def load_model(path):\n    assert Path(path).is_dir(), path"
    task_file.write_text(TASK_FILE.read_text().replace("def load_model(path):", checked))
    plain = yaml.safe_load((finished.runs / "done" / "recipe.yaml").read_text())
    plain["model"]["path"] = str(tmp_path / "trained")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(plain))
    finished("apply", recipe, "-o", tmp_path / "small", "--task-file", task_file)


def test_the_same_model_keeps_its_figures_wherever_it_lies(finished: CommandLine, tmp_path: Path) -> None:
    copy = tmp_path / "moved.py"
    shutil.copy(TASK_FILE, copy)
    recipe, folder = finished.runs / "done" / "recipe.yaml", tmp_path / "small"
    told = finished("apply", recipe, "-o", folder, "--task-file", copy, "--model", copy, "--json").json
    assert (told["same_model"], told["reproduced"]) == (True, True)
    beside = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert beside["measured"] == yaml.safe_load(recipe.read_text())["measured"]
    assert beside["model"]["path"] == str(copy)


def test_figures_of_another_model_are_left_out_and_that_is_said(finished: CommandLine, tmp_path: Path) -> None:
    other = tmp_path / "finer.py"
    changed = "\n\n_load = load_model\n\n\ndef load_model(path):\n    return _doubled(_load(path))\n"
    doubled = "\n\ndef _doubled(model):\n    model[0].weight.data *= 2\n    return model\n"
    other.write_text(TASK_FILE.read_text() + doubled + changed)
    recipe, folder = finished.runs / "done" / "recipe.yaml", tmp_path / "small"
    told = finished("apply", recipe, "-o", folder, "--task-file", other, "--model", other)
    assert "the recipe's figures were left out" in told.out
    beside = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert "measured" not in beside
    assert beside["model"]["digest"] != yaml.safe_load(recipe.read_text())["model"]["digest"]


def test_a_recipe_of_another_task_is_refused(finished: CommandLine, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    text = (finished.runs / "done" / "recipe.yaml").read_text()
    recipe.write_text(text.replace("task: own", "task: text-classification"))
    assert finished.refuses("apply", recipe, "-o", tmp_path / "x", "--task-file", TASK_FILE)


def test_the_users_python_file_runs_only_when_it_is_named(finished: CommandLine, tmp_path: Path) -> None:
    told = finished.refuses("apply", finished.runs / "done" / "recipe.yaml", "-o", tmp_path / "x")
    assert f"Add --task-file {TASK_FILE}" in told


def test_apply_refuses_a_folder_that_holds_something(finished: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    told = finished.refuses("apply", finished.runs / "done" / "recipe.yaml", "-o", tmp_path, "--task-file", TASK_FILE)
    assert "Choose an empty or new folder" in told
    assert (tmp_path / "mine").read_text() == "precious"


def test_export_does_not_overwrite_unless_forced(finished: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("mine")
    assert "--force" in finished.refuses("export", "done", "-o", file)
    assert file.read_text() == "mine"
    finished("export", "done", "-o", file, "--force")
    assert file.read_text() == (finished.runs / "done" / "recipe.yaml").read_text()
