"""How much of an artifact is measured: all of a promising one, as little as can be of one that is surely of no use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autocompress.examination import FEWEST_SAMPLES
from autocompress.jobs import BuildJob, MeasureJob, PreparedAnswer, PrepareJob, TrialAnswer, TrialJob
from autocompress.limits import Figures
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.records import Measurement
from autocompress.search.preflight import workspace_of
from autocompress.spec import Constraints, SearchSpec
from autocompress.stages import Stages
from autocompress.stakes import Stakes
from autocompress.tasks.detection import find_task
from autocompress.trial import run_job

N_SEARCH = 180
TASK = """
import numpy as np
import torch

METRIC = "agreement"


def load_model(path):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))


def load_data():
    inputs = np.random.default_rng(0).normal(size=(400, 1, 64)).astype(np.float32)
    with torch.inference_mode():
        classes = load_model("")(torch.from_numpy(inputs)).argmax(-1)
    return [({"input": one}, int(label)) for one, label in zip(inputs, classes, strict=True)]


def score(logits, label):
    return bool(logits.argmax() == label)
"""


class Problem:
    """A network, its original's artifact and figures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "task.py").write_text(TASK)
        path = str(folder / "task.py")
        spec = SearchSpec.model_validate({"model": {"path": path, "task_file": path}})
        workspace = workspace_of(spec, find_task(spec.model), folder / "baseline")
        workspace = workspace.model_copy(update={"cache": folder / "cache"})
        answer = run_job(PrepareJob(workspace=workspace), Stages(lambda _: None))
        assert isinstance(answer, PreparedAnswer)
        self._common: dict[str, Any] = {"workspace": workspace, "prepared": answer.prepared}
        self._original: Path | None = None
        self.measured(Recipe(format="pytorch"), None)
        self._original = self._artifact(Recipe(format="pytorch"))

    def _artifact(self, recipe: Recipe) -> Path:
        return self.folder / recipe.digest[:8]

    def measured(self, recipe: Recipe, stakes: Stakes | None) -> Measurement:
        artifact = self._artifact(recipe)
        answer = run_job(
            TrialJob(
                build=BuildJob(recipe=recipe, artifact=artifact, **self._common),
                measure=MeasureJob(
                    format=recipe.format, artifact=artifact, original=self._original, stakes=stakes, **self._common
                ),
            ),
            Stages(lambda _: None),
        )
        assert isinstance(answer, TrialAnswer)
        return answer.measured.measurement


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return Problem(tmp_path_factory.mktemp("problem"))


def pruned(sparsity: float) -> Recipe:
    return Recipe(steps=steps_from_plain([{"magnitude": {"sparsity": sparsity}}]), format="pytorch")


def stakes(**limits: Any) -> Stakes:
    original = Figures(size_bytes=18_000, p50_ms=0.02)
    return Stakes(constraints=Constraints.model_validate(limits), original=original, original_quality=1.0, rivals=())


def test_a_candidate_that_surely_loses_too_much_is_judged_on_some_samples_and_not_weighed(problem: Problem) -> None:
    whole = problem.measured(pruned(0.9), None)
    found = problem.measured(pruned(0.9), stakes(quality_drop="1pp"))
    assert whole.quality is not None
    assert found.quality is not None
    assert whole.quality.n_samples == N_SEARCH
    assert FEWEST_SAMPLES <= found.quality.n_samples < N_SEARCH / 2
    assert found.quality.drop.low < whole.quality.drop.value < found.quality.drop.high
    assert found.cut_short == "the limit on quality is surely broken"
    assert found.ram is None
    assert found.latency is not None


def test_where_memory_is_limited_it_is_weighed_all_the_same(problem: Problem) -> None:
    found = problem.measured(pruned(0.9), stakes(quality_drop="1pp", ram="1GB"))
    assert found.cut_short is not None
    assert found.ram is not None


def test_memory_is_not_measured_where_no_limit_is_on_it(problem: Problem) -> None:
    found = problem.measured(pruned(0.1), stakes())
    assert (found.cut_short, found.ram) == (None, None)
    assert problem.measured(pruned(0.1), stakes(ram="1GB")).ram is not None
    assert problem.measured(pruned(0.1), None).ram is not None


def test_a_candidate_inside_the_limits_is_judged_on_every_sample_in_their_order(problem: Problem) -> None:
    whole = problem.measured(pruned(0.1), None)
    found = problem.measured(pruned(0.1), stakes(quality_drop="20pp"))
    assert found.cut_short is None
    assert found.quality == whole.quality


def test_a_candidate_that_is_too_large_shows_the_search_its_quality_and_no_more(problem: Problem) -> None:
    found = problem.measured(pruned(0.1), stakes(size="1kB"))
    assert found.cut_short == "the limit on size is broken"
    assert found.quality is not None
    assert found.quality.n_samples == FEWEST_SAMPLES
