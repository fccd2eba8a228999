"""Losses against formulas, batches of any shapes, and a loop that an interruption doesn't change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from tiny_models import step_context
from torch import Tensor, nn

from autocompress.batches import as_tensors
from autocompress.compressible import Inputs, StepContext
from autocompress.errors import Unsupported
from autocompress.training import loop
from autocompress.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from autocompress.training.draws import LARGEST_PASS, MOST_VALIDATION_SAMPLES, Draws, split
from autocompress.training.loop import Problem, TrainedGroup, Training
from autocompress.training.losses import attention_error, relative_error, soft_targets
from autocompress.training.plan import TrainingPlan

RANDOM = np.random.default_rng(0)
N_FEATURES = 3
PLAN = TrainingPlan(steps=30, batch_size=8, seed=0)


def samples_of(*lengths: int) -> list[Inputs]:
    """One sequence of each length, and the mean of its first feature as target."""
    found: list[Inputs] = []
    for length in lengths:
        rows = RANDOM.normal(size=(1, length, N_FEATURES)).astype(np.float32)
        found.append({"rows": rows, "target": rows[:, :, 0].mean(axis=1) + 1})
    return found


SAMPLES = samples_of(*RANDOM.integers(2, 6, size=60).tolist())


class TestLosses:
    def test_soft_targets_are_the_divergence_from_the_teacher_times_the_square_of_the_temperature(self) -> None:
        student, teacher = RANDOM.normal(size=(2, 4, 5, 7))
        p, q = softmax(teacher / 3, axis=-1), log_softmax(student / 3, axis=-1)
        expected = 9 * (p * (np.log(p) - q)).sum(axis=-1).mean()
        found = soft_targets(torch.tensor(student), torch.tensor(teacher), 3.0)
        assert float(found) == pytest.approx(expected, rel=1e-5)

    def test_relative_error_is_one_for_a_student_of_zeros_and_does_not_depend_on_the_scale(self) -> None:
        student, teacher = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
        assert float(relative_error(torch.zeros_like(teacher), teacher)) == pytest.approx(1)
        expected = np.square(student - teacher).sum() / np.square(teacher).sum()
        assert float(relative_error(student, teacher)) == pytest.approx(float(expected))
        assert float(relative_error(student * 7, teacher * 7)) == pytest.approx(float(expected))

    def test_attention_error_is_the_divergence_of_each_query_from_the_teachers(self) -> None:
        student, teacher = softmax(RANDOM.normal(size=(2, 2, 4, 3, 6)), axis=-1)
        teacher[..., 0] = 0  # as a causal mask leaves it
        teacher /= teacher.sum(axis=-1, keepdims=True)
        kept = teacher[..., 1:]
        expected = (kept * np.log(kept / student[..., 1:])).sum(axis=-1).mean()
        assert float(attention_error(torch.tensor(student), torch.tensor(teacher))) == pytest.approx(expected, rel=1e-5)

    def test_attention_of_fewer_heads_is_compared_by_the_mean_over_heads(self) -> None:
        student, teacher = torch.rand(1, 2, 3, 3).softmax(-1), torch.rand(1, 4, 3, 3).softmax(-1)
        means = attention_error(student.mean(1, keepdim=True), teacher.mean(1, keepdim=True))
        assert float(attention_error(student, teacher)) == pytest.approx(float(means), rel=1e-5)


class TestPlan:
    def test_the_rate_rises_over_a_tenth_of_the_steps_and_falls_to_zero(self) -> None:
        for decay in ("linear", "cosine"):
            plan = TrainingPlan(steps=100, batch_size=1, seed=0, decay=decay)
            rates = [plan.rate(step) for step in range(101)]
            assert rates[:11] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1])
            assert rates[55] == pytest.approx(0.5)
            assert rates[100] == pytest.approx(0)
            assert rates[10:] == sorted(rates[10:], reverse=True)


class TestDraws:
    @given(st.integers(1, 70), st.integers(1, 20), st.integers(0, 3))
    def test_an_epoch_holds_every_sample_at_most_once_in_whole_batches(self, n: int, size: int, seed: int) -> None:
        samples = [{"x": np.full((1, 1 + number % 3), number)} for number in range(n)]
        draws = Draws(samples, size, seed)
        size = min(size, n)
        epoch = [draws.batch(step) for step in range(n // size)]
        drawn = [[int(row[0]) for call in batch for row in call["x"]] for batch in epoch]
        assert {len(batch) for batch in drawn} == {size}
        assert max(Counter(chain.from_iterable(drawn)).values()) == 1

    def test_a_step_draws_the_same_whichever_steps_came_before(self) -> None:
        forwards, alone = Draws(SAMPLES, 8, seed=1), Draws(SAMPLES, 8, seed=1)
        batches = [forwards.batch(step) for step in range(20)]
        for name, array in batches[17][0].items():
            assert np.array_equal(alone.batch(17)[0][name], array)

    def test_epochs_and_seeds_differ_in_order(self) -> None:
        draws = Draws(SAMPLES, 60, seed=0)
        first = [draws.batch(0)[0]["rows"].tobytes(), draws.batch(1)[0]["rows"].tobytes()]
        assert len({*first, Draws(SAMPLES, 60, seed=1).batch(0)[0]["rows"].tobytes()}) == 3

    def test_no_pass_is_larger_than_fits(self) -> None:
        draws = Draws(samples_of(*[4] * 100), 100, seed=0)
        assert max(len(call["rows"]) for call in draws.batch(0)) == LARGEST_PASS

    def test_a_tenth_of_the_samples_judges_and_never_more_than_a_few_hundred(self) -> None:
        assert [len(part) for part in split(SAMPLES)] == [54, 6]
        assert [len(part) for part in split(SAMPLES[:9])] == [9, 0]
        assert len(split(SAMPLES[:1] * 10**4)[1]) == MOST_VALIDATION_SAMPLES


class Regression:
    """Foretell the target of a sequence by the mean of a linear map over its rows."""

    def __init__(self) -> None:
        self.weight = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)

    def loss(self, inputs: dict[str, Tensor], values: dict[str, Tensor]) -> Tensor:
        foretold = (inputs["rows"] @ values.get("weight", self.weight)).mean(dim=1)
        return (foretold - inputs["target"]).square().mean()

    def problem(self, learning_rate: float = 0.05, values: Callable[[int], dict[str, Tensor]] | None = None) -> Problem:
        groups = [TrainedGroup({"weight": self.weight}, learning_rate, weight_decay=0.01)]
        return Problem(groups, self.loss, values) if values else Problem(groups, self.loss)

    def mean_loss(self, samples: list[Inputs]) -> float:
        with torch.no_grad():
            return float(np.mean([float(self.loss(as_tensors(sample, "cpu"), {})) for sample in samples]))


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    return step_context(nn.Linear(2, 2), tmp_path)


class TestTraining:
    def test_a_step_over_many_shapes_is_that_of_the_mean_over_all_samples(self, context: StepContext) -> None:
        samples = SAMPLES[:9]  # too few for some to judge
        trained, reference = Regression(), Regression()
        Training(trained.problem(), samples, TrainingPlan(steps=1, batch_size=9, seed=0), context).run()
        mean = sum(reference.loss(as_tensors(sample, "cpu"), {}) for sample in samples) / len(samples)
        mean.backward()
        torch.nn.utils.clip_grad_norm_([reference.weight], 1.0)
        torch.optim.AdamW([reference.weight], lr=0.05, weight_decay=0.01).step()
        assert torch.allclose(trained.weight, reference.weight, atol=1e-6)

    def test_gradients_flow_through_what_stands_in_for_a_parameter(self, context: StepContext) -> None:
        direct, through = Regression(), Regression()
        Training(direct.problem(), SAMPLES, PLAN, context).run()
        halves = through.problem(values=lambda step: {"weight": through.weight / 2 + through.weight / 2})
        Training(halves, SAMPLES, PLAN, context).run()
        assert torch.allclose(direct.weight, through.weight, atol=1e-6)
        assert direct.mean_loss(SAMPLES) < Regression().mean_loss(SAMPLES)

    def test_the_weights_that_judge_best_are_kept(self, context: StepContext) -> None:
        regression = Regression()
        result = Training(regression.problem(learning_rate=50.0), SAMPLES, PLAN, context).run()
        assert result.best_step == 0
        assert torch.equal(regression.weight, Regression().weight)

    def test_training_ends_when_looks_no_longer_get_better(
        self, context: StepContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loop, "EVALUATE_EVERY", 5)
        told: list[tuple[int, int]] = []
        listening = replace(context, progress=lambda done, total: told.append((done, total)))
        plan = replace(PLAN, steps=1000, patience=2)
        result = Training(Regression().problem(learning_rate=50.0), SAMPLES, plan, listening).run()
        assert result.steps == 10
        assert told[-1] == (1000, 1000)

    def test_what_came_before_the_judged_steps_is_never_kept(self, context: StepContext) -> None:
        regression = Regression()
        plan = replace(PLAN, judged_from=20)
        assert Training(regression.problem(learning_rate=50.0), SAMPLES, plan, context).run().best_step == 30

    def test_a_loss_that_is_not_finite_is_told(self, context: StepContext) -> None:
        regression = Regression()
        problem = replace(
            regression.problem(), loss=lambda inputs, values: regression.loss(inputs, values).log() * -1e40
        )
        with pytest.raises(Unsupported, match="no longer finite in training step 1; a smaller learning_rate"):
            Training(problem, SAMPLES, PLAN, context).run()


class TestInterruptions:
    @pytest.mark.parametrize("interrupted_at", [1, 7, 29])
    def test_going_on_gives_bit_for_bit_what_an_undisturbed_training_gives(
        self, context: StepContext, monkeypatch: pytest.MonkeyPatch, interrupted_at: int
    ) -> None:
        monkeypatch.setattr(loop, "EVALUATE_EVERY", 3)
        undisturbed, disturbed, resumed = Regression(), Regression(), Regression()
        expected = Training(undisturbed.problem(), SAMPLES, PLAN, context).run()
        monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)

        def stop(done: int, total: int) -> None:
            if done == interrupted_at + 1:  # the checkpoint of the step before is on disk
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Training(disturbed.problem(), SAMPLES, PLAN, replace(context, progress=stop)).run()
        told: list[int] = []
        going_on = replace(context, progress=lambda done, total: told.append(done))
        assert Training(resumed.problem(), SAMPLES, PLAN, going_on).run() == expected
        assert told[0] == interrupted_at + 1
        assert torch.equal(resumed.weight, undisturbed.weight)

    def test_a_damaged_checkpoint_is_none(self, tmp_path: Path) -> None:
        save_checkpoint(tmp_path, {"a": torch.arange(3)}, {"step": 4})
        found = load_checkpoint(tmp_path)
        assert found is not None
        assert found[0]["a"].tolist() == [0, 1, 2]
        assert found[1] == {"step": 4}
        whole = (tmp_path / CHECKPOINT).read_bytes()
        (tmp_path / CHECKPOINT).write_bytes(whole[:-5])
        assert load_checkpoint(tmp_path) is None
        assert load_checkpoint(tmp_path / "nowhere") is None
