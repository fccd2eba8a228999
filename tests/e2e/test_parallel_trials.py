"""Several trials at a time: they run side by side, one is timed alone, and steering and endings hold for all."""

from __future__ import annotations

import signal

import pytest
from command_line import PATIENCE_SECONDS, CommandLine

QUICK = (
    *("--methods", "fp16,bf16,int8_weight_only,rtn", "--formats", "pytorch", "--max-quality-drop", "10pp"),
    *("--parallel", 2),
)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    cli = CommandLine(tmp_path_factory.mktemp("beside"))
    cli.search("--name", "beside", "--trials", 7, *QUICK)
    return cli


def test_trials_run_side_by_side_and_each_is_entered_once(beside: CommandLine) -> None:
    rows = beside("show", "beside", "--json").json["trials"]
    assert [row["trial"] for row in rows] == list(range(7))
    assert {row["status"] for row in rows} == {"complete"}
    assert len({str(beside.record("beside", row["trial"])["recipe"]) for row in rows}) == 7
    running, most = set(), 0
    for event in beside.events("beside"):
        if event["kind"] == "trial_started":
            running.add(event["number"])
        elif event["kind"] == "trial_finished":
            running.remove(event["record"]["number"])
        most = max(most, len(running))
    assert most == 2


def test_the_original_and_the_last_judgement_run_alone(beside: CommandLine) -> None:
    told = beside.events("beside")
    first_end = next(index for index, event in enumerate(told) if event["kind"] == "trial_finished")
    assert {event["number"] for event in told[:first_end] if event["kind"] == "trial_started"} == {0}


def test_ctrl_c_ends_all_that_runs_and_resume_tries_it_again(cli: CommandLine) -> None:
    with cli.held_search("--trials", 6, *QUICK) as (search, _):
        ended = cli.interrupt(search, signal.SIGINT)
        cli.assert_nothing_runs()
    assert ended.code == 130
    records = [cli.record("held", row["trial"]) for row in cli("show", "held", "--json").json["trials"]]
    cancelled = [record for record in records if record["status"] == "cancelled"]
    assert cancelled
    assert all(record["status"] in ("complete", "cancelled") for record in records)
    cli("resume", "held", "--trials", 6)
    recipes = [cli.record("held", row["trial"])["recipe"] for row in cli("show", "held", "--json").json["trials"]]
    assert all(recipes.count(record["recipe"]) == 2 for record in cancelled)


def test_while_one_trial_waits_the_others_are_tried_and_cancelling_it_ends_it_alone(cli: CommandLine) -> None:
    with cli.held_search("--trials", 6, *QUICK) as (search, _):
        cli.wait_until(lambda: len(cli.trials_in("held")) == 5, search)
        (held,) = set(range(6)) - set(cli.trials_in("held"))
        other = (held + 1) % 6
        assert f"trial {other} is not running (trial {held} is)" in cli.refuses("steer", "held", "cancel", other)
        assert "cancelled" in cli("steer", "held", "cancel", held).out
        search.communicate(timeout=PATIENCE_SECONDS)
    statuses = {row["trial"]: row["status"] for row in cli("show", "held", "--json").json["trials"]}
    assert statuses.pop(held) == "cancelled"
    assert set(statuses.values()) == {"complete"}
