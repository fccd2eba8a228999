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


class TestSections:
    def test_a_section_replaces_its_own_and_leaves_the_others(self) -> None:
        with_section = benchmark("sections").with_section
        text = with_section("", "## One", "## One\n\n1\n\n### Part\n\n2")
        text = with_section(text, "## Two", "## Two\n\n3")
        text = with_section(text, "## One", "## One\n\n4")
        assert text.startswith("# Benchmarks\n\nEach section")
        assert text.partition("## One")[2] == "\n\n4\n\n## Two\n\n3\n"

    def test_a_heading_that_begins_like_another_is_another(self) -> None:
        with_section = benchmark("sections").with_section
        text = with_section("## Searches on real models\n\n1\n", "## Searches", "## Searches\n\n2")
        assert text == "## Searches on real models\n\n1\n\n## Searches\n\n2\n"

    def test_writing_the_same_section_twice_changes_nothing(self) -> None:
        with_section = benchmark("sections").with_section
        once = with_section("", "## One", "## One\n\n1\n")
        assert with_section(once, "## One", "## One\n\n1\n") == once


class TestIntervals:
    def test_a_proportion_of_nothing_seen_is_still_uncertain(self) -> None:
        share, low, high = benchmark("intervals").proportion(0, 100)
        assert (share, low) == (0.0, 0.0)
        assert high == pytest.approx(0.0370, abs=1e-4)  # Wilson's, by any table

    def test_the_interval_of_a_percentile_holds_it(self) -> None:
        intervals = benchmark("intervals")
        value, low, high = intervals.interval(list(range(101)), intervals.percentile(0.95))
        assert value == 95
        assert low < 95 < high <= 100


def test_what_a_ledger_keeps_is_there_for_the_next(tmp_path: Path) -> None:
    ledger = benchmark("ledger").Ledger
    ledger(tmp_path / "new" / "ledger.json").keep("a", {"b": [1.5]})
    assert ledger(tmp_path / "new" / "ledger.json").entries == {"a": {"b": [1.5]}}


class TestLatencyAccuracy:
    def test_errors_are_shares_of_the_true_ratio(self) -> None:
        script = benchmark("latency_accuracy")
        row = {"truth": 2.0, "speedup": [1.9, 1.8, 2.1], "medians": 2.4, "contended": False}
        assert script.error(row, "speedup") == pytest.approx(0.05)
        assert script.error(row, "medians") == pytest.approx(0.2)
        assert script.covers(row)
        assert not script.covers(row | {"speedup": [1.9, 1.85, 1.95]})

    def test_one_is_timed_after_the_other_has_been(self) -> None:
        script = benchmark("latency_accuracy")
        slept: list[float] = []
        ratios = script.one_after_the_other(lambda: slept.append(1), lambda: slept.append(2), seconds=0.01)
        assert set(ratios) == set(script.RIVALS)
        assert slept == sorted(slept)  # one after the other
        assert slept.count(1) >= script.WARM_UPS + script.FEWEST_READINGS <= slept.count(2)

    def test_rows_are_told_apart_by_condition_and_protocol(self) -> None:
        script = benchmark("latency_accuracy")
        rows = [{"truth": 1.0, "speedup": [1 + e, 0.9, 1.1], "contended": c} for e, c in ((0.01, False), (0.3, True))]
        rows = [row | dict.fromkeys(script.RIVALS, 1.5) | {"seconds": 1.0} for row in rows]
        chosen = {("idle", "m", "equal", "short look"): rows, ("beside a load", "m", "equal", "short look"): []}
        lines = list(script.table({"short look": script.rows_of(chosen, "idle", "short look")}))
        assert lines[2].startswith("| **in turns, short look** | 2 | 1.0 | 15.5 %")
        assert lines[3].startswith("| those not contended | 1 | | 1.0 % | 1.0 % [1.0, 1.0] | 100 %")
        assert lines[4].startswith("| one after the other, medians | 2 | 1.0 | 50.0 %")
