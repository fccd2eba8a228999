"""Differences between recipes in words, the nearest one on the front, ties, and headroom."""

from __future__ import annotations

from typing import Any

import pytest

from autocompress.limits import parse_bound
from autocompress.tui.model.differences import difference_in_words, n_differences, nearest_on_front
from autocompress.tui.model.figure_rows import figure_rows
from autocompress.tui.model.headroom import headrooms
from autocompress.tui.model.run_state import Metric
from autocompress.tui.model.ties import exact, marks, ties_in_words
from autocompress.tui.model.trial import Interval, Trial


def trial(number: int, *labels: str, runtime: str = "onnx", **figures: Any) -> Trial:
    return Trial(number, "complete", "sampler", runtime, labels, labels, **figures)


@pytest.mark.parametrize(
    ("mine", "other", "words"),
    [
        (("int8-static",), ("gptq 4",), "as #31, but int8-static instead of gptq 4"),
        (("gptq 3",), ("gptq 4",), "as #31, but gptq 3 instead of 4"),
        (("magnitude 30%", "gptq 4"), ("gptq 4",), "as #31, but with magnitude 30%"),
        (("gptq 4",), ("ffn 75%", "gptq 4"), "as #31, but without ffn 75%"),
        (("ffn 50%", "rtn 4"), ("ffn 75%", "gptq 4"), "as #31, but ffn 50% instead of 75%, rtn 4 instead of gptq 4"),
        (("kmeans 16", "ffn 75%"), ("ffn 75%", "kmeans 16"), "as #31, but with the steps in another order"),
        (("kmeans 16 attention",), ("kmeans 16",), "as #31, but kmeans 16 attention instead of kmeans 16"),
        (("gptq 4",), ("gptq 4",), "the same recipe as #31"),
        ((), (), "the same recipe as #31"),
    ],
)
def test_a_recipe_is_told_by_what_sets_it_apart(mine: tuple[str, ...], other: tuple[str, ...], words: str) -> None:
    assert difference_in_words(trial(40, *mine), trial(31, *other)) == words


def test_another_format_is_told_last() -> None:
    told = difference_in_words(trial(40, "rtn 4", runtime="openvino"), trial(31, "gptq 4"))
    assert told == "as #31, but rtn 4 instead of gptq 4, in openvino instead of onnx"


def test_the_original_is_called_so() -> None:
    original = Trial(0, "complete", "baseline", "pytorch", (), ())
    assert difference_in_words(trial(3, "gptq 4", runtime="pytorch"), original) == "as the original, but with gptq 4"


def test_knobs_that_labels_leave_out_are_told_where_the_recipes_are_known() -> None:
    mine = {"steps": [{"rtn": {"bits": 4, "group_size": 32, "symmetric": False}}], "format": "onnx", "seed": 0}
    other = {"steps": [{"rtn": {"bits": 4, "group_size": 64}}], "format": "onnx", "seed": 0}
    told = difference_in_words(trial(40, "rtn 4"), trial(31, "rtn 4"), mine, other)
    assert told == "as #31, but rtn 4 with group size 32 instead of 64 and symmetric off instead of its default"
    seeded = difference_in_words(trial(40, "rtn 4"), trial(31, "rtn 4"), other | {"seed": 3}, other)
    assert seeded == "as #31, but with seed 3 instead of 0"


def test_the_nearest_has_the_fewest_other_steps_then_the_nearest_figures() -> None:
    def measured(number: int, *labels: str, size: float) -> Trial:
        one = Interval(1.0, 0.9, 1.1)
        return trial(number, *labels, size_bytes=size, speedup=one, drop=Interval(0.0, 0.0, 0.0))

    trials = {
        t.number: t
        for t in (
            measured(1, "ffn 75%", "gptq 4", size=100),
            measured(2, "ffn 50%", "rtn 4", size=10),
            measured(3, "rtn 4", size=90),
            measured(4, "rtn 3", size=11),
            measured(5, "gptq 4", size=10),
        )
    }
    nearest = nearest_on_front(trials[5], trials, {1, 2, 3, 4, 5})
    assert nearest is not None
    assert nearest.number == 4, "one step each way for 1, 3 and 4; 4 is nearest in size"
    assert n_differences(trials[5], trials[2]) == 2
    assert nearest_on_front(trials[5], trials, {5}) is None
    assert nearest_on_front(trials[5], trials, ()) is None


def test_the_best_is_marked_only_where_its_interval_separates_it() -> None:
    near = [Interval(2.0, 1.8, 2.2), Interval(2.1, 1.9, 2.3), Interval(1.0, 0.9, 1.1), None]
    assert marks(near, smaller_is_better=False) == ["tie", "tie", None, None]
    assert marks(near, smaller_is_better=True) == [None, None, "best", None]
    assert marks([exact(3), exact(3), exact(4)], smaller_is_better=True) == ["tie", "tie", None]
    assert marks([exact(3), None], smaller_is_better=True) == [None, None]


def test_ties_are_said_for_speed_and_quality() -> None:
    left = trial(12, speedup=Interval(2, 1.8, 2.2), drop=Interval(0.01, 0.0, 0.02))
    right = trial(31, speedup=Interval(2.1, 1.9, 2.3), drop=Interval(0.05, 0.04, 0.06))
    assert ties_in_words(left, right) == ["speed of #12 and #31 cannot be told apart: their intervals overlap"]
    assert ties_in_words(left, trial(32)) == []


def test_headroom_says_how_much_of_a_limit_is_left_and_where_the_interval_leaves_it_open() -> None:
    original = trial(0, size_bytes=100, p50_ms=10.0)
    measured = trial(
        7,
        size_bytes=15,
        p50_ms=4.0,
        speedup=Interval(2.5, 1.9, 2.6),
        drop=Interval(0.02, 0.015, 0.025),
        ram_bytes=None,
    )
    written = {"size": "0.3x", "latency": "0.5x", "quality_drop": "1pp", "ram": "100MB"}
    limits = {name: parse_bound(name, text) for name, text in written.items()}
    size, latency, drop, ram = headrooms(limits, measured, original)
    assert (size.verdict, size.in_words, size.used_interval) == ("kept", "50 % left", None)
    assert (latency.verdict, latency.in_words) == ("unsure", "20 % left, unsure")
    assert (drop.verdict, drop.in_words) == ("broken", "over by 100 %")
    assert (ram.verdict, ram.used) == ("not measured", None)


def test_what_was_not_measured_is_a_dash_and_what_was_has_its_interval() -> None:
    empty = figure_rows(trial(1), Metric("accuracy", True, True), with_energy=True)
    assert {row.text for row in empty} == {"–"}
    assert not any(row.is_measured for row in empty)
    rows = {
        row.name: row
        for row in figure_rows(
            trial(1, speedup=Interval(2.5, 1.9, 2.6), contended=True, drop=Interval(0.02, -0.01, 0.025)),
            Metric("accuracy", True, True),
            with_energy=False,
        )
    }
    assert "energy J" not in rows
    assert (rows["speed vs original"].text, rows["speed vs original"].interval) == ("~2.50×", "[1.90, 2.60]")
    assert (rows["accuracy change"].text, rows["accuracy change"].interval) == ("−2.0 pp", "[−2.5, +1.0]")
