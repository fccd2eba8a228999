"""What is foretold before a search, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from command_line import TASK_FILE, CommandLine

from autocompress.search_cost import SearchCost

BROUGHT_CODE = "from pathlib import Path\nPath({place!r}).write_text('ran')\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without its weights."""
    folder = tmp_path_factory.mktemp("estimate") / "bert"
    tiny_models.bert().save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    return folder


def by_method(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{one['recipe']['steps']} {one['recipe']['format']}": one for one in told["recipes"]}


def test_sizes_are_told_of_a_model_without_weights_and_what_a_limit_rules_out(cli: CommandLine, folder: Path) -> None:
    told = cli("estimate", folder, "--max-size", "0.6x", "--trials", 12, "--json").json
    assert (told["architecture"], told["trials"]) == ("BertForSequenceClassification", 12)
    assert told["seconds"]["low"] < told["seconds"]["high"]
    assert {"latency_ms", "ram_bytes"} <= set(told["rough"])
    recipes = by_method(told)
    original = told["original"]["size_bytes"]
    assert recipes["[] onnx"]["breaks"] == ["size"]
    int8 = next(one for name, one in recipes.items() if "int8_weight_only" in name and "pytorch" in name)
    assert int8["size_bytes"] < 0.6 * original
    assert int8["breaks"] == []
    assert not cli.runs.exists()


def test_people_read_a_table_and_how_sure_the_figures_are(cli: CommandLine, folder: Path) -> None:
    out = cli("estimate", folder, "--max-size", "0.6x").out
    assert "export only" in out
    assert "size over 0.6x" in out
    assert "No weights were read" in out
    out = cli("estimate", folder, "--max-latency", "1x").out
    assert "may be over" in out  # a rough figure is a span, and the original's own middle lies in its twin's
    assert "? marks recipes of which only measuring tells" in out


def test_a_task_file_is_taken_and_a_search_file_with_its_limits(cli: CommandLine, folder: Path) -> None:
    assert cli("estimate", "--task-file", TASK_FILE, "--json").json["task"] == "own"
    out = cli("estimate", "--task-file", TASK_FILE, "--max-latency", "0.5x").out
    assert "latency may be over" in out  # nobody can count the operations of a call without its inputs
    assert "Latency is not foretold" in out
    spec = cli.folder / "search.yaml"
    spec.write_text(f"model: {{path: {folder}}}\nconstraints: {{size: 0.6x}}\n")
    assert by_method(cli("estimate", spec, "--json").json)["[] onnx"]["breaks"] == ["size"]


def test_only_methods_that_the_search_may_use_are_foretold_and_their_labels_told(
    cli: CommandLine, folder: Path
) -> None:
    spec = cli.folder / "search.yaml"
    spec.write_text(
        f"model: {{path: {folder}}}\nspace: {{methods: [int8_dynamic], formats: [onnx]}}\nbudget: {{trials: 7}}\n"
    )
    told = cli("estimate", spec, "--json").json
    labels = [one["labels"] for one in told["recipes"]]
    assert labels == [[], ["int8-dynamic"]]
    cost = SearchCost(**told["cost"])
    assert cost.seconds(7) == (told["seconds"]["low"], told["seconds"]["high"])
    assert cost.disk_bytes(7) == (told["disk_bytes"]["low"], told["disk_bytes"]["high"])


def test_code_that_a_model_brings_is_never_run(cli: CommandLine, folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    config = json.loads((folder / "config.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "brought.Config"}}))
    (other / "brought.py").write_text(BROUGHT_CODE.format(place=str(ran)))
    assert "Python code of its own" in cli.refuses("estimate", other)
    assert not ran.exists()


def test_what_cannot_be_a_model_is_refused_in_a_sentence(cli: CommandLine) -> None:
    assert "no model is given" in cli.refuses("estimate")
    assert "nowhere" in cli.refuses("estimate", "nowhere/")
    assert "is not a limit" in cli.refuses("estimate", "nowhere/", "--max-size", "small")
