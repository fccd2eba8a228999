"""What each sample counted towards each metric: kept per sample, so that models are compared on the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from autocompress.errors import DataError

if TYPE_CHECKING:
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec
    from autocompress.tasks.base import Sample, Score, Task

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outcomes:
    """Metric name to numerators and denominators, each of shape (n_samples,), in the samples' order."""

    by_metric: Mapping[str, tuple[Array, Array]]

    @classmethod
    def from_scores(cls, scores: Iterable[Score]) -> Outcomes:
        """Gather the scores of single samples; all must hold the same metrics."""
        rows = list(scores)
        names = tuple(rows[0]) if rows else ()
        if any(set(row) != set(names) for row in rows):
            raise ValueError("the samples were scored by different metrics")
        columns = {name: np.array([row[name] for row in rows], np.float64) for name in names}
        return cls({name: (pairs[:, 0], pairs[:, 1]) for name, pairs in columns.items()})

    def __len__(self) -> int:
        return len(next(iter(self.by_metric.values()))[0]) if self.by_metric else 0

    def at(self, indices: npt.NDArray[np.int64]) -> Outcomes:
        """Those of the samples at these places, in this order."""
        return Outcomes({name: (pair[0][indices], pair[1][indices]) for name, pair in self.by_metric.items()})

    def save(self, path: Path) -> None:
        """Write as ``.npz``."""
        arrays = {name: np.stack(pair) for name, pair in self.by_metric.items()}
        with path.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Outcomes:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            DataError: the file cannot be read as outcomes.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: np.asarray(stored[name], np.float64) for name in stored.files}
        except (OSError, ValueError, BadZipFile) as problem:
            raise DataError(f"not a file of outcomes: {problem}", where=str(path), remedy="Measure again.") from None
        if any(array.ndim != 2 or len(array) != 2 for array in arrays.values()):
            raise DataError("not a file of outcomes: wrong shape", where=str(path), remedy="Measure again.")
        return cls({name: (array[0], array[1]) for name, array in arrays.items()})


def evaluate(
    task: Task,
    model: ModelSpec,
    runner: Runner,
    samples: Sequence[Sample],
    progress: Callable[[int, int], None] | None = None,
    is_enough: Callable[[Score], bool] | None = None,
) -> Outcomes:
    """Run and score samples one at a time, in order; ``progress`` is told how many of how many are done.

    ``is_enough`` is told each score; once it says so, the samples that are left are not run.
    """
    scores = []
    for done, sample in enumerate(samples, 1):
        scores.append(task.score(model, task.run(model, runner, sample.inputs), sample.target))
        if progress:
            progress(done, len(samples))
        if is_enough is not None and is_enough(scores[-1]):
            break
    return Outcomes.from_scores(scores)
