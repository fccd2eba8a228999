"""Children that answer, crash, hang, eat all memory and outlive nobody: with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from autocompress.jobs import (
    Answer,
    BuildJob,
    Failed,
    Measured,
    MeasureJob,
    PreparedAnswer,
    PrepareJob,
    StageBegan,
    StageEnded,
    TrialAnswer,
    TrialJob,
    Workspace,
)
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.search.launcher import Launcher, log_tail
from autocompress.search.preflight import workspace_of
from autocompress.spec import SearchSpec
from autocompress.tasks.detection import find_task

TASK_FILE = Path(__file__).with_name("hostile_task.py")
SECONDS_TO_DIE = 20
SECONDS_TO_START = 120

PARENT = """
import sys
from pathlib import Path
from autocompress.jobs import PrepareJob, Workspace
from autocompress.search.launcher import Launcher

if __name__ == "__main__":
    job = PrepareJob(workspace=Workspace.model_validate_json(sys.argv[1]))
    launcher = Launcher("cpu")
    try:
        launcher.run(job, log=Path(sys.argv[2]), timeout_seconds=600, memory_bytes=None, on_progress=lambda _: None)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """One warm process for all tests here; it has its environment, so this process gets its own back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        patch.setenv("OMP_NUM_THREADS", "1")
        launcher = Launcher("cpu")
        launcher.warm()
        yield launcher


def workspace(tmp_path: Path, trouble: str) -> Workspace:
    spec = SearchSpec.model_validate({"model": {"path": str(tmp_path / trouble), "task_file": str(TASK_FILE)}})
    return workspace_of(spec, find_task(spec.model), tmp_path / "baseline")


def ask(
    launcher: Launcher,
    job: Any,
    tmp_path: Path,
    seen: list[Any] | None = None,
    *,
    seconds: float = 120,
    memory_bytes: int | None = None,
) -> Answer:
    return launcher.run(
        job,
        log=tmp_path / "trial" / "log.txt",
        timeout_seconds=seconds,
        memory_bytes=memory_bytes,
        on_progress=(seen if seen is not None else []).append,
    )


def prepare(launcher: Launcher, tmp_path: Path, trouble: str = "none", **limits: Any) -> Answer:
    return ask(launcher, PrepareJob(workspace=workspace(tmp_path, trouble)), tmp_path, **limits)


def failed(answer: Answer, status: str) -> Failed:
    assert isinstance(answer, Failed), answer
    assert answer.status == status, answer
    return answer


def assert_gone(process_ids: list[int]) -> None:
    """None of the processes runs any more; one that nobody has buried yet counts as gone."""
    deadline = time.monotonic() + SECONDS_TO_DIE
    while alive := [pid for pid in process_ids if _is_running(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def process_ids_in(path: Path) -> list[int]:
    """What the hanging model wrote, once it has."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, "the child never started"
        time.sleep(0.05)
    return [int(number) for number in path.read_text().split()]


# Answers ------------------------------------------------------------------------------------------------------------


def test_a_child_prepares_builds_and_measures_and_tells_of_every_stage(launcher: Launcher, tmp_path: Path) -> None:
    seen: list[Any] = []
    shared = workspace(tmp_path, "talks")
    answer = ask(launcher, PrepareJob(workspace=shared), tmp_path, seen)
    assert isinstance(answer, PreparedAnswer)
    assert answer.prepared.facts.n_parameters == 10
    assert answer.prepared.metric == "agreement"
    assert [m.stage for m in seen if isinstance(m, StageBegan)] == ["load model", "read data"]
    assert [m.time.stage for m in seen if isinstance(m, StageEnded)] == ["load model", "read data"]
    assert "a library says hello" in log_tail(tmp_path / "trial" / "log.txt")

    original, artifact = tmp_path / "original", tmp_path / "artifact"
    figures = frozenset({"quality"})
    common: Any = {"workspace": shared, "prepared": answer.prepared}
    first = TrialJob(
        build=BuildJob(recipe=Recipe(format="pytorch"), artifact=original, **common),
        measure=MeasureJob(format="pytorch", artifact=original, original=None, figures=figures, **common),
    )
    assert isinstance(ask(launcher, first, tmp_path), TrialAnswer)
    recipe = Recipe(steps=steps_from_plain(["fp16"]), format="pytorch")
    second = TrialJob(
        build=BuildJob(recipe=recipe, artifact=artifact, **common),
        measure=MeasureJob(format="pytorch", artifact=artifact, original=original, figures=figures, **common),
    )
    trial = ask(launcher, second, tmp_path)
    assert isinstance(trial, TrialAnswer)
    assert [stage.stage for stage in trial.built.stages] == ["load model", "fp16", "export"]
    assert [stage.stage for stage in trial.measured.stages] == ["quality"]
    assert trial.built.artifact.size_bytes == trial.measured.measurement.size_bytes
    assert trial.measured.measurement.quality is not None
    again = ask(launcher, first.measure, tmp_path)
    assert isinstance(again, Measured)


# Failures -----------------------------------------------------------------------------------------------------------


def test_a_child_killed_midway_is_told_as_crashed_with_the_signal_and_its_last_words(
    launcher: Launcher, tmp_path: Path
) -> None:
    answer = failed(prepare(launcher, tmp_path, "killed"), "crashed")
    assert "SIGKILL" in answer.error.message
    assert answer.error.stage == "load model"
    assert answer.error.log_tail == "last words"
    assert answer.error.remedy


def test_a_child_that_hangs_is_ended_with_all_that_it_started(launcher: Launcher, tmp_path: Path) -> None:
    hung = workspace(tmp_path, "hangs")
    answer = failed(ask(launcher, PrepareJob(workspace=hung), tmp_path, seconds=4), "timed_out")
    assert_gone(process_ids_in(Path(hung.model.path)))
    assert "the stage load model was still running after" in answer.error.message
    assert answer.error.log_tail == "about to hang"


@pytest.mark.parametrize("trouble", ["eats", "eats numpy"])
def test_a_child_that_needs_too_much_memory_is_told_so(launcher: Launcher, tmp_path: Path, trouble: str) -> None:
    answer = failed(prepare(launcher, tmp_path, trouble, memory_bytes=3 * 10**9), "out_of_memory")
    assert answer.error.message == "the trial needed more memory than it may use"
    assert answer.error.stage == "load model"


def test_a_limit_below_what_the_libraries_take_is_told_as_out_of_memory(launcher: Launcher, tmp_path: Path) -> None:
    failed(prepare(launcher, tmp_path, memory_bytes=1_000_000), "out_of_memory")


def test_memory_without_end_is_not_asked_for_where_the_limit_suffices(launcher: Launcher, tmp_path: Path) -> None:
    assert isinstance(prepare(launcher, tmp_path, memory_bytes=8 * 10**9), PreparedAnswer)


def test_an_exception_is_told_in_one_line_and_its_traceback_kept_in_the_log(launcher: Launcher, tmp_path: Path) -> None:
    answer = failed(prepare(launcher, tmp_path, "raises"), "failed")
    assert "load_model raised LookupError: no such" in answer.error.message
    assert answer.exit_code == 2
    assert "Traceback" in (tmp_path / "trial" / "log.txt").read_text()


def test_a_child_that_leaves_by_itself_is_told_as_crashed(launcher: Launcher, tmp_path: Path) -> None:
    answer = failed(prepare(launcher, tmp_path, "exits"), "crashed")
    assert "exit code 7" in answer.error.message


def test_a_log_that_cannot_be_written_does_not_keep_the_child_from_its_work(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "trial").touch()
    assert isinstance(prepare(launcher, tmp_path), PreparedAnswer)


def test_one_failure_does_not_harm_the_next_job(launcher: Launcher, tmp_path: Path) -> None:
    failed(prepare(launcher, tmp_path, "killed"), "crashed")
    assert isinstance(prepare(launcher, tmp_path), PreparedAnswer)


# The parent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_search_is_ended(tmp_path: Path, ending: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    hung = workspace(tmp_path, "hangs")
    command = [sys.executable, str(script), hung.model_dump_json(), str(tmp_path / "log.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        try:
            started = process_ids_in(Path(hung.model.path))
            helpers = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
            parent.send_signal(ending)
            told, complaints = parent.communicate(timeout=60)
        finally:
            parent.kill()
    assert_gone([*started, *helpers])
    assert told == ("interrupted\n" if ending == signal.SIGINT else "")
    assert complaints == ""


def test_ctrl_c_while_the_libraries_are_being_imported_leaves_no_traceback(tmp_path: Path) -> None:
    """A terminal sends the signal to the whole group, helpers included."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    job = workspace(tmp_path, "hangs").model_dump_json()
    command = [sys.executable, str(script), job, str(tmp_path / "log.txt")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            while not any("torch" in file.path for child in _children(parent.pid) for file in _maps(child)):
                assert time.monotonic() < deadline, "the imports never began"
                time.sleep(0.05)
            os.killpg(parent.pid, signal.SIGINT)
            told, complaints = parent.communicate(timeout=60)
        finally:
            parent.kill()
    assert (told, complaints) == ("interrupted\n", "")


def _children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _maps(process: psutil.Process) -> list[Any]:
    try:
        return process.memory_maps()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
