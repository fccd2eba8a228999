"""The run folder, its lock and its event log, with real processes and real torn files."""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_example import example_records

from autocompress.errors import RunError
from autocompress.event_log import EventLog, read_events, repair
from autocompress.events import Event, Heartbeat, Note, StageProgress, TrialFinished
from autocompress.records import Samples
from autocompress.runs import RunFolder, fresh_name

EXAMPLE = example_records()[2]
SPEC = "model: {path: m}\n"

HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from autocompress.runs import RunFolder
handle = RunFolder(Path(sys.argv[1])).lock()
print("locked", flush=True)
time.sleep(600)
"""


def made(name: str, root: Path) -> RunFolder:
    run = RunFolder.create(name, root)
    run.spec.write_text(SPEC)
    return run


# Names and folders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "", ".", "..", "a/b", "a\\b", "-x", ".x", "a\n", "x" * 101, "ä"])
def test_a_name_that_is_no_plain_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="is no run name"):
        RunFolder.create(name, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    made("mine", tmp_path)
    with pytest.raises(RunError) as refused:
        RunFolder.create("mine", tmp_path)
    assert "autocompress resume mine" in str(refused.value)
    assert "--name" in str(refused.value)


def test_a_run_is_opened_by_name_and_by_the_path_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made("mine", tmp_path / "runs")
    monkeypatch.chdir(run.path)
    for written in ("mine", str(run.path), ".", str(run.path / ".." / "mine")):
        found = RunFolder.open(written, tmp_path / "runs")
        assert (found.path.resolve(), found.name) == (run.path, "mine")


def test_a_run_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    made("mine", tmp_path)
    with pytest.raises(RunError, match="Known runs: mine"):
        RunFolder.open("yours", tmp_path)
    with pytest.raises(RunError, match="no runs here yet"):
        RunFolder.open("../yours", tmp_path / "elsewhere")


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old", "oldest")):
        run = made(name, tmp_path)
        os.utime(run.spec, (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "no-run").mkdir()
    assert [run.name for run in RunFolder.all(tmp_path)] == ["new", "old", "oldest"]


def test_a_fresh_name_is_plain_and_not_taken(tmp_path: Path) -> None:
    assert fresh_name("org/My model!", tmp_path) == "org-My-model"
    for expected in ("mine", "mine-2", "mine-3"):
        assert fresh_name("mine", tmp_path) == expected
        made(expected, tmp_path)


@given(st.text(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_model_is_called_a_run_can_be_named_after_it(tmp_path: Path, stem: str) -> None:
    run = RunFolder.create(fresh_name(stem, tmp_path), tmp_path)
    assert run.path.parent == tmp_path


# The lock -----------------------------------------------------------------------------------------------------------


def test_a_run_is_held_by_one_search_until_that_ends_even_by_kill_9(tmp_path: Path) -> None:
    run = made("mine", tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(run.path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            assert run.is_locked()
            with pytest.raises(RunError, match=f"process {holder.pid}"):
                run.lock()
        finally:
            holder.kill()
    assert not run.is_locked()
    run.lock().close()


def test_a_lock_that_was_given_back_can_be_had_again(tmp_path: Path) -> None:
    run = made("mine", tmp_path)
    with run.lock():
        assert run.is_locked()
    assert not run.is_locked()


def test_a_shorter_process_id_replaces_a_longer_one(tmp_path: Path) -> None:
    run = made("mine", tmp_path)
    (run.path / "lock").write_text("99999999999")
    with run.lock():
        assert (run.path / "lock").read_text() == str(os.getpid())


# The event log ------------------------------------------------------------------------------------------------------


def written_events(path: Path, count: int) -> list[Event]:
    log = EventLog(path)
    return [log.append(Note, text=f"zeile {number} ✓ \u2028") for number in range(count)]


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    events = [
        log.append(Note, text="both\nlines"),
        log.append(StageProgress, number=1, stage="export", done=1, total=2),
        log.append(Heartbeat),
    ]
    assert list(read_events(log.path)) == events
    assert [event.seq for event in events] == [0, 1, 2]


def test_a_log_that_is_not_there_holds_no_events(tmp_path: Path) -> None:
    assert list(read_events(tmp_path / "none.jsonl")) == []


@given(st.floats(0, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_wherever_a_crash_cuts_the_log_whole_events_stay_readable_and_it_goes_on(tmp_path: Path, share: float) -> None:
    path = tmp_path / "events.jsonl"
    path.unlink(missing_ok=True)
    events = written_events(path, 4)
    raw = path.read_bytes()
    cut = round(share * len(raw))
    path.write_bytes(raw[:cut])
    whole = raw[:cut].count(b"\n")
    assert list(read_events(path)) == events[:whole]
    added = EventLog(path).append(Heartbeat)
    assert list(read_events(path)) == [*events[:whole], added]
    assert added.seq == whole


def test_repair_cuts_off_the_torn_line_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a"')
    for _ in range(2):
        repair(path)
        assert path.read_bytes() == b'{"a": 1}\n'
    path.write_bytes(b'{"a"')
    repair(path)
    assert path.read_bytes() == b""


def test_a_foreign_line_is_passed_over_and_numbers_stay_unique(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first, second = written_events(path, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\xff\xfe rubbish\n".join(lines[:1]) + b'{"kind": "unheard of"}\n' + lines[1])
    assert list(read_events(path)) == [first, second]
    path.write_bytes(b"rubbish\n" + lines[1])
    third = EventLog(path).append(Heartbeat)
    assert third.seq > second.seq


@given(
    st.lists(st.sampled_from(["event", "rubbish", '{"seq": "7"}', "[1]", "", "long"]), max_size=6),
    st.integers(1_000, 50_000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_next_number_follows_the_last_event_whatever_stands_between(
    tmp_path: Path, lines: list[str], block: int
) -> None:
    path = tmp_path / "events.jsonl"
    path.unlink(missing_ok=True)
    expected = 0
    for line in lines:
        if line == "event":
            expected = EventLog(path).append(Heartbeat).seq + 1
        else:
            with path.open("a") as stream:
                stream.write((line if line != "long" else "x" * 40_000) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autocompress.event_log.BLOCK_BYTES", block)
        assert EventLog(path).append(Heartbeat).seq == expected


def test_a_trial_s_line_is_short_and_its_percentiles_stay(tmp_path: Path) -> None:
    latency = EXAMPLE.measurement and EXAMPLE.measurement.latency
    assert latency is not None
    readings = Samples(values=tuple(17.123456789 + math.sin(n) for n in range(256)), unit="ms", n_readings=900)
    latency = latency.model_copy(update={"candidate_ms": readings, "baseline_ms": readings})
    measurement = EXAMPLE.measurement.model_copy(update={"latency": latency})  # type: ignore[union-attr]
    record = EXAMPLE.model_copy(update={"measurement": measurement})
    log = EventLog(tmp_path / "events.jsonl")
    log.append(TrialFinished, record=record.slim(), labels=("int8-dynamic",), words=("int8 dynamic",))
    assert log.path.stat().st_size < 3_000
    (event,) = read_events(log.path)
    assert isinstance(event, TrialFinished)
    told = event.record.measurement and event.record.measurement.latency
    assert told is not None
    assert told.candidate_ms.n_readings == 900
    for share in range(0, 101, 5):
        assert told.candidate_ms.percentile(share / 100) == pytest.approx(readings.percentile(share / 100))


def test_a_log_that_cannot_be_written_says_so_and_does_not_stop_the_search(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    log.append(Heartbeat)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 10, before[1]))
    try:
        lost = log.append(Note, text="x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert log.lost == "File too large"
    found = log.append(Note, text="after")
    assert lost not in list(read_events(log.path))
    assert list(read_events(log.path))[-1] == found
