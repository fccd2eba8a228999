"""The lines of a real search's event log: what programs that read them rely on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from command_line import CommandLine

LARGEST_TRIAL_LINE_BYTES = 3_000


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["kind"] == kind]


def test_a_log_begins_with_what_is_searched_and_ends_with_how_it_went(finished: CommandLine) -> None:
    events = lines_of(finished.runs / "done")
    assert [event["seq"] for event in events] == list(range(len(events)))
    started, ended = events[0], events[-1]
    assert started["kind"] == "run_started"
    assert "records" not in started
    assert (started["name"], started["trials"], started["timeout_seconds"]) == ("done", 5, None)
    assert started["constraints"]["quality_drop"] == "10pp"
    assert started["constraints"]["size"] is None
    assert (started["prefer"], started["device"], started["threads"]) == ("balanced", "cpu", 1)
    assert {"onnx", "pytorch"} <= set(started["formats"])
    assert "fp16" in started["methods"]
    (read,) = of_kind(events, "model_read")
    assert (read["task"], read["metric"], read["higher_is_better"]) == ("own", "agreement", True)
    best = finished("best", "done", "--json").json
    assert ended["kind"] == "run_finished"
    assert (ended["best"], ended["certificate"]) == (best["trial"], best["certificate"])
    assert ended["best"] in ended["finalists"]


def test_a_trial_tells_beforehand_which_stages_come(finished: CommandLine) -> None:
    events = lines_of(finished.runs / "done")
    for started in of_kind(events, "trial_started"):
        rest = events[started["seq"] + 1 :]
        end = next(index for index, event in enumerate(rest) if event["kind"] == "trial_finished")
        stages = [event["stage"] for event in of_kind(rest[:end], "stage_started")]
        stages = [stage for stage in stages if stage not in ("keep in cache", "memory")]  # these depend
        assert stages == [stage for stage in started["stages"] if stage in stages]
        assert stages[-3:] == ["export", "latency", "quality"]


def test_a_trial_s_line_is_short_and_tells_its_steps_in_words(finished: CommandLine) -> None:
    raw = (finished.runs / "done" / "events.jsonl").read_bytes().splitlines()
    ends = [line for line in raw if b'"kind":"trial_finished"' in line]
    assert len(ends) == 5
    for line in ends:
        assert len(line) <= LARGEST_TRIAL_LINE_BYTES
        event = json.loads(line)
        kept = finished.record("done", event["record"]["number"])
        assert len(event["labels"]) == len(event["words"]) == len(kept["recipe"]["steps"])
        slim = event["record"]
        assert slim["environment"] is None
        assert slim["artifact"] == kept["artifact"]
        assert slim["measurement"]["quality"] == kept["measurement"]["quality"]
        assert len(slim["measurement"]["latency"]["candidate_ms"]["values"]) <= 21


def test_a_log_that_was_lost_is_complete_again_after_resuming(finished: CommandLine, cli: CommandLine) -> None:
    shutil.copytree(finished.runs / "done", cli.runs / "done")
    log = cli.runs / "done" / "events.jsonl"
    before = of_kind(lines_of(cli.runs / "done"), "trial_finished")
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if '"number":3' not in line))
    cli("resume", "done", "--trials", 6)
    ends = of_kind(lines_of(cli.runs / "done"), "trial_finished")
    assert sorted(event["record"]["number"] for event in ends) == [0, 1, 2, 3, 4, 5]
    (mended,) = [event for event in ends if event["record"]["number"] == 3]
    assert {key: mended[key] for key in ("record", "labels", "words")} == {
        key: before[3][key] for key in ("record", "labels", "words")
    }
