"""The models that `recipes/` has specifications for, and a bench that keeps the outcome of every sample."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from autocompress import registry
from autocompress.jobs import Figure, Measured, MeasureJob
from autocompress.part_samples import load_inputs, timing_path
from autocompress.recipe import Recipe
from autocompress.records import Measurement
from autocompress.search.bench import Bench
from autocompress.space import recipe_refusal
from autocompress.spec import SearchSpec
from autocompress.spec_file import read_spec
from autocompress.tasks.base import Metric

RECIPES = Path(__file__).parent.parent / "recipes"


def known_models() -> list[str]:
    """Names of the specifications."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml") if "steps:" not in path.read_text(encoding="utf-8"))


def spec_of(model: str) -> SearchSpec:
    """A model's specification."""
    return read_spec(RECIPES / f"{model}.yaml")


class KnownModel(Bench):
    """A bench over one of these models, which also judges the holdout and gives what a call is."""

    def __init__(self, spec: SearchSpec) -> None:
        super().__init__(spec, on_progress=lambda _: None)
        self.spec = spec

    def __enter__(self) -> KnownModel:
        return self

    @property
    def metric(self) -> Metric:
        """What the model is judged by."""
        return self.task.metric_of(self.spec.model)

    @cached_property
    def timed_inputs(self) -> dict[str, npt.NDArray[np.generic]]:
        """The inputs of the one call that latency is measured on; written when the model is read, as by `build`."""
        return dict(load_inputs(timing_path(self._workspace)))

    def refusal(self, recipe: Recipe) -> str | None:
        """Why the recipe cannot be done on this model, or None."""
        formats = {recipe.format: registry.load("formats", recipe.format)()}
        return recipe_refusal(recipe, formats, self.prepared.facts, self.spec.device)

    def judge(
        self,
        format_name: str,
        artifact: Path,
        part: Literal["search", "holdout"],
        *,
        outcomes: Path | None = None,
        figures: frozenset[Figure] = frozenset({"quality"}),
        is_original: bool = False,
    ) -> Measurement:
        """Measure an artifact on a part of the data, and keep the outcomes of all its samples.

        The original is to be judged on a part before all others.
        """
        job = MeasureJob(
            workspace=self._workspace,
            prepared=self.prepared,
            format=format_name,
            artifact=artifact.absolute(),
            original=None if is_original else self.original[0].absolute(),
            part=part,
            figures=figures,
            outcomes=outcomes,
        )
        answer = self._ask(job)
        assert isinstance(answer, Measured)
        return answer.measurement
