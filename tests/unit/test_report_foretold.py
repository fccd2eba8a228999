"""What was foretold of a run's trials, beside what was measured."""

from __future__ import annotations

from typing import Any

from run_example import measurement, prepared, trial

from autocompress.facts import ModelFacts, TensorFact, WeightFact
from autocompress.jobs import MachineSpeed, Prepared
from autocompress.records import TrialRecord
from autocompress.report.foretold import Foreteller, errors_in_words, foreteller
from autocompress.size_forecast import SizeForecast

FACTS = ModelFacts(
    architecture="Toy",
    task="text-classification",
    n_parameters=1_000_100,
    weights=(WeightFact(name="layer.weight", kind="linear", out_features=1000, in_features=1000),),
    tensors=(TensorFact(name="norm.weight", shape=(100,)),),
)


def known(**changes: Any) -> Prepared:
    return prepared().model_copy(update={"facts": FACTS, **changes})


def smaller_than_foretold(record: TrialRecord, factor: float) -> TrialRecord:
    assert record.measurement is not None
    size = round(SizeForecast(FACTS).of(record.recipe).n_bytes / factor)
    return record.model_copy(update={"measurement": record.measurement.model_copy(update={"size_bytes": size})})


def test_the_median_and_the_largest_error_of_the_size_are_told() -> None:
    records = [trial(0, [], "pytorch", measurement(size=1)), trial(1, ["fp16"], "pytorch", measurement(size=0.5))]
    off = [smaller_than_foretold(record, factor) for record, factor in zip(records, (1.0, 1.1), strict=True)]
    told = errors_in_words(off, Foreteller(known(), "cpu"))
    assert told is not None
    assert "over 2 trials: size off by 5.0 % (median), 10 % at most" in told
    assert told.endswith("latency was not: the model's operations could not be counted without its data.")
    slow = errors_in_words(off, Foreteller(known(call_flops=2e6), "cpu"))
    assert slow is not None
    assert slow.endswith("latency was not: the run did not keep the machine's speed.")


def test_the_factor_by_which_the_latency_was_off_is_told() -> None:
    records = [trial(0, [], "pytorch", measurement(size=1)), trial(1, [], "onnx", measurement(size=1, speedup=4.0))]
    foretell = Foreteller(known(call_flops=2e6, speed=MachineSpeed(flops=1e9, bytes_read=1e12)), "cpu")
    figures = [foretell.of(record.recipe).latency_ms for record in records]
    assert all(figures)
    told = errors_in_words(records, foretell)
    assert told is not None
    assert "; latency by a factor of " in told
    of_trial = foretell.words(records[1])
    assert of_trial.startswith("Foretold before it ran: 4.01 MB (")
    assert " ms a call (" in of_trial


def test_nothing_is_told_of_a_run_that_knows_too_little_of_its_model() -> None:
    assert foreteller(None, "cpu") is None
    assert foreteller(known(facts=FACTS.model_copy(update={"tensors": ()})), "cpu") is None
    assert errors_in_words([], Foreteller(known(), "cpu")) is None
