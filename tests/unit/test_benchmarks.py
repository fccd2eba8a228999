"""What the benchmarks make of a run's events."""

from __future__ import annotations

import ast
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from autocompress.events import ModelRead, TrialFinished
from autocompress.recipe import Recipe
from autocompress.records import StageTime, Status, TrialRecord

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


def benchmark(name: str) -> Any:
    found = spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    sys.modules[name] = module  # where dataclasses look up what annotations name
    found.loader.exec_module(module)
    return module


def read(time: float) -> ModelRead:
    return ModelRead(
        seq=0,
        time=time,
        task="text-classification",
        architecture="Bert",
        n_parameters=1,
        metric="accuracy",
        metric_is_rate=True,
        higher_is_better=True,
        n_samples={},
    )


def finished(time: float, wall_seconds: float | None, **stages: float) -> TrialFinished:
    times = tuple(StageTime(stage=name.replace("_", " "), seconds=seconds) for name, seconds in stages.items())
    record = TrialRecord(
        number=0, recipe=Recipe(format="onnx"), status=Status.COMPLETE, stages=times, wall_seconds=wall_seconds
    )
    return TrialFinished(seq=0, time=time, record=record, labels=(), words=())


def test_overhead_is_what_no_stage_took_since_the_trial_before() -> None:
    overheads = benchmark("overhead").overheads
    events = [read(10.0), finished(13.5, 3.0, latency=2.0, quality=0.75), finished(15.0, 1.25, latency=1.0)]
    first, second = overheads(events)
    assert (first.inside_seconds, first.between_seconds, first.seconds) == (0.25, 0.5, 0.75)
    assert (second.inside_seconds, second.between_seconds) == (0.25, 0.25)


def test_keeping_a_result_in_the_cache_is_overhead() -> None:
    (trial,) = benchmark("overhead").overheads([read(0.0), finished(4.0, 4.0, kmeans=3.0, keep_in_cache=1.0)])
    assert trial.seconds == 1.0


def test_the_night_between_two_sessions_of_a_run_is_no_overhead() -> None:
    overheads = benchmark("overhead").overheads
    events = [read(0.0), finished(2.0, 2.0, latency=2.0), finished(3.0, None), read(9_000.0), finished(9_001.0, 1.0)]
    assert sum(trial.between_seconds for trial in overheads(events)) == 0.0


SCRIPTS = [path.stem for path in BENCHMARKS.glob("*.py") if "def main()" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_says_how_it_is_run(name: str) -> None:
    assert f"python benchmarks/{name}.py" in (
        ast.get_docstring(ast.parse((BENCHMARKS / f"{name}.py").read_text())) or ""
    )
