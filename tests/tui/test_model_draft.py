"""The draft of a search: what is wrong with it, and the spec that it makes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from autocompress.spec import SearchSpec
from autocompress.spec_file import read_spec, spec_yaml
from autocompress.tui.model.draft import Draft, spec_path
from autocompress.tui.model.path_completion import candidates, common_beginning
from autocompress.tui.model.probe import Probe
from autocompress.tui.model.recent_models import architecture_of, recent_models

BASELINE = {
    "kind": "baseline",
    "task": "text-classification",
    "architecture": "Bert",
    "metric": "accuracy",
    "value": 0.9,
    "size_bytes": 90_000_000,
    "p50_ms": 10.0,
}


def looked_at() -> Probe:
    probe = Probe()
    probe.take(
        {
            "kind": "formats",
            "items": [
                {"name": "awq", "available": True, "searched": False},
                {"name": "onnx", "available": True, "searched": True},
                {"name": "openvino", "available": False, "reason": "not installed", "searched": True},
                {"name": "pytorch", "available": True, "searched": True},
            ],
        }
    )
    probe.take(
        {
            "kind": "methods",
            "items": [
                {"name": "gptq", "phase": "quantize", "available": True, "trains": False},
                {"name": "rtn", "phase": "quantize", "available": True, "trains": False},
                {"name": "channels", "phase": "structure", "available": False, "trains": False},
                {"name": "distil", "phase": "distil", "available": True, "trains": True},
            ],
        }
    )
    probe.take(BASELINE)
    constraints = {"quality_drop": "1pp", "size": "0.5x", "latency": None}
    probe.take({"kind": "suggestion", "constraints": constraints, "seconds_per_trial": 20.0})
    return probe


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "my-bert"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    return folder


def full_draft(model: Path) -> Draft:
    data = model.parent / "reviews.csv"
    data.write_text("text,label\na,1\n")
    draft = Draft(model=str(model), data=str(data), name="my-bert", trials="12", timeout="15m", prefer="size")
    draft.columns["text"] = "review"
    draft.threads = "2"
    draft.suggest(looked_at())
    return draft


def test_the_yaml_is_what_a_headless_search_reads(model: Path) -> None:
    draft, probe = full_draft(model), looked_at()
    plain = yaml.safe_load(draft.yaml(probe))
    assert plain == draft.plain(probe)
    spec = SearchSpec.model_validate(plain)
    again = yaml.safe_load(spec_yaml(spec))
    assert again | {"budget": plain["budget"]} == plain
    assert again["budget"] == {"trials": 12, "timeout": 900.0}
    file = model.parent / "spec.yaml"
    file.write_text(draft.yaml(probe))
    assert read_spec(file) == spec


def test_only_what_was_chosen_is_in_the_spec(model: Path) -> None:
    draft = Draft(model=str(model))
    assert draft.plain(Probe()) == {"model": {"path": str(model)}, "budget": {"trials": 30}}


def test_what_a_search_takes_by_itself_is_not_named() -> None:
    draft, probe = Draft(model="owner/name"), looked_at()
    assert draft.chosen(probe.methods, None) == {"gptq", "rtn"}
    assert draft.chosen(probe.formats, None) == {"onnx", "pytorch"}
    draft.methods, draft.formats = frozenset({"rtn", "gptq"}), frozenset({"onnx", "pytorch", "openvino"})
    assert "space" not in draft.plain(probe)


def test_all_methods_are_training_and_fewer_are_named() -> None:
    draft, probe = Draft(model="owner/name"), looked_at()
    draft.methods = frozenset({"gptq", "rtn", "distil"})
    assert draft.plain(probe)["space"] == {"training": True}
    assert draft.training_methods(probe) == ["distil"]
    draft.methods, draft.formats = frozenset({"distil"}), frozenset({"awq", "pytorch"})
    assert draft.plain(probe)["space"] == {"methods": ["distil"], "formats": ["awq", "pytorch"]}
    SearchSpec.model_validate(draft.plain(probe))


def test_something_must_be_chosen() -> None:
    draft, probe = Draft(methods=frozenset()), looked_at()
    assert "method" in (draft.space_problem(probe) or "")
    draft = Draft(formats=frozenset({"openvino"}))
    assert "format" in (draft.space_problem(probe) or "")
    assert Draft(methods=frozenset()).space_problem(Probe()) is None


def test_suggested_limits_do_not_overwrite_written_ones() -> None:
    draft = Draft()
    draft.limits["size"] = "20MB"
    draft.edited_limits.add("size")
    draft.suggest(looked_at())
    assert draft.limits == {"quality_drop": "1pp", "size": "20MB", "latency": "", "ram": "", "vram": ""}


def test_a_taken_over_search_keeps_its_settings_while_its_paths_stand(tmp_path: Path, model: Path) -> None:
    spec: dict[str, Any] = {
        "model": {"path": str(model), "options": {"prompt_tokens": 64}},
        "data": {"calibration": "a.txt", "search": "b.txt", "holdout": "c.txt", "samples": {"search": 300}},
        "device": "cuda",
        "threads": 4,
    }
    draft = Draft()
    draft.adopt(spec)
    assert draft.subject() == spec
    assert draft.data_problem() is None
    assert draft.data_parts == {"calibration": "a.txt", "search": "b.txt", "holdout": "c.txt"}
    draft.columns["text"] = "line"
    assert draft.subject()["data"] == spec["data"] | {"columns": {"text": "line"}}
    draft.model, draft.data = "owner/other", str(tmp_path)
    assert draft.subject()["model"] == {"path": "owner/other"}
    assert draft.subject()["data"]["path"] == str(tmp_path)
    assert "search" not in draft.subject()["data"]
    draft.model = str(model)
    assert draft.subject()["model"] == spec["model"]


def test_a_python_file_is_a_model_that_brings_its_data(tmp_path: Path) -> None:
    file = tmp_path / "problem.py"
    file.write_text("")
    draft = Draft(model=str(file))
    assert draft.model_problem() is None
    assert draft.data_problem() is None
    assert draft.subject() == {"model": {"path": str(file), "task": "own", "task_file": str(file)}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Choose one"),
        ("./nowhere", "There is no ./nowhere"),
        ("no such thing!", "a hub id is written owner/name"),
        ("folder/nowhere", "There is no folder/nowhere"),
        ("folder", "It holds inner."),
        ("file.txt", "Name the folder it lies in"),
        ("missing.py", "There is no file"),
        ("owner/name", None),
        ("bert-base-uncased", None),
        ("folder/inner", None),
    ],
)
def test_models_are_checked_as_far_as_files_tell(
    text: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "config.json").write_text("{}")
    (tmp_path / "file.txt").write_text("x")
    problem = Draft(model=text).model_problem()
    assert problem is None if told is None else told in (problem or "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Give a file"),
        ("data.csv", "There is no data.csv"),
        ("empty.csv", "empty"),
        ("owner/reviews", None),
        ("tables", "several tables: a.csv, b.tsv"),
        ("pictures", None),
    ],
)
def test_data_are_checked_as_far_as_the_path_tells(
    text: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    (tmp_path / "tables").mkdir()
    for name in ("a.csv", "b.tsv", "notes.txt"):
        (tmp_path / "tables" / name).touch()
    problem = Draft(model="owner/name", data=text).data_problem()
    assert problem is None if told is None else told in (problem or "")


def test_counts_durations_and_names_are_checked(tmp_path: Path) -> None:
    draft = Draft(trials="many", threads="0", timeout="soon", name="taken")
    (tmp_path / "taken").mkdir()
    assert "whole number" in (draft.trials_problem() or "")
    assert "whole number" in (draft.threads_problem() or "")
    assert "15m" in (draft.timeout_problem() or "")
    assert "already" in (draft.name_problem(tmp_path) or "")
    draft = Draft(trials="5", threads="2", timeout="2h", name="a run")
    assert (draft.trials_problem(), draft.threads_problem(), draft.timeout_problem()) == (None, None, None)
    assert "letters" in (draft.name_problem(tmp_path) or "")
    assert draft.timeout_seconds() == 7200
    assert draft.estimated_seconds(looked_at()) == 100
    assert draft.estimated_seconds(Probe()) is None


def test_local_paths_hold_from_everywhere_and_hub_ids_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert spec_path("model/") == str(tmp_path / "model")
    assert spec_path("~/model") == str(tmp_path / "model")
    assert spec_path("owner/name") == "owner/name"


def test_recent_models_are_told_once_latest_first(tmp_path: Path) -> None:
    for age, (run, text) in enumerate(
        [
            ("newest", "model: {path: /m/a}\ndata: {path: /d/new.csv}\n"),
            ("broken", "model: [\n"),
            ("odd", "model: 3\n"),
            ("parts", "model: {path: owner/b}\ndata: {search: s.csv}\n"),
            ("oldest", "model: {path: /m/a}\ndata: {path: /d/old.csv}\n"),
        ]
    ):
        (tmp_path / run).mkdir()
        (tmp_path / run / "spec.yaml").write_text(text)
        os.utime(tmp_path / run / "spec.yaml", (1000 - age, 1000 - age))
    recent = recent_models(tmp_path)
    assert [(each.run, each.path, each.data) for each in recent] == [
        ("newest", "/m/a", "/d/new.csv"),
        ("parts", "owner/b", "s.csv"),
    ]
    assert recent_models(tmp_path / "nowhere") == []


def test_paths_are_completed(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my-data.csv", "my-notes.bin", "my-problem.py", ".my-secret.csv"):
        (tmp_path / name).touch()
    assert [each.text for each in candidates("my", "data")] == ["my-bert/", "my-data.csv"]
    models = candidates("my", "model")
    assert [(each.text, each.note, each.is_final) for each in models] == [
        ("my-bert/", "BertForSequenceClassification", True),
        ("my-problem.py", "a model of your own", True),
    ]
    assert [each.text for each in candidates(".my", "data")] == [".my-secret.csv"]
    assert candidates(f"{tmp_path}/my-b", "model")[0].text == f"{tmp_path}/my-bert/"
    assert candidates("nowhere/x", "data") == []
    assert common_beginning("m", models) == "my-"
    assert common_beginning("my-", models) == "my-"
    assert architecture_of(model) == "BertForSequenceClassification"
    assert architecture_of(tmp_path) is None
