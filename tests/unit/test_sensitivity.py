"""How much an output changes when a part of the model is altered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from tiny_models import bert
from torch import nn

from autocompress import sensitivity
from autocompress.errors import Unsupported
from autocompress.sensitivity import kept_sensitivities, sensitivities
from autocompress.stage_cache import StageCache


@contextmanager
def scaled(parameter: nn.Parameter, factor: float) -> Iterator[None]:
    parameter.data.mul_(factor)
    yield
    parameter.data.div_(factor)


def logits(module: nn.Module, ids: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module(input_ids=torch.from_numpy(ids)).logits.numpy()


def test_it_is_the_mean_divergence_of_the_classes() -> None:
    module = bert()
    rng = np.random.default_rng(0)
    calls = [rng.integers(5, 300, (1, length)) for length in (8, 8, 12)]
    weight = module.classifier.weight
    found = sensitivities(
        module,
        [{"input_ids": ids} for ids in calls],
        {"nothing": lambda: scaled(weight, 1.0), "twice": lambda: scaled(weight, 2.0)},
        "cpu",
    )
    divergences = []
    for ids in calls:
        before = softmax(logits(module, ids), axis=-1)
        with scaled(weight, 2.0):
            divergences.append(rel_entr(before, softmax(logits(module, ids), axis=-1)).sum())
    assert found["nothing"] == pytest.approx(0, abs=1e-7)
    assert found["twice"] == pytest.approx(np.mean(divergences), rel=1e-3)


@pytest.mark.parametrize(("largest_held_bytes", "times"), [(sensitivity.LARGEST_HELD_BYTES, 1), (1, 3)])
def test_each_alteration_is_made_once_unless_the_outputs_of_all_calls_are_too_large_to_hold(
    largest_held_bytes: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = bert()
    rng = np.random.default_rng(0)
    calls = [{"input_ids": rng.integers(5, 300, (1, length))} for length in (8, 10, 12)]
    weight = module.classifier.weight
    expected = sensitivities(module, calls, {"twice": lambda: scaled(weight, 2.0)}, "cpu")
    monkeypatch.setattr(sensitivity, "LARGEST_HELD_BYTES", largest_held_bytes)
    entered = []

    def counted() -> AbstractContextManager[None]:
        entered.append(1)
        return scaled(weight, 2.0)

    assert sensitivities(module, calls, {"twice": counted}, "cpu") == pytest.approx(expected, rel=1e-6)
    assert len(entered) == times


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, values: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"rounded": values.long(), "estimate": self.head(values)}


def test_of_other_outputs_it_is_the_relative_squared_error() -> None:
    module = Regression().eval()
    nn.init.zeros_(module.head.bias)
    calls = [{"values": np.ones((1, 4), np.float32)}]
    found = sensitivities(module, calls, {"half": lambda: scaled(module.head.weight, 0.5)}, "cpu")
    assert found["half"] == pytest.approx(0.25)


def test_without_data_nothing_can_be_measured() -> None:
    with pytest.raises(Unsupported, match="calibration data"):
        sensitivities(Regression(), [], {}, "cpu")


def test_what_was_measured_once_is_kept_for_all_until_the_model_the_calls_or_the_question_changes(
    tmp_path: Path,
) -> None:
    cache, module, asked = StageCache(tmp_path, 10**9), bert(), []
    calls = [{"input_ids": np.arange(5, 13)[None]}]

    def measured(question: str, calls: list[dict[str, np.ndarray]]) -> dict[str, float]:
        def measure() -> dict[str, float]:
            asked.append(question)
            return {"layer": float(len(asked))}

        return kept_sensitivities(module, calls, {"question": question}, cache, measure)

    assert [measured("int8", calls) for _ in range(3)] == [{"layer": 1.0}] * 3
    assert measured("4 bits", calls) == {"layer": 2.0}
    assert measured("int8", calls * 2) == {"layer": 3.0}
    module.classifier.weight.data[0, 0] += 1
    assert measured("int8", calls) == {"layer": 4.0}
