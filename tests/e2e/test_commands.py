"""What the commands print of a finished run and of the program itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from command_line import TASK_FILE, CommandLine

COMMANDS = (
    "search", "resume", "baseline", "demo", "runs", "show", "best", "export",
    "apply", "verify", "schema", "methods", "formats", "doctor", "probe", "estimate", "steer",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(finished: CommandLine, command: str) -> None:
    lines = finished(command, "--help").out.splitlines()
    assert any(line.strip().startswith(f"autocompress {command}") for line in lines)


def test_help_names_every_command(finished: CommandLine) -> None:
    told = finished("--help").out
    assert all(f" {command} " in told for command in COMMANDS)


# A finished run -----------------------------------------------------------------------------------------------------


def test_best_gives_the_figures_that_a_machine_reads(finished: CommandLine) -> None:
    best = finished("best", "done", "--json").json
    assert {"trial", "size_ratio", "speedup", "quality_drop", "certified", "recipe"} <= set(best)
    record = finished.record("done", best["trial"])
    original = finished.record("done", 0)
    sizes = [sum(file["size_bytes"] for file in r["artifact"]["files"]) for r in (record, original)]
    assert best["size_bytes"] == sizes[0]
    assert best["size_ratio"] == pytest.approx(sizes[0] / sizes[1])
    in_recipe = yaml.safe_load(Path(best["recipe"]).read_text())["measured"]["latency"]["speedup"]["value"]
    assert best["speedup"] == pytest.approx(in_recipe, rel=1e-3)
    assert best["quality_drop"] == record["measurement"]["quality"]["drop"]["value"]
    assert isinstance(best["certified"], bool)


def test_runs_lists_the_run_as_done(finished: CommandLine) -> None:
    assert "done" in finished("runs").out
    (run,) = finished("runs", "--json").json
    assert (run["name"], run["state"], run["trials"]) == ("done", "done", 5)


def test_show_tells_every_trial_in_table_json_and_markdown(finished: CommandLine) -> None:
    shown = finished("show", "done", "--json").json
    assert [row["trial"] for row in shown["trials"]] == [0, 1, 2, 3, 4]
    assert all(row["foretold"]["size_bytes"] > 0 for row in shown["trials"])
    assert shown["best"] == finished("best", "done", "--json").json
    weighed = {row["trial"] for row in shown["trials"] if row["ram_bytes"]}
    assert weighed == {0, shown["best"]["trial"], *shown["front"]}
    assert (shown["run"], set(shown["front"]) <= set(range(5))) == ("done", True)
    told = finished("show", "done").out
    assert "Best (balanced)" in told
    assert "| 4 |" in finished("show", "done", "--markdown").out


def test_show_tells_a_single_trial_with_its_stages_and_recipe(finished: CommandLine) -> None:
    told = finished("show", "done", 1).out
    assert told.startswith("trial 1: ")
    assert "format_version: 1" in told
    assert "Foretold before it ran: " in told
    record = finished("show", "done", 1, "--json").json
    assert record.pop("foretold")["size_bytes"] == pytest.approx(record["measurement"]["size_bytes"], rel=0.1)
    assert record.pop("finalist") is None or record["number"] == finished("best", "done", "--json").json["trial"]
    assert record == finished.record("done", 1)
    assert record["status"] == "complete"
    stages = [stage["stage"] for stage in record["stages"]]
    assert stages.index("export") < stages.index("latency") < stages.index("quality")


def test_a_recipe_can_be_seen_before_it_is_written(finished: CommandLine) -> None:
    seen = finished("export", "done", "--trial", 2, "-o", "-").out
    finished("export", "done", "--trial", 2, "-o", "written.yaml")
    assert seen == (finished.folder / "written.yaml").read_text()
    assert not (finished.folder / "-").exists()


def test_a_search_can_be_checked_without_searching(cli: CommandLine) -> None:
    plain = {"model": {"path": str(TASK_FILE), "task_file": str(TASK_FILE)}, "constraints": {"quality_drop": "1%"}}
    (cli.folder / "spec.yaml").write_text(yaml.safe_dump(plain))
    told = cli("search", "spec.yaml", "--trials", 3, "--check").out
    assert yaml.safe_load(told) == {**plain, "budget": {"trials": 3}}
    (cli.folder / "spec.yaml").write_text(yaml.safe_dump({**plain, "constraints": {"vram": "1GB"}}))
    assert "constraints.vram" in cli.refuses("search", "spec.yaml", "--check")
    assert not cli.runs.exists()


def test_the_narration_of_a_search_goes_to_stderr_and_its_result_to_stdout(cli: CommandLine) -> None:
    ended = cli.search("--name", "narrow", "--trials", 2, "--formats", "pytorch", "--methods", "fp16", "--json")
    assert ended.json["run"] == "narrow"
    assert ended.json["method"] in ("fp16 → pytorch", "pytorch")
    assert [line for line in ended.err.splitlines() if ": original, as pytorch:" in line]
    assert "search ended: all 2 trials are done" in ended.err
    assert "arning" not in ended.err


def test_options_override_the_spec_file(cli: CommandLine) -> None:
    spec = {
        "model": {"path": str(TASK_FILE), "task_file": str(TASK_FILE)},
        "budget": {"trials": 50},
        "constraints": {"quality_drop": "1%"},
        "space": {"formats": ["pytorch"]},
    }
    (cli.folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    cli("search", "spec.yaml", "--trials", 1, "--max-quality-drop", "5pp", "--name", "small", "--seed", 3, code=1)
    kept = yaml.safe_load((cli.runs / "small" / "spec.yaml").read_text())
    assert kept["budget"]["trials"] == 1
    assert kept["constraints"]["quality_drop"] == "5pp"
    assert kept["space"]["formats"] == ["pytorch"]
    assert kept["seed"] == 3


def test_baseline_measures_the_original_alone(cli: CommandLine) -> None:
    told = cli("baseline", "--task-file", TASK_FILE, "--json").json
    assert told["trial"] == 0
    assert len(cli("show", "small_problem-baseline", "--json").json["trials"]) == 1


# The program --------------------------------------------------------------------------------------------------------


def test_methods_and_formats_tell_what_there_is(finished: CommandLine) -> None:
    methods = {method["name"]: method for method in finished("methods", "--json").json}
    assert {"fp16", "bf16", "int8_dynamic", "int8_static", "rtn", "magnitude", "ffn_width", "kmeans"} <= set(methods)
    assert {knob["name"] for knob in methods["rtn"]["knobs"]} >= {"bits", "group_size"}
    assert "group_size" in finished("methods", "rtn").out
    formats = {kind["name"]: kind["available"] for kind in finished("formats", "--json").json}
    assert formats["pytorch"] is True
    assert "onnx" in finished("formats").out


def test_doctor_finds_nothing_wrong_with_this_environment(finished: CommandLine) -> None:
    findings = finished("doctor", "--json").json
    assert {"machine", "GPU", "packages", "runs", "cache"} <= {finding["subject"] for finding in findings}
    told = finished("doctor").out
    assert "machine" in told
    assert all(extra in told for finding in findings for extra in re.findall(r"\[\w+\]", finding["message"]))


def test_the_schemas_accept_what_a_search_wrote(finished: CommandLine) -> None:
    for kind, file in (("recipe", "recipe.yaml"), ("spec", "spec.yaml")):
        written = yaml.safe_load((finished.runs / "done" / file).read_text())
        jsonschema.validate(json.loads(json.dumps(written)), finished("schema", kind).json)
