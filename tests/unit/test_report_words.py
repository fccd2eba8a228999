from __future__ import annotations

from dataclasses import replace

import pytest
from run_example import CONSTRAINTS, example_results, measurement, trial

from autocompress.records import TrialRecord
from autocompress.report.results import Results
from autocompress.report.words import (
    failure_in_words,
    infeasible_in_words,
    limits_in_words,
    quality_change,
    trial_in_words,
    violations_in_words,
    warnings_in_words,
)
from autocompress.spec import Constraints

RESULTS = example_results()


def test_a_trial_is_told_in_one_line() -> None:
    assert trial_in_words(RESULTS.records[3], RESULTS) == (
        "trial 3: 30 % magnitude pruning, then int8 dynamic, as onnx: "
        "0.254× the size, 5.49× as fast, accuracy −0.3 pp [−0.9, +0.3] on the search part"
    )


def test_what_was_not_measured_is_said() -> None:
    assert trial_in_words(RESULTS.records[10], RESULTS).endswith("speed not measured, quality not measured")


def test_a_metric_that_should_be_low_rises_when_it_gets_worse() -> None:
    quality = RESULTS.records[3].measurement.quality  # type: ignore[union-attr]
    assert quality is not None
    worse = quality.model_copy(update={"metric": "wer", "higher_is_better": False})
    assert quality_change(worse, RESULTS) == "wer +0.3 pp [−0.3, +0.9] on the search part"
    perplexity = worse.model_copy(update={"metric": "perplexity"})
    assert quality_change(perplexity, replace(RESULTS, metric_is_rate=False)).startswith("perplexity +0.00340 [")


@pytest.mark.parametrize(
    ("limits", "excess", "words"),
    [
        ({"size": "0.25x"}, {"size": 0.24}, "size 0.310× exceeds 0.25× by 24 %"),
        ({"size": "25MB"}, {"size": 0.127}, "size 28.2 MB exceeds 25 MB by 12 %"),
        ({"latency": "0.5x"}, {"latency": 0.6}, "latency 0.800× exceeds 0.5× by 60 %"),
        ({"latency": "10ms"}, {"latency": 0.41}, "latency 14.1 ms exceeds 10 ms by 41 %"),
        ({"quality_drop": "1pp"}, {"quality_drop": 0.4}, "quality drop 1.40 pp exceeds 1 pp by 40 %"),
        ({"quality_drop": "1%"}, {"quality_drop": 0.587}, "quality drop 1.59 % exceeds 1 % by 58 %"),
        ({"quality_drop": "0.01"}, {"quality_drop": 0.4}, "quality drop 0.0140 exceeds 0.01 by 40 %"),
        ({"vram": "2GB"}, {"vram": 1.0}, "VRAM was not measured, so the limit of 2 GB is not shown to be kept"),
    ],
)
def test_a_broken_limit_is_told_in_the_terms_it_was_written_in(
    limits: dict[str, str], excess: dict[str, float], words: str
) -> None:
    record = trial(1, ["rtn"], "onnx", measurement(size=0.31, speedup=1.25, drop=0.014), violations=excess)
    results = replace(RESULTS, constraints=Constraints.model_validate(limits))
    assert violations_in_words(record, results) == (words,)


def test_an_original_that_was_interrupted_and_tried_again_is_called_so_both_times() -> None:
    interrupted = RESULTS.baseline.model_copy(update={"number": 40, "status": "cancelled", "measurement": None})
    assert trial_in_words(interrupted, RESULTS).startswith("trial 40: original, as pytorch")


def test_limits_that_are_kept_are_not_told() -> None:
    assert violations_in_words(RESULTS.records[2], RESULTS) == ()
    assert limits_in_words(RESULTS.constraints) == ("quality drop ≤ 1 pp", "size ≤ 0.5×")


def test_without_a_feasible_trial_the_binding_limit_and_the_nearest_miss_are_told() -> None:
    misses = tuple(r for r in RESULTS.records if not r.feasible)
    told = infeasible_in_words(replace(RESULTS, records=misses, front=frozenset(), best=None))
    assert told[0].startswith(
        "No trial kept every limit; the binding one is quality drop ≤ 1 pp, which 2 of 5 measured"
    )
    assert told[0].endswith("recipes break (of 1 it is not known).")  # whose quality was not judged
    assert told[1].startswith("Near miss: trial 7: fp16, as onnx: ")
    assert told[1].endswith("size 0.502× exceeds 0.5× by 0.4 %.")


def test_a_run_in_which_nothing_was_measured_says_so() -> None:
    unmeasured = tuple(r for r in RESULTS.records if not r.measurement)
    (sentence,) = infeasible_in_words(replace(RESULTS, records=unmeasured, best=None))
    assert "none could be measured" in sentence


def test_a_run_that_tried_no_recipe_says_so() -> None:
    (sentence,) = infeasible_in_words(replace(RESULTS, records=(RESULTS.baseline,), best=None))
    assert "only the original was tried" in sentence


def warnings_of(*records: TrialRecord) -> str:
    original = RESULTS.records[0]
    return "\n".join(warnings_in_words(Results((original, *records), frozenset(), CONSTRAINTS, original)))


TWIN = trial(1, [], "onnx", measurement(size=1.0, speedup=2.0, ram=0.7))


def test_pruning_in_vain_is_explained() -> None:
    told = warnings_of(TWIN, trial(2, [{"magnitude": {"sparsity": 0.5}}], "onnx", measurement(size=1.0, speedup=2.0)))
    assert told.startswith("Trial 2: 50 % magnitude pruning made the model no smaller than trial 1 without it and no f")
    assert "dense" in told


def test_pruning_that_shrinks_the_file_but_not_the_time_is_told_apart() -> None:
    told = warnings_of(TWIN, trial(2, ["magnitude"], "onnx", measurement(size=0.7, speedup=2.0)))
    assert "no faster than trial 1 without it: the kernels are dense" in told
    assert "no smaller" not in told


def test_structured_pruning_in_vain_is_not_blamed_on_zeros_that_it_does_not_leave() -> None:
    told = warnings_of(TWIN, trial(2, ["ffn_width"], "onnx", measurement(size=0.9, speedup=2.0)))
    assert told.endswith("made the model no faster than trial 1 without it.")


def test_pruning_that_pays_needs_no_warning() -> None:
    assert not warnings_of(TWIN, trial(2, ["ffn_width"], "onnx", measurement(size=0.7, speedup=2.6)))


def test_int8_that_is_slower_than_float_names_its_kernel() -> None:
    slow = trial(2, ["int8_dynamic"], "onnx", measurement(size=0.3, speedup=0.6), kernel="int8 (ConvInteger)")
    told = warnings_of(TWIN, slow)
    assert "slower than trial 1 without it (0.600× against 2.00× the original's speed)" in told
    assert "int8 (ConvInteger)" in told


def test_three_percent_less_speed_is_not_worth_a_warning() -> None:
    assert not warnings_of(TWIN, trial(2, ["int8_dynamic"], "onnx", measurement(size=0.3, speedup=1.94)))


def test_ram_and_files_that_grew_are_told() -> None:
    told = warnings_of(trial(2, ["rtn"], "pytorch", measurement(size=1.2, ram=1.5), kernel="float32 after unpacking"))
    assert "takes 618 MB of RAM where the original takes 412 MB" in told
    assert "larger on disk than the original (109 MB against 90.9 MB)" in told
    assert "float32 after unpacking" in told


def test_a_busy_machine_is_told() -> None:
    told = warnings_of(trial(2, ["rtn"], "onnx", measurement(size=0.3, contended=True)))
    assert told == (
        "Trial 2 was timed while the machine was busy (load 3.20): its speed-up lies between 0.980× and 1.02×; "
        "measure again on a quiet machine."
    )


def test_a_failure_tells_cause_and_remedy() -> None:
    assert failure_in_words(RESULTS.records[9]) == (
        "Trial 9 (8-bit rtn, as onnx) ran out of memory during export: the export needed more than 2 GB. "
        "Raise --trial-memory."
    )
