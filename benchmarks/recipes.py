"""What the recipes in recipes/ come to: applied, measured at length, judged on the search part and on the holdout.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data. Recipes that train take a quarter of an hour on an
idle core; their training is found in the stage cache the second time.

Run: python benchmarks/recipes.py
     python benchmarks/recipes.py fsdd-whisper-small-smallest
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from autocompress.recipe_file import RecipeFile, read_recipe
from autocompress.recipe_words import recipe_in_words
from autocompress.records import Estimate
from autocompress.report.numbers import interval, megabytes, milliseconds, ratio
from autocompress.search.apply import bench_for
from autocompress.search.bench import Bench
from autocompress.spec import DataSpec, ModelSpec

RECIPES = {
    path.stem: path
    for path in sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))
    if "\nsteps:" in path.read_text(encoding="utf-8")
}


def row(name: str) -> list[str]:
    """A recipe's cells."""
    document = read_recipe(RECIPES[name])
    assert document.data is not None
    data = DataSpec.model_validate(document.data.model_dump(exclude={"digests"}))
    judged_on_holdout = data.model_copy(update={"search": data.holdout, "holdout": data.search})
    with tempfile.TemporaryDirectory(prefix="autocompress-recipes-") as temporary:
        artifact = Path(temporary) / "artifact"
        with bench(document, data) as on_search:
            built = on_search.build(document.recipe, artifact)
            measured = on_search.measure(document.export.format, artifact)
            original = on_search.original[1]
        with bench(document, judged_on_holdout) as on_holdout:
            again = on_holdout.measure(document.export.format, artifact, figures=frozenset({"quality"}))
    latency, quality, holdout = measured.latency, measured.quality, again.quality
    assert latency is not None
    assert quality is not None
    assert holdout is not None
    assert original.size_bytes is not None
    return [
        f"`{name}`: {recipe_in_words(document.recipe)}, as {document.export.format}",
        megabytes(built.artifact.size_bytes),
        ratio(built.artifact.size_bytes / original.size_bytes),
        milliseconds(latency.p50_ms),
        f"{'~' if latency.contended else ''}{ratio(latency.speedup.value)} {_range(latency.speedup)}",
        megabytes(measured.ram.peak_bytes if measured.ram else None),
        quality.metric,
        f"{interval(quality.drop, points=True)} of {quality.n_samples}",
        f"{interval(holdout.drop, points=True)} of {holdout.n_samples}",
    ]


def bench(document: RecipeFile, data: DataSpec) -> Bench:
    """Where a recipe is built and measured, on one thread."""
    own = document.model
    model = ModelSpec(path=own.path, task=own.task, options=own.options)
    return bench_for(document, model, data, "cpu", 1, lambda _: None)


def _range(speedup: Estimate) -> str:
    return f"[{speedup.low:.2f}, {speedup.high:.2f}]"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=list(RECIPES), metavar="RECIPE", help=", ".join(RECIPES))
    given = parser.parse_args()
    os.chdir(os.environ["AUTOCOMPRESS_ASSETS"])
    print("| recipe | MB | size | ms | speed | RAM MB | metric | drop (search part) | drop (holdout) |")
    print("|---|---:|---:|---:|---:|---:|---|---|---|")
    for name in given.recipes:
        print("| " + " | ".join(row(name)) + " |", flush=True)


if __name__ == "__main__":
    main()
