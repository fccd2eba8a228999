"""Memory in a fresh process: a real plug-in, found by its entry point, whose size is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autocompress.errors import StageTimedOut
from autocompress.measure.memory import MemoryProbeFailed, measure_memory
from autocompress.records import Memory
from autocompress.spec import ModelSpec

MEGABYTE = 10**6
PLUGIN = '''
import os, signal, sys, time
from pathlib import Path
import numpy as np

class Ballast:
    """Stands for a runtime: holds as many bytes as its file says, or fails as its file says."""
    imports = ("colorsys",)
    def load(self, folder, device, threads, model=None):
        assert "colorsys" in sys.modules, "the declared import comes before the load"
        word = (folder / "ballast.txt").read_text()
        if word == "hang": time.sleep(60)
        if word == "killed": os.kill(os.getpid(), signal.SIGKILL)
        if word == "short of memory": raise MemoryError
        if word == "broken": raise ValueError("the file is broken")
        return Runner(np.ones(int(word) // 8))

class Runner:
    def __init__(self, held):
        self.held = held
    def forward(self, inputs):
        return {"sum": np.ones(int(inputs["n_bytes"][0]) // 8).sum()}
    def synchronize(self):
        print("printing on stdout does no harm")

class Task:
    def timed_call(self, model, runner, inputs):
        assert model.path == "nowhere"
        runner.forward(inputs)
'''
ENTRY_POINTS = """[autocompress.formats]
ballast = ballast_plugin:Ballast
[autocompress.tasks]
ballast = ballast_plugin:Task
"""


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    about = site / "ballast_plugin-1.dist-info"
    about.mkdir(parents=True)
    (site / "ballast_plugin.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ballast-plugin\nVersion: 1\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(site))
    folder = tmp_path / "artifact"
    folder.mkdir()
    return folder


def measured(artifact: Path, ballast: str, n_bytes: int = 8, timeout_seconds: float = 60) -> Memory:
    (artifact / "ballast.txt").write_text(ballast)
    memory, vram = measure_memory(
        "ballast",
        artifact,
        task="ballast",
        model=ModelSpec(path="nowhere"),
        inputs={"n_bytes": np.array([n_bytes])},
        device="cpu",
        threads=1,
        timeout_seconds=timeout_seconds,
    )
    assert vram is None
    return memory


def test_the_peak_counts_what_the_model_holds_and_what_a_call_needs_for_a_while(artifact: Path) -> None:
    nothing = measured(artifact, "8")
    model = measured(artifact, str(100 * MEGABYTE))
    call = measured(artifact, str(100 * MEGABYTE), n_bytes=50 * MEGABYTE)
    assert model.peak_bytes - nothing.peak_bytes == pytest.approx(100 * MEGABYTE, rel=0.05)
    assert call.peak_bytes - model.peak_bytes == pytest.approx(50 * MEGABYTE, rel=0.1)
    assert call.imports_bytes == pytest.approx(nothing.imports_bytes, rel=0.05)


def test_the_size_of_the_process_that_asks_does_not_count(artifact: Path) -> None:
    before = measured(artifact, "8")
    large = np.ones(400 * MEGABYTE // 8)
    after = measured(artifact, "8")
    assert large.sum() > 0
    assert after.peak_bytes - before.peak_bytes < 20 * MEGABYTE


def test_nothing_heavy_is_imported_beside_the_runtime(artifact: Path) -> None:
    assert measured(artifact, "8").imports_bytes < 120 * MEGABYTE


def test_an_artifact_that_hangs_is_stopped(artifact: Path) -> None:
    with pytest.raises(StageTimedOut, match="more than 2 s"):
        measured(artifact, "hang", timeout_seconds=2)


@pytest.mark.parametrize("end", ["killed", "short of memory"])
def test_running_out_of_memory_is_told_as_that(artifact: Path, end: str) -> None:
    with pytest.raises(MemoryError, match="ran out of memory"):
        measured(artifact, end)


def test_a_failure_is_told_with_the_last_line_that_was_written(artifact: Path) -> None:
    with pytest.raises(MemoryProbeFailed, match="ended with status 1: ValueError: the file is broken"):
        measured(artifact, "broken")
