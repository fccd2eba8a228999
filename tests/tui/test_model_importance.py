"""What matters: shares of the spread that choices explain."""

from __future__ import annotations

import random

import pytest

from autocompress.tui.model.importance import FEWEST_TRIALS, explained, importances
from autocompress.tui.model.trial import Interval, Trial


def trials(n: int) -> list[Trial]:
    """The format decides the latency, pruning the drop; the size is noise."""
    dice = random.Random(0)
    made = []
    for number in range(n):
        form, keep = dice.choice(["onnx", "pytorch"]), dice.choice([None, "50%", "90%"])
        drop = {None: 0.0, "50%": 0.05, "90%": 0.01}[keep] + dice.gauss(0, 0.001)
        labels = (() if keep is None else (f"ffn {keep}",)) + (("noise",) if dice.random() < 0.5 else ())
        speed = (2.0 if form == "onnx" else 1.0) * (1 + dice.gauss(0, 0.01))
        trial = Trial(number, "complete", "sampler", form, labels, labels)
        trial.size_bytes = 1e6 * (1 + 0.1 * dice.random())
        trial.speedup, trial.drop = Interval(speed, speed, speed), Interval(drop, drop, drop)
        made.append(trial)
    return made


def test_each_figure_is_explained_by_what_decided_it() -> None:
    found = {each.choice: each for each in importances(trials(200))}
    assert found["format"].latency > 0.95
    assert found["ffn"].drop > 0.95
    assert found["noise"].overall < 0.05
    assert found["format"].size < 0.05


def test_a_long_run_is_sampled_and_says_the_same() -> None:
    few, many = ({e.choice: e for e in importances(trials(n))} for n in (900, 5000))
    assert many["ffn"].drop == pytest.approx(few["ffn"].drop, abs=0.05)


def test_too_few_trials_tell_nothing() -> None:
    assert importances(trials(FEWEST_TRIALS - 1)) == []


def test_one_value_explains_nothing_and_equal_figures_need_no_explanation() -> None:
    assert explained(["a"] * 10, list(range(10))) == 0
    assert explained(["a", "b"] * 5, [1.0] * 10) == 0
