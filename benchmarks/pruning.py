"""What zeros cost by each way of choosing them: the metric, the size and the time of pruning, without retraining.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data. Judged is PyTorch's artifact on the search part.

Run: python benchmarks/pruning.py
     python benchmarks/pruning.py minilm-sst2 --settings 50% 2:4 --samples 200
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from autocompress.jobs import Figure
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.report.numbers import megabytes, metric
from autocompress.search.bench import Bench
from autocompress.spec_file import read_spec

RECIPES = Path(__file__).parent.parent / "recipes"
MODELS = ("minilm-sst2", "books-llama-small")
METHODS = ("magnitude", "wanda", "sparsegpt")
SETTINGS: dict[str, dict[str, Any]] = {
    "30%": {"sparsity": 0.3},
    "50%": {"sparsity": 0.5},
    "70%": {"sparsity": 0.7},
    "2:4": {"pattern": "2:4"},
    "4:8": {"pattern": "4:8"},
}
AFTERWARDS: dict[str, list[Any]] = {"": [], " → rtn 4 bits": [{"rtn": {"bits": 4, "group_size": 64}}]}
FIGURES: frozenset[Figure] = frozenset({"quality"})


class Judge:
    """One model; builds and judges recipes."""

    def __init__(self, model: str, n_samples: int) -> None:
        spec = read_spec(RECIPES / f"{model}.yaml")
        assert spec.data is not None
        data = spec.data.model_copy(update={"samples": {**spec.data.samples, "search": n_samples}})
        self.bench = Bench(spec.model_copy(update={"data": data}), on_progress=lambda _: None)
        prepared = self.bench.prepared
        self.is_rate = prepared.metric_is_rate
        self.millions = sum(weight.n_elements for weight in prepared.facts.in_scope("layers")) / 1e6

    def row(self, steps: list[Any]) -> str:
        """Metric, drop, size, and seconds of the pruning step per million weights."""
        recipe = Recipe(steps=steps_from_plain(steps), format="pytorch")
        with tempfile.TemporaryDirectory(prefix="autocompress-pruning-") as folder:
            built = self.bench.build(recipe, Path(folder) / "artifact")
            found = self.bench.measure("pytorch", Path(folder) / "artifact", figures=FIGURES, precise=False)
        size = sum(file.size_bytes for file in built.artifact.files)
        assert found.quality is not None
        seconds = sum(stage.seconds for stage in built.stages if recipe.steps and stage.stage == recipe.steps[0].tag)
        cached = any(stage.cached for stage in built.stages)
        return f"{metric(found.quality.value, is_rate=self.is_rate):>8} {megabytes(size):>6} MB" + (
            f" {seconds / self.millions:7.2f} s per million weights" if seconds and not cached else ""
        )


def main() -> int:
    """Print a line per model, setting and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--samples", type=int, default=1000, help="at most so many samples are judged")
    options = parser.parse_args()
    for model in options.models:
        judge = Judge(model, options.samples)
        print(f"{model}\n  {'original':36} {judge.row([])}", flush=True)
        for setting in options.settings:
            for method in METHODS:
                for words, afterwards in AFTERWARDS.items():
                    steps = [{method: SETTINGS[setting]}, *afterwards]
                    print(f"  {f'{setting} {method}{words}':36} {judge.row(steps)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
