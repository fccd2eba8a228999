"""What the tasks share that put each sample into one class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autocompress.tasks.base import Metric, Score
from autocompress.tasks.labels import accuracy_score, require_classes
from autocompress.tasks.pretrained import PretrainedTask

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.data.rows import Rows
    from autocompress.formats.base import Runner
    from autocompress.spec import ModelSpec


class Classification(PretrainedTask):
    """Accuracy of the most likely class."""

    metric = Metric(name="accuracy", higher_is_better=True)

    def check_rows(self, rows: Rows) -> None:
        """See `Task.check_rows`."""
        require_classes(rows)

    def run(self, model: ModelSpec, runner: Runner, inputs: Inputs) -> Any:
        """The logits, shape (1, n_classes)."""
        del model
        return runner.forward(inputs)["logits"]

    def score(self, model: ModelSpec, answer: Any, target: Any) -> Score:
        """See `accuracy_score`."""
        del model
        return accuracy_score(answer, target)
