"""A first look at a model, as programs read it, with real children."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from command_line import TASK_FILE, CommandLine

from autocompress import registry


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What is found out about the small problem."""
    cli = CommandLine(tmp_path_factory.mktemp("probe"))
    temporary = cli.folder / "temporary"
    temporary.mkdir()
    told = cli("probe", "--task-file", TASK_FILE, "--json", TMPDIR=str(temporary)).out
    cli.assert_nothing_runs()
    assert not [path for path in temporary.iterdir() if path.name.startswith("autocompress-")]
    assert not cli.runs.exists()
    return lines_of(told)


def of_kind(findings: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [finding for finding in findings if finding["kind"] == kind]
    return found


def test_findings_come_in_order_and_steps_tell_how_far_it_is(looked_at: list[dict[str, Any]]) -> None:
    kinds = [finding["kind"] for finding in looked_at if finding["kind"] != "step"]
    assert kinds == ["formats", "data", "methods", "baseline", "suggestion"]
    shares = [step["done"] / step["total"] for step in looked_at if step["kind"] == "step"]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)


def test_every_method_and_format_is_told_and_why_it_cannot_be_used(looked_at: list[dict[str, Any]]) -> None:
    methods = {item["name"]: item for item in of_kind(looked_at, "methods")["items"]}
    formats = {item["name"]: item for item in of_kind(looked_at, "formats")["items"]}
    assert set(methods) == set(registry.names("methods"))
    assert set(formats) == set(registry.names("formats"))
    for item in (*methods.values(), *formats.values()):
        assert item["available"] == (item["reason"] is None), item
    assert (methods["rtn"]["available"], methods["rtn"]["trains"], methods["rtn"]["phase"]) == (True, False, "quantize")
    assert methods["distil"]["trains"]
    assert (methods["distil"]["training_samples"], methods["rtn"]["training_samples"]) == (9600, None)
    assert not methods["heads"]["available"]
    assert formats["pytorch"]["available"]


def test_the_original_is_measured_and_limits_are_suggested(looked_at: list[dict[str, Any]]) -> None:
    baseline, suggestion = of_kind(looked_at, "baseline"), of_kind(looked_at, "suggestion")
    assert (baseline["task"], baseline["metric"], baseline["value"]) == ("own", "agreement", 1.0)
    assert baseline["size_bytes"] > 4 * baseline["n_parameters"]
    assert min(baseline["p50_ms"], baseline["ram_bytes"], baseline["seconds"]) > 0
    assert suggestion["constraints"]["quality_drop"] == "1pp"
    assert suggestion["seconds_per_trial"] == baseline["seconds"]


def test_columns_are_shown_with_samples_and_what_is_wrong_is_told_last(cli: CommandLine, tmp_path: Path) -> None:
    model = tmp_path / "bert"
    tiny_models.bert().save_pretrained(model)
    rows = "".join(f"some  text {n} {'x' * 100},{n % 2}\n" for n in range(40))
    (cli.folder / "reviews.csv").write_text(f"id,review,label\n{rows.replace('some', '7,some')}")
    command = ("probe", "--model", model, "--data", "reviews.csv", "--json")
    (cli.folder / "words.csv").write_text(f"id,words,label\n{rows.replace('some', '7,some')}")
    unknown = lines_of(cli("probe", "--model", model, "--data", "words.csv", "--json", code=2).out)
    assert of_kind(unknown, "data")["columns"] == {"text": None, "label": "label"}
    assert of_kind(unknown, "data")["cells"]["id"] == ["7"] * 3
    assert unknown[-1]["message"].endswith("no column for the text")
    findings = lines_of(cli(*command, "--column", "text=review", code=2).out)
    data = of_kind(findings, "data")
    assert (data["columns"], data["n_rows"]) == ({"text": "review", "label": "label"}, 40)
    assert data["found"] == ["id", "review", "label"]
    assert len(data["samples"]) == 3
    assert data["samples"][1]["text"].startswith("some text 1 xxx")
    assert len(data["samples"][1]["text"]) == 80
    assert findings[-1]["kind"] == "problem"  # the model came without its tokenizer
    (problem,) = lines_of(cli("probe", "--json", code=2).out)
    assert problem == {
        "kind": "problem",
        "message": "no model is given",
        "remedy": "Give --model PATH, or a spec file; try `autocompress demo`.",
    }


def test_people_read_sentences(cli: CommandLine) -> None:
    told = cli("probe", "--task-file", TASK_FILE).out
    assert "Methods that can be used: " in told
    assert "not heads: " in told
    assert "Limits to begin with: quality_drop=1pp" in told
    assert "Give it with --data" not in cli.refuses("probe", "--model", "nowhere/")


def test_the_demo_s_model_is_trained_once_and_shown_to_programs(cli: CommandLine) -> None:
    first, again = (lines_of(cli("demo", "--prepare").out) for _ in range(2))
    assert [line["kind"] for line in first[:-1]] in ([], ["step"] * (len(first) - 1))
    (told,) = again
    assert told == first[-1]
    assert told["kind"] == "demo"
    assert Path(told["model"], "config.json").is_file()
    assert told["spec"]["data"]["path"] == told["data"]


def test_a_spec_file_tells_what_to_look_at(cli: CommandLine) -> None:
    spec = cli.folder / "spec.yaml"
    spec.write_text(f"model: {{path: {TASK_FILE}, task: own, task_file: {TASK_FILE}}}\n")
    findings = lines_of(cli("probe", spec, "--json").out)
    assert of_kind(findings, "baseline")["task"] == "own"
