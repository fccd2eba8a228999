"""Disks that are full, and files that were damaged."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import TASK_FILE, CommandLine

ONE_STEP = ("--formats", "pytorch", "--methods", "fp16,bf16,int8_weight_only", "--max-quality-drop", "10pp")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 80 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80m", "none", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free; gives the file that takes them."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(65_536))
        except OSError:
            return filler


def test_a_search_is_not_begun_on_a_disk_without_room(cli: CommandLine, small_disk: Path) -> None:
    filler = fill(small_disk)
    runs = {"AUTOCOMPRESS_RUNS": str(small_disk / "runs")}
    told = cli.refuses("search", "--task-file", TASK_FILE, "--name", "full", code=3, **runs)
    assert "AUTOCOMPRESS_RUNS" in told
    filler.unlink()
    assert not (small_disk / "runs" / "full").exists()


def test_a_disk_that_fills_up_during_a_search_loses_nothing(cli: CommandLine, small_disk: Path) -> None:
    cli.runs = small_disk / "runs"
    cli.environment["AUTOCOMPRESS_RUNS"] = str(cli.runs)
    with cli.held_search("--trials", 4, *ONE_STEP) as (search, _):
        kept = [cli.record("held", number) for number in (0, 1)]
        filler = fill(small_disk)
        cli.release()
        out, err = search.communicate()
    assert search.returncode == 3, out + err
    assert "Traceback" not in err
    assert "Free disk space" in err
    filler.unlink()
    assert [cli.record("held", number) for number in (0, 1)] == kept
    cli("resume", "held")
    assert [cli.record("held", number) for number in (0, 1)] == kept
    completed = [row for row in cli("show", "held", "--json").json["trials"] if row["status"] == "complete"]
    assert len(completed) == 4


def test_a_full_cache_fails_the_trials_that_need_it_with_the_reason_and_no_others(
    cli: CommandLine, small_disk: Path
) -> None:
    fill(small_disk)
    cli.environment["AUTOCOMPRESS_CACHE"] = str(small_disk / "cache")
    cli.search("--name", "full", "--trials", 5, "--methods", "fp16", "--max-quality-drop", "10pp")
    records = [cli.record("full", row["trial"]) for row in cli("show", "full", "--json").json["trials"]]
    statuses = {(record["recipe"]["format"], record["status"]) for record in records}
    assert statuses == {("pytorch", "complete"), ("onnx", "failed"), ("openvino", "failed")}
    for record in records:
        if record["status"] == "failed":
            assert "the stage cache cannot be written" in record["error"]["message"]
            assert "AUTOCOMPRESS_CACHE" in record["error"]["remedy"]


def test_a_corrupted_cache_entry_is_built_again_with_an_equal_result(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    options = ("--trials", 2, "--formats", "onnx", "--methods", "int8_dynamic", "--max-quality-drop", "10pp")
    cli.search("--name", "first", *options)
    entries = [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.name != "manifest.json"]
    assert entries
    for file in entries:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    damaged = {file: file.read_bytes() for file in entries}
    cli.search("--name", "second", *options)
    first, second = ([cli.record(run, number)["artifact"] for number in (0, 1)] for run in ("first", "second"))
    assert first == second
    assert all(file.read_bytes() != content for file, content in damaged.items())
    cli.assert_nothing_runs()
