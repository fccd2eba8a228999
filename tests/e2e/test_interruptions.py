"""A search that is ended from outside keeps what it found, leaves no process behind, and can be resumed."""

from __future__ import annotations

import shutil
import signal

import pytest
from command_line import TASK_FILE, CommandLine

QUICK = ("--trials", 4, "--methods", "fp16,bf16,int8_weight_only", "--formats", "pytorch", "--max-quality-drop", "10pp")


def test_after_kill_9_resume_keeps_what_was_found_and_tries_the_interrupted_recipe_again_once(cli: CommandLine) -> None:
    with cli.held_search(*QUICK) as (search, _):
        kept = [cli.record("held", number) for number in (0, 1)]
        search.kill()
        assert cli.interrupt(search, signal.SIGKILL).code == -signal.SIGKILL
        cli.assert_nothing_runs()
    assert cli("runs", "--json").json[0]["state"] == "interrupted"

    resumed = cli("resume", "held", "--json")
    assert resumed.json["trial"] is not None
    assert [cli.record("held", number) for number in (0, 1)] == kept
    rows = [cli.record("held", row["trial"]) for row in cli("show", "held", "--json").json["trials"]]
    cut_off, again = rows[2], rows[3]
    assert cut_off["status"] == "crashed"
    assert "interrupted" in cut_off["error"]["message"]
    assert again["origin"] == "retry"
    assert (again["recipe"], again["status"]) == (cut_off["recipe"], "complete")
    assert [row["recipe"] for row in rows].count(cut_off["recipe"]) == 2
    assert len({str(row["recipe"]) for row in rows}) == 4
    assert cli("runs", "--json").json[0]["state"] == "done"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_a_search_with_130_and_tell_how_to_go_on(
    cli: CommandLine, signal_number: signal.Signals
) -> None:
    with cli.held_search(*QUICK) as (search, _):
        ended = cli.interrupt(search, signal_number)
        cli.assert_nothing_runs()
    assert ended.code == 130
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert "autocompress resume held" in ended.error
    assert cli.record("held", 1)["status"] == "complete"
    assert cli.record("held", 2)["status"] == "cancelled"
    assert not (cli.runs / "held" / "artifacts" / "2").exists()
    if signal_number is signal.SIGINT:
        cli("resume", "held", "--trials", 3)
        again = cli.record("held", 3)
        assert (again["origin"], again["status"]) == ("retry", "complete")
        assert again["recipe"] == cli.record("held", 2)["recipe"]


def test_ctrl_c_while_the_original_is_measured_is_made_good_by_resume(cli: CommandLine) -> None:
    with cli.started("search", "--task-file", TASK_FILE, "--name", "held", *QUICK) as search:
        cli.hold(search)
        ended = cli.interrupt(search, signal.SIGINT)
        cli.assert_nothing_runs()
    assert ended.code == 130
    assert "autocompress resume held" in ended.error
    assert "Traceback" not in ended.err
    assert "has not measured the original yet" in cli.refuses("best", "held")
    cli("resume", "held", "--trials", 2)
    rows = cli("show", "held", "--json").json["trials"]
    assert [row["status"] for row in rows] == ["cancelled", "complete", "complete"]


def test_ctrl_c_before_anything_was_found_out_leaves_no_run_behind(cli: CommandLine) -> None:
    with cli.started("search", "--task-file", TASK_FILE, "--name", "held", *QUICK) as search:
        cli.wait_until((cli.runs / "held" / "events.jsonl").exists, search)
        ended = cli.interrupt(search, signal.SIGINT)
        cli.assert_nothing_runs()
    assert ended.code == 130
    assert ended.error.startswith("interrupted")
    assert "Traceback" not in ended.err
    assert not (cli.runs / "held").exists()


def test_a_second_search_on_the_same_run_is_refused_and_the_first_goes_on(cli: CommandLine) -> None:
    with cli.held_search(*QUICK, "--trials", 3) as (search, _):
        told = cli.refuses("resume", "held")
        assert f"process {search.pid}" in told
        assert "a run of this name exists" in cli.refuses("search", "--task-file", TASK_FILE, "--name", "held")
        assert cli("runs", "--json").json[0]["state"] == "searching"
        cli.release()
        out, err = search.communicate()
    assert search.returncode == 0, err
    assert "Best" in out
    assert len(cli("show", "held", "--json").json["trials"]) == 3


def test_a_torn_event_line_is_passed_over_and_cut_off(finished: CommandLine, cli: CommandLine) -> None:
    shutil.copytree(finished.runs / "done", cli.runs / "done")
    log = cli.runs / "done" / "events.jsonl"
    whole = log.read_text()
    log.write_text(whole + whole.splitlines()[-1][:30])
    assert cli("show", "done", "--json").json["trials"] == finished("show", "done", "--json").json["trials"]
    cli("resume", "done", "--trials", 6)
    lines = log.read_text().splitlines(keepends=True)
    assert "".join(lines).startswith(whole)
    assert all(line.endswith("}\n") for line in lines)
    assert cli.trials_in("done") == [0, 1, 2, 3, 4, 5]


def test_a_run_is_resumed_from_any_folder(finished: CommandLine, cli: CommandLine) -> None:
    shutil.copy(TASK_FILE, cli.folder / "mine.py")
    spec = ("--task-file", "./mine.py", "--name", "mine", "--formats", "pytorch", "--methods", "fp16")
    cli("search", *spec, "--trials", 1, code=1)
    elsewhere = cli.folder / "elsewhere"
    elsewhere.mkdir()
    runs = cli.runs
    cli.folder = elsewhere
    cli("resume", runs / "mine", "--trials", 2)
    assert len(cli("show", "mine", "--json").json["trials"]) == 2


def test_a_reader_that_leaves_early_is_no_error(finished: CommandLine) -> None:
    with finished.started("show", "done", "--markdown") as shown:
        assert shown.stdout is not None
        shown.stdout.close()
        shown.wait()
        assert shown.stderr is not None
        assert shown.stderr.read() == ""
