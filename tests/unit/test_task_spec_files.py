"""Search specifications: environment variables; and the specifications and recipes that come with the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocompress import registry
from autocompress.errors import SpecError
from autocompress.model_state import facts_of
from autocompress.recipe_file import read_recipe
from autocompress.space import recipe_refusal
from autocompress.spec import ModelSpec
from autocompress.spec_file import expand_environment, read_spec
from autocompress.tasks.detection import find_task

FILES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
RECIPES = [file for file in FILES if "\nsteps:" in file.read_text(encoding="utf-8")]
SPECIFICATIONS = [file for file in FILES if file not in RECIPES]


def test_variables_are_replaced_in_text_only(monkeypatch):
    monkeypatch.setenv("SOME_FOLDER", "/data")
    plain = {"a": ["${SOME_FOLDER}/x", 1, None], "${SOME_FOLDER}": "$SOME_FOLDER"}
    assert expand_environment(plain, "") == {"a": ["/data/x", 1, None], "${SOME_FOLDER}": "$SOME_FOLDER"}


def test_an_unset_variable_is_named_with_its_place(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_FOLDER", raising=False)
    (tmp_path / "spec.yaml").write_text("model: {path: '${NO_SUCH_FOLDER}/m'}\n")
    with pytest.raises(SpecError, match=r"model\.path: the environment variable NO_SUCH_FOLDER is not set"):
        read_spec(tmp_path / "spec.yaml")


def test_relative_paths_are_taken_from_the_files_folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "spec.yaml").write_text("model: {path: ./model}\n")
    assert read_spec(tmp_path / "spec.yaml").model.path == str((tmp_path / "model").resolve())


@pytest.mark.parametrize("file", SPECIFICATIONS, ids=lambda file: file.stem)
def test_every_search_specification_of_the_project_is_valid_and_its_paths_exist(file, assets):
    spec = read_spec(file)
    assert spec.name == file.stem
    paths = [spec.model.path, spec.model.task_file]
    paths += [spec.data.path, spec.data.calibration, spec.data.search, spec.data.holdout] if spec.data else []
    assert all(Path(path).exists() for path in paths if path)


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_of_the_project_fits_its_model_and_its_paths_exist_in_the_assets(file, assets):
    document = read_recipe(file)
    assert document.data is not None
    data = document.data.model_dump(include={"calibration", "training", "search", "holdout"})
    assert all((assets / path).exists() for path in data.values() if path)
    model = ModelSpec(path=str(assets / document.model.path), task=document.model.task)
    facts = facts_of(find_task(model).load_model(model), document.model.task)
    assert facts.architecture == document.model.architecture
    formats = {document.export.format: registry.load("formats", document.export.format)()}
    assert recipe_refusal(document.recipe, formats, facts, "cpu") is None


def test_the_project_has_files_of_both_kinds():
    assert {file.stem for file in RECIPES} >= {"minilm-sst2-smallest"}
    assert {file.stem for file in SPECIFICATIONS} >= {"minilm-sst2"}
