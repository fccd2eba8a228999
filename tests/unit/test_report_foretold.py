"""How far what was foretold is from what was measured, in a sentence."""

from __future__ import annotations

from run_example import measurement, trial

from autocompress.facts import ModelFacts, TensorFact, WeightFact
from autocompress.report.foretold import foretold_in_words
from autocompress.size_forecast import SizeForecast

FACTS = ModelFacts(
    architecture="Toy",
    task="text-classification",
    n_parameters=1_000_100,
    weights=(WeightFact(name="layer.weight", kind="linear", out_features=1000, in_features=1000),),
    tensors=(TensorFact(name="norm.weight", shape=(100,)),),
)


def test_the_median_and_the_largest_error_of_the_size_are_told() -> None:
    records = [trial(0, [], "pytorch", measurement(size=1)), trial(1, ["fp16"], "pytorch", measurement(size=0.5))]
    forecast = SizeForecast(FACTS)
    off = []
    for factor, record in zip((1.0, 1.1), records, strict=True):
        assert record.measurement is not None
        size = round(forecast.of(record.recipe).n_bytes / factor)
        off.append(
            record.model_copy(update={"measurement": record.measurement.model_copy(update={"size_bytes": size})})
        )
    told = foretold_in_words(off, FACTS, "cpu")
    assert told is not None
    assert "over 2 trials: size off by 5.0 % (median), 10 % at most" in told


def test_nothing_is_told_of_a_run_that_knows_too_little_of_its_model() -> None:
    records = [trial(0, [], "pytorch", measurement(size=1))]
    assert foretold_in_words(records, FACTS.model_copy(update={"tensors": ()}), "cpu") is None
    assert foretold_in_words([], FACTS, "cpu") is None
