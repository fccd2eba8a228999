"""A search in a shared storage, followed by another process through the storage alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from command_line import PATIENCE_SECONDS, CommandLine

QUICK = ("--formats", "pytorch", "--methods", "fp16,bf16", "--trials", 4, "--max-quality-drop", "10pp")


def follow(cli: CommandLine, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "autocompress.search.follow", *arguments]
    return subprocess.Popen(
        command, env=cli.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def without_time(events: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    kept = [event for event in events if event["kind"] in kinds]
    return [{key: value for key, value in event.items() if key not in ("seq", "time")} for event in kept]


def test_a_follower_tells_what_the_search_itself_logs_and_ends_with_its_stdin(cli: CommandLine) -> None:
    url = f"sqlite:///{cli.folder / 'shared.db'}"
    with cli.held_search(*QUICK, "--storage", url) as (search, _):
        follower = follow(cli, url, "held")
        assert follower.stdout is not None
        told: list[dict[str, Any]] = []
        while sum(event["kind"] == "trial_started" for event in told) < 3:
            told.append(json.loads(follower.stdout.readline()))
        assert [event["record"]["number"] for event in told if event["kind"] == "trial_finished"] == [0, 1]
        cli.release()
        while told[-1]["kind"] != "run_finished":
            told.append(json.loads(follower.stdout.readline()))
        search.communicate(timeout=PATIENCE_SECONDS)
    _, complaints = follower.communicate(timeout=PATIENCE_SECONDS)  # closes its stdin
    assert (follower.returncode, complaints) == (0, "")
    logged = [json.loads(line) for line in (cli.runs / "held" / "events.jsonl").read_text().splitlines()]
    kinds = ("run_started", "model_read", "trial_started", "trial_finished", "run_finished")
    assert without_time(told, *kinds) == without_time(logged, *kinds)
    assert [event["seq"] for event in told] == list(range(len(told)))
