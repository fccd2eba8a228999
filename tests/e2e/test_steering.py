"""A search that is steered while it runs: every request is answered once, and holds after a resume."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil
import pytest
import yaml
from command_line import PATIENCE_SECONDS, TASK_FILE, CommandLine

from autocompress.control import CONTROL_NAME, Request, append
from autocompress.search.session import view_run

QUICK = ("--formats", "pytorch", "--methods", "fp16,bf16,int8_weight_only,rtn", "--max-quality-drop", "10pp")
ASKED_FOR = {"steps": [{"rtn": {"bits": 8, "group_size": 64}}], "format": "pytorch"}

Events = list[dict[str, Any]]


class Steered:
    """A search that waits in a trial, and what is asked of it."""

    def __init__(self, cli: CommandLine, process: subprocess.Popen[str]) -> None:
        self.cli = cli
        self.process = process
        self.run = cli.runs / "held"
        self.before: Events = []

    def events(self) -> Events:
        return self.cli.events("held")

    def of_kind(self, kind: str) -> Events:
        return [event for event in self.events() if event["kind"] == kind]

    def wait_for(self, condition: Callable[[], object]) -> None:
        self.cli.wait_until(lambda: bool(condition()), self.process)

    def steer(self, *arguments: object) -> str:
        return self.cli("steer", "held", *arguments).out.strip()

    def refused(self, *arguments: object) -> str:
        return self.cli.refuses("steer", "held", *arguments)

    def asked(self, action: str, **details: Any) -> dict[str, Any]:
        """Ask as other programs do: through the file."""
        request = Request(action, details)
        append(self.run, request)
        self.wait_for(lambda: self.answers(request.id))
        (answer,) = self.answers(request.id)
        return answer

    def answers(self, request_id: str) -> Events:
        return [event for event in self.of_kind("control_answered") if event["id"] == request_id]


def finish(process: subprocess.Popen[str]) -> str:
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in err
    return err


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Steered, dict[str, Any], str]:
    """A search that was paused, limited, noted, given a recipe and more trials; its answers, and what it printed."""
    cli = CommandLine(tmp_path_factory.mktemp("paused"))
    with cli.held_search(*QUICK, "--trials", 4) as (process, _):
        steered = Steered(cli, process)
        first = cli.record("held", 1)["recipe"]
        told: dict[str, Any] = {
            "pause": steered.steer("pause"),
            "note": steered.steer("note", 1, "looks fine"),
            "no such trial": steered.refused("note", 99, "x"),
            "no such limit": steered.refused("limit", "sise", "0.5x"),
            "no limit": steered.refused("limit", "size", "tiny"),
            "no vram": steered.refused("limit", "vram", "1GB"),
            "limit": steered.steer("limit", "size", "0.3x"),
            "lifted": steered.steer("limit", "quality_drop", "none"),
            "add": steered.steer("add", 1),
            "unknown": steered.asked("paws"),
            "details": steered.asked("add_trials", trials=-1),
            "try": steered.asked("try_recipe", recipe=ASKED_FOR),
            "again": steered.asked("try_recipe", recipe=ASKED_FOR),
            "tried": steered.asked("try_recipe", recipe=first),
            "impossible": steered.asked(
                "try_recipe", recipe={"steps": [{"fp16": {"part": "encoder"}}], "format": "onnx"}
            ),
            "wrong": steered.asked("try_recipe", recipe={"steps": [{"rtn": {"bit": 8}}], "format": "onnx"}),
        }
        with (steered.run / CONTROL_NAME).open("ab") as stream:
            stream.write(b'rubbish\n{"kind": "foreign"}\n{"id": "torn')
        told["after a torn line"] = steered.asked("resume")
        told["pause again"] = steered.asked("pause")
        cli.release()
        steered.wait_for(lambda: steered.of_kind("state_changed"))
        (pause,) = steered.of_kind("state_changed")
        steered.wait_for(lambda: sum(beat["seq"] > pause["seq"] for beat in steered.of_kind("heartbeat")) > 1)
        told["started before the pause"] = len(steered.of_kind("trial_started"))
        told["resume"] = steered.steer("resume")
        printed = finish(process)
    cli.assert_nothing_runs()
    return steered, told, printed


def test_a_paused_search_finishes_its_trial_waits_alive_and_goes_on(paused: tuple[Steered, Any, str]) -> None:
    steered, told, printed = paused
    assert told["pause"] == "pauses when trial 2 has ended"
    assert told["started before the pause"] == 3
    assert told["resume"] == "goes on"
    assert [event["state"] for event in steered.of_kind("state_changed")] == ["paused", "running"]
    assert "search paused" in printed
    assert steered.cli.record("held", 2)["status"] == "complete"


def test_what_makes_no_sense_is_refused_in_a_sentence(paused: tuple[Steered, Any, str]) -> None:
    _, told, _ = paused
    assert "has no trial 99" in told["no such trial"]
    assert told["no such limit"].startswith("constraints.sise: unknown key. Did you mean 'size'?")
    assert "is not a limit; write for example 25MB or 0.3x" in told["no limit"]
    assert "cannot be checked on the CPU" in told["no vram"]
    for name, text in [
        ("unknown", "there is no action 'paws'. Did you mean 'pause'?"),
        ("details", "trials: input should be greater than 0"),
        ("again", "is tried next already"),
        ("tried", "trial 1 was it already"),
        ("impossible", "cannot be done on this model: fp16:"),
        ("wrong", "steps[0].rtn.bit: unknown key. Did you mean 'bits'?"),
    ]:
        assert told[name]["accepted"] is False
        assert text in told[name]["text"], name


def test_torn_and_foreign_lines_are_passed_over(paused: tuple[Steered, Any, str]) -> None:
    steered, told, _ = paused
    assert told["after a torn line"]["accepted"]
    assert told["pause again"]["accepted"]
    ids = [event["id"] for event in steered.of_kind("control_answered")]
    assert len(ids) == len(set(ids))


def test_a_recipe_that_was_asked_for_is_tried_next(paused: tuple[Steered, Any, str]) -> None:
    steered, told, _ = paused
    assert told["try"]["accepted"]
    assert told["try"]["text"] == "tried next: 8-bit rtn (group size 64), as pytorch"
    record = steered.cli.record("held", 3)
    assert (record["origin"], record["status"]) == ("user", "complete")
    assert record["recipe"]["steps"][0]["rtn"]["bits"] == 8


def test_trials_can_be_added_and_are_kept_for_a_resume(paused: tuple[Steered, Any, str]) -> None:
    steered, told, _ = paused
    assert told["add"] == "5 trials in all now"
    assert [event["trials"] for event in steered.of_kind("trials_changed")] == [5]
    assert len(steered.of_kind("trial_finished")) == 5
    assert yaml.safe_load((steered.run / "spec.yaml").read_text())["budget"]["trials"] == 5


def test_a_changed_limit_judges_every_trial_and_is_kept(paused: tuple[Steered, Any, str]) -> None:
    steered, told, _ = paused
    assert told["limit"] == "size is limited to 0.3x now"
    assert told["lifted"] == "quality drop is no longer limited"
    constraints = [event["constraints"] for event in steered.of_kind("constraints_changed")]
    assert [(c["size"], c["quality_drop"]) for c in constraints] == [("0.3x", "10pp"), ("0.3x", None)]
    kept = yaml.safe_load((steered.run / "spec.yaml").read_text())["constraints"]
    assert (kept["size"], kept["quality_drop"]) == ("0.3x", None)
    original = steered.cli.record("held", 0)["measurement"]["size_bytes"]
    for number in range(5):
        record = steered.cli.record("held", number)
        excess = record["measurement"]["size_bytes"] / original / 0.3 - 1
        assert record["violations"] == {"size": pytest.approx(excess)}
    best = steered.of_kind("run_finished")[0]["best"]
    assert best is not None
    assert steered.cli.record("held", best)["violations"]["size"] <= 0


def test_a_note_is_kept_with_its_trial(paused: tuple[Steered, Any, str]) -> None:
    steered, told, _ = paused
    assert told["note"] == "noted with trial 1"
    assert steered.of_kind("trial_noted")[0]["text"] == "looks fine"
    assert steered.cli.record("held", 1)["notes"] == ["looks fine"]
    assert "Note: looks fine" in steered.cli("show", "held", 1).out


def test_a_search_that_does_not_run_answers_nothing(paused: tuple[Steered, Any, str]) -> None:
    steered, _, _ = paused
    assert "no search runs in this run" in steered.refused("pause")
    assert "there is no run named 'other'" in steered.cli.refuses("steer", "other", "pause")


def test_a_note_is_kept_after_the_search_too(paused: tuple[Steered, Any, str]) -> None:
    steered, _, _ = paused
    before = steered.cli.record("held", 1)["notes"]
    assert steered.steer("note", 1, "fails on long texts") == "noted with trial 1"
    assert steered.cli.record("held", 1)["notes"] == [*before, "fails on long texts"]
    last = steered.events()[-1]
    assert (last["kind"], last["number"], last["text"]) == ("trial_noted", 1, "fails on long texts")
    assert [event["seq"] for event in steered.events()] == list(range(len(steered.events())))
    assert "no trial 99" in steered.refused("note", 99, "x")
    assert steered.refused("note", 1, "")


def test_a_cancelled_trial_is_ended_at_once_and_not_tried_again_and_a_stop_judges_the_finalists(
    cli: CommandLine,
) -> None:
    with cli.held_search(*QUICK, "--trials", 8) as (process, child):
        steered = Steered(cli, process)
        assert "trial 1 is not running (trial 2 is)" in steered.refused("cancel", 1)
        assert steered.steer("cancel", 2) == "trial 2 is cancelled"
        steered.wait_for(lambda: not psutil.pid_exists(child))
        cli.release()
        cli.hold(process)
        running = steered.of_kind("trial_started")[-1]["number"]
        assert steered.steer("stop") == f"stops when trial {running} has ended"
        assert "stops already" in steered.refused("pause")
        cli.release()
        printed = finish(process)
    assert process.returncode == 0, printed
    assert "search ended: it was asked to stop" in printed
    record = cli.record("held", 2)
    assert (record["status"], record["error"]["message"]) == ("cancelled", "cancelled as asked")
    ends = [event["record"]["number"] for event in steered.of_kind("trial_finished")]
    assert ends == list(range(running + 1))
    assert steered.of_kind("run_finished")[0]["finalists"]
    cli("resume", "held", "--trials", running + 2)
    recipes = [cli.record("held", number)["recipe"] for number in range(running + 2)]
    assert recipes.count(record["recipe"]) == 1


def test_finalists_that_another_limit_brings_back_are_built_again(cli: CommandLine) -> None:
    with cli.held_search(*QUICK[:-1], "0.1pp", "--trials", 4) as (process, _):
        steered = Steered(cli, process)
        steered.steer("limit", "latency", "0.0001x")
        cli.release()
        steered.wait_for(lambda: 2 in cli.trials_in("held"))
        cli.hold(process)
        left = sorted(path.name for path in (steered.run / "artifacts").iterdir())
        assert left == ["0", "3"]
        steered.steer("limit", "latency", "none")
        cli.release()
        printed = finish(process)
    assert process.returncode == 0, printed
    outcome = view_run(str(steered.run)).outcome
    assert outcome is not None
    assert len(outcome.finalists) > 1
    assert [finalist.problem for finalist in outcome.finalists] == [None] * len(outcome.finalists)


def test_a_trial_that_was_given_up_is_measured_whole_once_a_changed_limit_makes_it_useful(cli: CommandLine) -> None:
    with cli.held_search(*QUICK, "--trials", 6) as (process, _):
        steered = Steered(cli, process)
        steered.steer("limit", "latency", "0.0001x")
        cli.release()
        steered.wait_for(lambda: 2 in cli.trials_in("held"))
        cli.hold(process)
        steered.steer("limit", "latency", "none")
        cli.release()
        printed = finish(process)
    assert process.returncode == 0, printed
    given_up = steered.cli.record("held", 3)
    assert given_up["measurement"]["cut_short"] == "the limit on latency is broken"
    (again,) = (r for r in map(partial(steered.cli.record, "held"), range(4, 7)) if r["recipe"] == given_up["recipe"])
    assert again["origin"] == "retry"
    assert again["measurement"]["cut_short"] is None
    assert again["measurement"]["quality"]["n_samples"] > given_up["measurement"]["quality"]["n_samples"]
    assert "too little is known of trial 3 for these limits: its recipe is tried again" in printed
    tried = {str(cli.record("held", number)["recipe"]) for number in cli.trials_in("held")}
    assert len(tried) == 6


def test_the_original_cannot_be_cancelled(cli: CommandLine) -> None:
    with cli.started("search", "--task-file", TASK_FILE, "--name", "held", *QUICK, "--trials", 2) as process:
        cli.hold(process)
        steered = Steered(cli, process)
        assert "the original has to be measured" in steered.refused("cancel", 0)
        cli.release()
        finish(process)
    assert cli.trials_in("held") == [0, 1]
