"""What the benchmarks make of what they measured."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocompress.events import ModelRead, TrialFinished
from autocompress.jobs import PrepareJob, Workspace
from autocompress.measure.outcomes import Outcomes
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.records import StageTime, Status, TrialRecord
from autocompress.spec import ModelSpec, QualityLimit
from autocompress.tasks.base import Metric

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


def test_a_section_names_its_command_without_where_it_was_written() -> None:
    command_line = benchmark("sections").command_line
    given = ["/a/b/certify.py", "--models", "a b", "--keep", "/tmp/x", "--seeds", "3", "--write=docs/benchmarks.md"]
    assert command_line(given) == "python benchmarks/certify.py --models 'a b' --seeds 3"
    assert command_line(["certify.py", "--write", "docs/benchmarks.md"]) == "python benchmarks/certify.py"


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


class TestLatencyRepeats:
    def test_an_interval_is_held_against_the_median_of_the_other_looks(self) -> None:
        script = benchmark("latency_repeats")
        looks = [{"speedup": [s, s * 0.95, s * 1.05], "ms": 2.0, "contended": False} for s in (2.0, 2.02, 1.98, 2.5)]
        assert script.n_held(looks) == 3
        told = script.told("a model", looks)
        assert told.startswith("| a model | 4 | 2.00 | 2.01× | 11.2 % | 5.0 % | 75 % ")

    def test_looks_that_are_missing_are_left_out(self) -> None:
        script = benchmark("latency_repeats")
        row = {"speedup": [2.0, 1.9, 2.1], "ms": 2.0, "contended": False, "day": "2026-01-01", "machine": "a machine"}
        ledger = benchmark("ledger").Ledger(None)
        for look in range(2):
            ledger.keep(script.key("m", "as ONNX", look), row)
        lines = list(script.report(["m"], 5, ledger))
        assert [line.split(" |")[0] for line in lines if line.startswith("| m")] == ["| m, as ONNX"]
        assert "100 % [34, 100] of the intervals" in lines[-1]


def population(true_drops: list[float], n: int = 4000) -> Any:
    """Candidates, smallest first, that lose so much of an accuracy of 90 % and gain a hundredth elsewhere."""
    script = benchmark("certify")
    right = np.arange(n) < 0.9 * n
    rng = np.random.default_rng(0)
    candidates = []
    for index, drop in enumerate(true_drops):
        answers = right.copy()
        answers[rng.permutation(np.flatnonzero(right))[: round((drop + 0.01) * n)]] = False
        answers[rng.permutation(np.flatnonzero(~right))[: round(0.01 * n)]] = True
        candidates.append(script.Candidate(f"{index}", 0.1 + 0.01 * index, outcomes(answers)))
    metric = Metric(name="accuracy", higher_is_better=True)
    return script.Population(metric, outcomes(right), tuple(candidates))


def outcomes(right: np.ndarray) -> Outcomes:
    return Outcomes({"accuracy": (right.astype(float), np.ones(len(right)))})


class TestCertify:
    LIMIT = QualityLimit(bound=0.01, relative=False, written="1pp")

    def test_the_truth_is_the_drop_on_all_samples(self) -> None:
        beyond = population([0.03, 0.01, 0.0]).excess(np.ones(4000), self.LIMIT)
        assert beyond == pytest.approx([0.02, 0.0, -0.01])

    def test_a_relative_limit_is_one_of_the_originals_value(self) -> None:
        limit = QualityLimit(bound=0.02, relative=True, written="2%")
        assert population([0.018]).excess(np.ones(4000), limit) == pytest.approx([0.0])

    def test_a_harmless_recipe_is_handed_out_every_way(self) -> None:
        drawn = benchmark("certify").draw(population([0.3, 0.0]), self.LIMIT, 2, 2000, 20_000, np.random.default_rng(0))
        assert (drawn.by_search, drawn.looked_at_again, drawn.certified) == (1, 1, 1)

    def test_where_all_lose_too_much_nothing_is_handed_out(self) -> None:
        drawn = benchmark("certify").draw(population([0.3, 0.2]), self.LIMIT, 2, 2000, 2000, np.random.default_rng(0))
        assert (drawn.by_search, drawn.looked_at_again, drawn.certified) == (None, None, None)

    def test_only_the_recipes_that_a_search_tried_are_handed_out(self) -> None:
        script, some = benchmark("certify"), population([0.0] * 3)
        chance = np.random.default_rng(0)
        chosen = {script.draw(some, self.LIMIT, 1, 4000, 500, chance).by_search for _ in range(30)}
        assert chosen == {0, 1, 2}

    def test_certificates_are_wrong_less_often_than_looks(self) -> None:
        script, some = benchmark("certify"), population(list(np.linspace(0.03, 0.0, 20)))
        wrong = some.excess(np.ones(4000), self.LIMIT) > 0
        chance = np.random.default_rng(0)
        drawn = [script.draw(some, self.LIMIT, 20, 500, 2000, chance) for _ in range(20)]
        by_looks = np.mean([wrong[one.by_search] for one in drawn if one.by_search is not None])
        certified = [one.certified for one in drawn if one.certified is not None]
        assert by_looks > 0.4
        assert sum(wrong[certified]) <= 0.1 * len(drawn)

    def test_the_cost_is_that_of_searches_in_which_something_is_handed_out(self) -> None:
        cost, sizes = benchmark("certify").cost, np.array([0.1, 0.2, 0.4])
        assert cost(sizes, [0, 0, None], [1, None, None]) == pytest.approx(2.0)
        assert cost(sizes, [0, 0], [0, 2]) == pytest.approx(2.0)
        assert cost(sizes, [0], [None]) is None

    def test_the_ladder_is_of_recipes_that_exist_each_once(self) -> None:
        recipes = [Recipe(steps=steps_from_plain(steps), format="onnx") for steps in benchmark("certify").ladder()]
        assert len({recipe.canonical().digest for recipe in recipes}) == len(recipes) >= 40


class TestForetoldTrials:
    def test_order_counts_how_often_what_is_inside_is_thought_likelier(self) -> None:
        likelier = benchmark("foretold_trials").likelier
        inside = np.array([True, True, False, False])
        assert likelier(np.array([0.9, 0.8, 0.2, 0.1]), inside) == 1.0
        assert likelier(np.array([0.5, 0.5, 0.5, 0.5]), inside) == 0.5
        assert likelier(np.array([0.9, 0.1, 0.5, 0.2]), inside) == 0.5

    def test_a_loss_that_is_surely_below_the_limit_is_surely_inside(self) -> None:
        script = benchmark("foretold_trials")
        losses = script.Belief(np.log(np.array([0.001, 1.0]) + 0.01), np.array([0.1, 0.1]), shift=0.01)
        assert script.probability_inside(losses, 0.01) == pytest.approx([1.0, 0.0], abs=1e-6)


class TestSearchReal:
    def tried(self, seconds: float, bits: int, size: float, latency: float, excess: float = -1.0) -> Any:
        recipe = Recipe(steps=steps_from_plain([{"rtn": {"bits": bits}}]), format="onnx").model_dump(mode="json")
        return benchmark("search_real").Tried(seconds, recipe, "complete", size, latency, excess)

    def test_the_front_holds_what_is_inside_the_limit_and_undominated_each_recipe_once(self) -> None:
        front = benchmark("search_real").front
        good, worse, outside = self.tried(1, 4, -2, -1), self.tried(2, 8, -1, -1), self.tried(3, 2, -3, -3, 0.1)
        assert [row.digest for row in front([good, worse, outside, good])] == [good.digest]

    def test_the_volume_is_what_lies_between_the_front_and_the_original(self) -> None:
        volume = benchmark("search_real").volume
        assert volume([(-2.0, -1.0), (-1.0, -2.0)]) == pytest.approx(3.0)
        assert volume([]) == volume([(-3.0, 0.1)]) == 0.0  # smaller, but slower than the original

    def match(self) -> Any:
        script = benchmark("search_real")
        ours = [self.tried(10, 8, -1, -1), self.tried(40, 4, -2, -2)]
        theirs = [self.tried(15, 3, -1, -1), self.tried(50, 2, -9, -9)]
        judged = {
            row.digest: {"log_size": row.log_size, "log_latency": row.log_latency, "excess": row.excess}
            for row in (*ours, *theirs)
        }
        return script.Match("m", 1, {"ours": ours, "Optuna": theirs}, judged)

    def test_the_clock_stops_with_our_last_trial(self) -> None:
        match = self.match()
        assert match.seconds == 40
        assert [len(match.done("Optuna", cut)) for cut in benchmark("search_real").CUTS] == [0, 1, 1, 2, 2]

    def test_shares_are_of_what_both_reach_together(self) -> None:
        match = self.match()
        assert match.share(match.done("Optuna", "same trials")) == 1.0
        assert match.share(match.done("ours")) == pytest.approx(4 / 81)
        assert match.share(match.done("ours", "25 %")) == pytest.approx(1 / 81)
        assert match.time_to_match() == 0.25

    def test_a_trial_that_fails_in_its_process_is_told_from_one_that_gives_figures(self, tmp_path: Path) -> None:
        workspace = Workspace(
            model=ModelSpec(path=str(tmp_path / "gone")),
            data=None,
            task="text-classification",
            device="cpu",
            threads=1,
            seed=0,
            baseline=tmp_path / "baseline",
            cache=tmp_path / "cache",
            cache_cap_bytes=1,
        )
        with pytest.raises(RuntimeError, match="the trial failed"):
            benchmark("search_real").in_a_new_process(PrepareJob(workspace=workspace), tmp_path, timeout=120)
        assert "gone" in (tmp_path / "log.txt").read_text()

    def test_what_was_given_up_is_on_no_front(self) -> None:
        script = benchmark("search_real")
        assert script.front([replace(self.tried(1, 4, -2, -1), status=script.GIVEN_UP)]) == []

    def test_what_is_refused_beforehand_is_no_trial(self) -> None:
        script = benchmark("search_real")
        done = self.tried(1, 4, -1, -1)
        assert script.computed([script.Tried(0.5, done.recipe, "refused"), done]) == [done]

    def test_what_the_last_judgement_finds_outside_the_limit_counts_nothing(self) -> None:
        match = self.match()
        best = match.rows["ours"][1]
        match.judged[best.digest]["excess"] = 0.2
        assert match.judged_points(match.done("ours")) == []
