"""What becomes of a search whose trials are killed, hang or eat all memory."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from command_line import PATIENCE_SECONDS, TASK_FILE, CommandLine

TRIAL_TIMEOUT_SECONDS = 40


@pytest.fixture(scope="module")
def unlucky(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, str]:
    """A search in which trial 2 was killed, one hung and one asked for too much; and what it printed."""
    cli = CommandLine(tmp_path_factory.mktemp("unlucky"))
    options = (
        "--trials", 6, "--trial-memory", "6GB", "--trial-timeout", f"{TRIAL_TIMEOUT_SECONDS}s", "--formats", "pytorch",
        "--methods", "fp16,bf16,int8_weight_only,rtn",
    )  # fmt: skip
    with cli.held_search(*options) as (search, trial_process):
        (cli.trouble / "hog").touch()
        parents = [parent.pid for parent in psutil.Process(trial_process).parents()]
        assert search.pid in parents
        os.kill(trial_process, signal.SIGKILL)
        cli.wait_until(lambda: (cli.trouble / "hogged").exists(), search)
        cli.hold(search)
        out, err = search.communicate(timeout=PATIENCE_SECONDS)
    assert search.returncode == 0, err
    assert "Best" in out
    cli.assert_nothing_runs()
    return cli, err


def test_the_search_goes_on_after_every_failure(unlucky: tuple[CommandLine, str]) -> None:
    cli, told = unlucky
    statuses = [row["status"] for row in cli("show", "held", "--json").json["trials"]]
    assert sorted(statuses) == ["complete", "complete", "complete", "crashed", "out_of_memory", "timed_out"]
    assert "Traceback" not in told
    assert "search ended: all 6 trials are done" in told


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        ("crashed", "the trial's process was ended by SIGKILL", "--trial-memory"),
        ("out_of_memory", "the trial needed more memory than it may use", "--trial-memory"),
        ("timed_out", f"the stage quality was still running after {TRIAL_TIMEOUT_SECONDS} s", "--trial-timeout"),
    ],
)
def test_the_record_tells_cause_stage_and_cure(
    unlucky: tuple[CommandLine, str], status: str, message: str, remedy: str
) -> None:
    cli, narration = unlucky
    (row,) = [row for row in cli("show", "held", "--json").json["trials"] if row["status"] == status]
    record = cli.record("held", row["trial"])
    assert record["error"]["message"] == message
    assert record["error"]["stage"] == "quality"
    assert remedy in record["error"]["remedy"]
    assert message in narration
    assert message in cli("show", "held", row["trial"]).out
    assert not (cli.runs / "held" / "artifacts" / str(row["trial"])).exists()


def test_a_memory_limit_that_is_too_small_for_the_original_ends_the_search_with_the_reason(cli: CommandLine) -> None:
    told = cli.refuses("search", "--task-file", TASK_FILE, "--trial-memory", "50MB", code=3)
    assert "more memory than it may use" in told
    assert "--trial-memory" in told


def test_an_original_that_hangs_ends_the_search_with_the_reason(cli: CommandLine) -> None:
    (cli.trouble / "hold").touch()
    told = cli.refuses("search", "--task-file", TASK_FILE, "--trial-timeout", "15s", "--name", "slow", code=2)
    assert "still running after 15 s" in told
    assert "--trial-timeout" in told


def test_a_weight_that_is_no_number_is_named(cli: CommandLine) -> None:
    (cli.trouble / "nan").touch()
    told = cli.refuses("search", "--task-file", TASK_FILE, "--name", "broken")
    assert "0.weight" in told
    assert not (cli.runs / "broken").exists()


def test_limits_that_nobody_can_meet_end_with_1_the_nearest_misses_and_a_run_that_is_kept(cli: CommandLine) -> None:
    ended = cli.search("--trials", 3, "--formats", "pytorch", "--max-latency", "1us", "--name", "hopeless", code=1)
    assert "the binding one is latency ≤ " in ended.out
    assert "which 2 of 2 measured recipes break" in ended.out
    assert "Near miss: " in ended.out
    best = cli("best", "hopeless", "--json", code=1).json
    assert best["trial"] is None
    assert any("latency" in reason for reason in best["why"])
    assert len(cli("show", "hopeless", "--json").json["trials"]) == 3
    assert "--trial" in cli.refuses("export", "hopeless", "-o", "recipe.yaml")
    cli("export", "hopeless", "--trial", 1, "-o", "recipe.yaml")


def test_a_size_that_nothing_can_have_ends_with_1_before_anything_is_built(cli: CommandLine) -> None:
    ended = cli.search("--trials", 3, "--formats", "pytorch", "--max-size", "1B", "--name", "tiny", code=1)
    assert "known-good recipes are left out" in ended.err
    assert "only the original was tried: what is foretold to be larger" in ended.out
    assert len(cli("show", "tiny", "--json").json["trials"]) == 1
