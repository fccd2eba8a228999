"""Searches in a shared storage, followed look after look, and by a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from run_example import example_records, prepared, trial

from autocompress.events import Event
from autocompress.outcome import Outcome
from autocompress.records import TrialRecord
from autocompress.search.follow import Follower
from autocompress.search.study import Study, sqlite_url
from autocompress.spec import Budget, Constraints, SearchSpec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPEC = SearchSpec.model_validate({"model": {"path": "m"}, "constraints": {"size": "0.5x"}, "budget": {"trials": 3}})


def follow(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autocompress.search.follow", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def test_a_storage_is_told_search_by_search(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "shared.db")
    begun, done = Study.create("begun", url, SPEC), Study.create("done", url, SPEC)
    optuna.create_study(study_name="of another program", storage=url)
    enter(begun, example_records()[0])
    begun.start(example_records()[1].recipe, "known_good", None)
    done.outcome = Outcome(reason="done", best=None, front=())
    first, second = (json.loads(line) for line in follow(url).stdout.splitlines())
    assert (first["kind"], first["name"], first["model"]) == ("study", "begun", "m")
    assert (first["trials"], first["total"], first["state"], first["best"]) == (2, 3, "searching", None)
    assert (second["name"], second["state"], second["trials"]) == ("done", "done", 0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give the URL of a storage"),
        (("nonsense",), "the storage cannot be used"),
        (("URL", "other"), "holds no search named 'other'"),
    ],
)
def test_what_cannot_be_followed_is_told_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    url = sqlite_url(tmp_path / "shared.db")
    Study.create("mine", url, SPEC)
    followed = follow(*(url if word == "URL" else word for word in arguments))
    assert followed.stdout == ""
    assert followed.stderr.startswith("error: ")
    assert told in followed.stderr
    assert "Traceback" not in followed.stderr


# The follower, one look after the other ------------------------------------------------------------------------------


def enter(study: Study, record: TrialRecord) -> None:
    started = study.start(record.recipe, record.origin, None)
    study.finish(record.model_copy(update={"number": started.number}), record, {})


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events if event.kind != "heartbeat"]


def test_only_what_is_new_is_told(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    study = Study.create("mine", url, SPEC)
    follower = Follower(Study.open("mine", url), "mine")
    assert kinds(follower.new()) == ["run_started"]
    assert follower.new() == []
    study.prepared = prepared()
    enter(study, example_records()[0])
    assert kinds(follower.new()) == ["model_read", "trial_started", "trial_finished"]
    running = study.start(example_records()[2].recipe, "known_good", None)
    assert kinds(follower.new()) == ["trial_started"]
    study.add_note(0, "one")
    study.add_note(0, "two")
    assert kinds(follower.new()) == ["trial_noted", "trial_noted"]
    changed = SPEC.model_copy(update={"constraints": Constraints(), "budget": Budget(trials=9)})
    study.change_spec(changed)
    constraints, trials = follower.new()[-2:]
    assert (constraints.kind, trials.kind) == ("constraints_changed", "trials_changed")
    study.finish(trial(running.number, [], "onnx"), example_records()[0], {})
    study.outcome = Outcome(reason="done", best=0, front=(0,))
    assert kinds(follower.new()) == ["trial_finished", "run_finished"]
    assert follower.new() == []
    enter(study, example_records()[3])
    assert kinds(follower.new()) == ["run_started", "trial_started", "trial_finished", "run_finished"]
