"""The record of a search in a real SQLite database: what is written comes back, whatever happened in between."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from run_example import example_records, measurement, prepared, trial
from toy_models import space_on

from autocompress.errors import EnvironmentProblem, RunError
from autocompress.outcome import Finalist, Outcome
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.records import Status, TrialError, TrialRecord
from autocompress.search.study import METRIC_NAMES, WORST_VALUES, Study, sqlite_url
from autocompress.spec import Budget, Constraints, SearchSpec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPEC = SearchSpec.model_validate({"model": {"path": "m"}, "constraints": {"size": "0.5x", "quality_drop": "1pp"}})
ORIGINAL = trial(0, [], "pytorch", measurement(size=1))
SPACE = space_on("bert")
RECIPE = Recipe(steps=steps_from_plain([{"magnitude": {"sparsity": 0.3}}, {"fp16": {}}]), format="onnx")
OTHER = Recipe(steps=steps_from_plain(["kmeans"]), format="pytorch")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "study.db")


@pytest.fixture
def study(url: str) -> Study:
    return Study.create("mine", url, SPEC)


def reopened(url: str) -> Study:
    return Study.open("mine", url)


def optuna_trials(url: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="mine", storage=url).get_trials()


def finished(study: Study, recipe: Recipe, **changes: object) -> TrialRecord:
    record = study.start(recipe, "sampler", SPACE).model_copy(update=changes)
    study.finish(record, ORIGINAL, {"size": 0.5, "quality_drop": -1.0})
    return record


def test_a_record_comes_back_whole_after_reopening(study: Study, url: str) -> None:
    for example in example_records():
        record = study.start(example.recipe, example.origin, None)
        assert record.number == example.number
        study.finish(example, ORIGINAL, example.violations)
    assert tuple(reopened(url).records()) == example_records()


def test_a_running_trial_is_seen_as_running(study: Study, url: str) -> None:
    record = study.start(RECIPE, "known_good", SPACE)
    assert (record.number, record.status, record.recipe, record.origin) == (0, Status.RUNNING, RECIPE, "known_good")
    assert reopened(url).records() == [record]


def test_optuna_sees_parameters_values_and_limits(study: Study, url: str) -> None:
    finished(study, RECIPE, status=Status.COMPLETE, measurement=measurement(size=0.5, speedup=2.0, drop=0.01))
    (seen,) = optuna_trials(url)
    assert seen.params == SPACE.parameters(RECIPE)
    assert seen.values == pytest.approx([-0.6931, -0.6931, 0.01], abs=1e-4)
    assert seen.constraints == {"size": 0.5, "quality_drop": -1.0}
    assert optuna.load_study(study_name="mine", storage=url).metric_names == list(METRIC_NAMES)


def test_the_original_is_entered_without_parameters(study: Study, url: str) -> None:
    study.start(ORIGINAL.recipe, "baseline", None)
    study.finish(ORIGINAL, None, {})
    (seen,) = optuna_trials(url)
    assert (seen.params, seen.values) == ({}, [0.0, 0.0, 0.0])


@pytest.mark.parametrize("status", [Status.FAILED, Status.UNSUPPORTED, Status.OUT_OF_MEMORY, Status.TIMED_OUT])
def test_a_trial_that_failed_is_told_as_worst(study: Study, url: str, status: Status) -> None:
    error = TrialError(message="no", remedy="yes", stage="export", log_tail="…")
    finished(study, RECIPE, status=status, error=error)
    (seen,) = optuna_trials(url)
    assert (seen.state, tuple(seen.values)) == (TrialState.COMPLETE, WORST_VALUES)
    (record,) = reopened(url).records()
    assert (record.status, record.error) == (status, error)


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.CRASHED])
def test_a_trial_that_says_nothing_of_its_recipe_is_not_learnt_from(study: Study, url: str, status: Status) -> None:
    finished(study, RECIPE, status=status)
    assert [seen.state for seen in optuna_trials(url)] == [TrialState.FAIL]
    assert reopened(url).known_trials() == []
    assert reopened(url).records()[0].status is status


def test_what_a_killed_search_left_running_is_closed_as_crashed(study: Study, url: str) -> None:
    done = finished(study, OTHER, status=Status.COMPLETE, measurement=measurement(size=0.5))
    left = study.start(RECIPE, "sampler", SPACE)
    again = reopened(url)
    assert [record.recipe for record in again.close_interrupted()] == [RECIPE]
    assert again.records()[0] == done
    closed = again.records()[1]
    assert (closed.number, closed.status) == (left.number, Status.CRASHED)
    assert closed.error is not None
    assert "interrupted" in closed.error.message
    assert again.close_interrupted() == []
    assert again.start(RECIPE, "retry", SPACE).number == 2


@pytest.mark.parametrize("how_far", ["enqueued", "asked"])
def test_a_search_killed_while_it_entered_a_trial_leaves_nothing_that_disturbs(
    study: Study, url: str, how_far: str
) -> None:
    left = optuna.load_study(study_name="mine", storage=url)
    left.enqueue_trial(SPACE.parameters(OTHER))
    if how_far == "asked":
        left.ask()
    again = reopened(url)
    assert again.close_interrupted() == []
    record = again.start(RECIPE, "sampler", SPACE)
    assert [seen.state for seen in optuna_trials(url)] == [TrialState.FAIL, TrialState.RUNNING]
    assert optuna_trials(url)[record.number].params == SPACE.parameters(RECIPE)


def test_spec_preparation_and_outcome_come_back(study: Study, url: str) -> None:
    assert (study.prepared, study.outcome) == (None, None)
    outcome = Outcome(
        reason="done", best=2, front=(1, 2), finalists=(Finalist(number=2, holdout=None, certificate=None),)
    )
    study.prepared, study.outcome = prepared(), outcome
    again = reopened(url)
    assert (again.spec, again.prepared, again.outcome) == (SPEC, prepared(), outcome)


def test_other_limits_judge_all_trials_and_void_the_outcome(study: Study, url: str) -> None:
    study.start(ORIGINAL.recipe, "baseline", None)
    study.finish(ORIGINAL.model_copy(update={"origin": "baseline"}), None, {"size": 1.0})
    figures = measurement(size=0.6, speedup=2.0, drop=0.02)
    finished(study, RECIPE, status=Status.COMPLETE, measurement=figures)
    finished(study, OTHER, status=Status.FAILED)
    study.outcome = Outcome(reason="done", best=1, front=(1,))
    spec = SPEC.model_copy(update={"constraints": Constraints.model_validate({"size": "0.8x", "ram": "1GB"})})
    for seen in (study, reopened(url)):
        if seen is study:
            assert seen.records()[1].violations == {}
            seen.change_spec(spec)
        assert (seen.spec, seen.outcome) == (spec, None)
        assert seen.records()[1].violations == {"size": pytest.approx(-0.25), "ram": 1.0}
        limits = [told.constraints for told in seen.known_trials()]
        assert limits[0]["size"] == pytest.approx(0.25)
        assert limits[1] == {"size": pytest.approx(-0.25), "ram": 1.0}
        assert limits[2] == {"size": 1.0, "ram": 1.0}
        assert [told.number for told in seen.known_trials()] == [0, 1, 2]


def test_more_trials_leave_the_outcome_as_it_is(study: Study, url: str) -> None:
    study.outcome = Outcome(reason="done", best=None, front=())
    study.change_spec(SPEC.model_copy(update={"budget": Budget(trials=99)}))
    assert reopened(url).spec.budget.trials == 99
    assert reopened(url).outcome is not None


def test_notes_are_kept_with_running_and_ended_trials(study: Study, url: str) -> None:
    finished(study, OTHER, status=Status.COMPLETE, measurement=measurement(size=0.5))
    running = study.start(RECIPE, "sampler", SPACE)
    for number, text in ((0, "one"), (running.number, "two"), (0, "three")):
        study.add_note(number, text)
    for seen in (study, reopened(url)):
        assert [record.notes for record in seen.records()] == [("one", "three"), ("two",)]
    with pytest.raises(RunError, match="no trial 7"):
        study.add_note(7, "x")


def test_a_trial_is_found_by_its_number(study: Study) -> None:
    finished(study, RECIPE, status=Status.FAILED)
    assert study.record(0).recipe == RECIPE
    with pytest.raises(RunError, match="no trial 7"):
        study.record(7)


def test_a_name_that_the_storage_knows_is_refused(study: Study, url: str) -> None:
    with pytest.raises(RunError, match="holds a search of this name"):
        Study.create("mine", url, SPEC)


@pytest.mark.parametrize(
    ("name", "remedy"), [("mien", "Did you mean 'mine'?"), ("absent", "Known: mine, other."), ("othr", "'other'?")]
)
def test_a_name_that_the_storage_does_not_know_is_refused_with_those_that_it_knows(
    study: Study, url: str, name: str, remedy: str
) -> None:
    Study.create("other", url, SPEC)
    with pytest.raises(RunError, match=f"holds no search named '{name}'") as refused:
        Study.open(name, url)
    assert str(refused.value).endswith(remedy)


def test_an_empty_storage_says_how_it_is_filled(url: str) -> None:
    with pytest.raises(RunError, match="It holds none yet; `search --storage URL`"):
        Study.open("mine", url)


def test_several_searches_share_a_storage(study: Study, url: str) -> None:
    other = Study.create("other", url, SPEC)
    finished(other, RECIPE, status=Status.FAILED)
    assert study.records() == []
    assert len(other.records()) == 1


@pytest.mark.parametrize(
    "storage",
    [
        "sqlite:////no/such/folder/study.db",
        "nonsense",
        "nosuchdatabase://host/db",
        "mysql://user:secret@localhost:1/db",
        "postgresql://user:secret@localhost:1/db",
        "redis://localhost:1",
    ],
)
def test_a_storage_that_cannot_be_reached_is_told_in_one_sentence_without_its_password(storage: str) -> None:
    for action in (lambda: Study.create("mine", storage, SPEC), lambda: Study.open("mine", storage)):
        with pytest.raises(EnvironmentProblem) as told:
            action()
        assert "the storage cannot be used" in str(told.value)
        assert "\n" not in str(told.value)
        assert "secret" not in str(told.value)


def test_a_file_that_is_no_database_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"no database at all, " * 100)
    with pytest.raises(EnvironmentProblem, match="not a database"):
        Study.open("mine", sqlite_url(tmp_path / "study.db"))


def test_the_database_survives_kill_9_by_its_write_ahead_log(study: Study, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
