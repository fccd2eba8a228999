"""Search specifications: environment variables, and the files that come with the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocompress.errors import SpecError
from autocompress.spec_file import expand_environment, read_spec

RECIPES = Path(__file__).parents[2] / "recipes"


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


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_search_specification_of_the_project_is_valid_and_its_paths_exist(file, assets):
    spec = read_spec(file)
    assert spec.name == file.stem
    paths = [spec.model.path, spec.model.task_file]
    paths += [spec.data.path, spec.data.calibration, spec.data.search, spec.data.holdout] if spec.data else []
    assert all(Path(path).exists() for path in paths if path)
