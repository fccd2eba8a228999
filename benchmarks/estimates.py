"""How far what is foretold of a recipe is from what comes out: every known-good recipe, and some of the sampler's.

Each recipe is built on each model. Its size is foretold from the shapes of the model alone, as `autocompress estimate`
does; *error* is by how many percent that is too large. With --measure, latency and memory are measured too, and the
middle of what is foretold of them is compared.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data.

Run: python benchmarks/estimates.py
     python benchmarks/estimates.py minilm-sst2 --sampled 0 --measure
"""

from __future__ import annotations

import argparse
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from autocompress import registry
from autocompress.errors import AutocompressError
from autocompress.recipe import Recipe
from autocompress.recipe_words import recipe_in_words
from autocompress.rough_figures import rough_ram_bytes
from autocompress.search.bench import Bench
from autocompress.search.estimate import estimate
from autocompress.search.preflight import available_formats
from autocompress.search.sampler.space import Space, options_of
from autocompress.size_forecast import SizeForecast
from autocompress.space import SearchSpace
from autocompress.spec_file import read_spec

RECIPES = Path(__file__).parent.parent / "recipes"
MODELS = (
    "books-llama-small",
    "cifar10-resnet20",
    "fashion-resnet",
    "fashion-vit-small",
    "fsdd-wav2vec2-ctc",
    "fsdd-whisper-small",
    "minilm-sst2",
)
N_SAMPLED = 10
SEED = 0


@dataclass(frozen=True)
class Row:
    """One recipe: what was foretold, what came out."""

    recipe: Recipe
    is_known_good: bool
    foretold_bytes: float
    actual_bytes: int
    ram_error: float | None
    latency_error: float | None

    @property
    def error(self) -> float:
        """By which share the size was foretold too large."""
        return self.foretold_bytes / self.actual_bytes - 1


def rows(model: str, n_sampled: int, *, measures: bool) -> list[Row]:
    """All rows of a model; recipes that turn out to be impossible are left out."""
    spec = read_spec(RECIPES / f"{model}.yaml")
    formats, _ = available_formats(spec.space.formats, spec.device)
    found = []
    with Bench(spec, lambda _: None) as bench, tempfile.TemporaryDirectory() as folder:
        facts = bench.prepared.facts
        methods = {name: kind for name, kind in registry.load_all("methods").items() if not kind.needs_training}
        space = SearchSpace(methods, formats, facts, spec.device, SEED)
        forecast = SizeForecast(facts)
        rough = {one.recipe.digest: one for one in estimate(spec).recipes} if measures else {}
        known_good = space.known_good()
        for number, recipe in enumerate([*known_good, *_sampled(space, n_sampled)]):
            artifact = Path(folder) / str(number)
            try:
                built = bench.build(recipe, artifact)
            except AutocompressError as problem:
                print(f"left out: {recipe}: {problem}", flush=True)
                continue
            ram_error = latency_error = None
            if measures:
                measured = bench.measure(recipe.format, artifact, precise=False)
                foretold = rough.get(recipe.digest)
                if measured.ram:
                    ram = rough_ram_bytes(recipe, facts, forecast.of(recipe).n_bytes, spec.device).middle
                    ram_error = ram / measured.ram.peak_bytes - 1
                if measured.latency and foretold and foretold.latency_ms:
                    latency_error = foretold.latency_ms.middle / measured.latency.p50_ms - 1
            size = sum(file.size_bytes for file in built.artifact.files)
            is_known = number < len(known_good)
            found.append(Row(recipe, is_known, forecast.of(recipe).n_bytes, size, ram_error, latency_error))
    return found


def _sampled(space: SearchSpace, count: int) -> list[Recipe]:
    """Valid recipes by chance."""
    generator = random.Random(SEED)
    asked = Space(propose=space.propose, refusal=space.refusal, key=lambda recipe: recipe.digest)
    found: dict[str, Recipe] = {}
    while len(found) < count:
        candidate = asked.candidate({}, lambda _, distribution: generator.choice(options_of(distribution)))
        if candidate.configuration.steps and space.refusal(candidate.configuration) is None:
            found[candidate.key] = candidate.configuration
    return list(found.values())


def _errors(values: list[float]) -> str:
    return f"{100 * median(values):.1f} | {100 * max(values):.1f}" if values else "– | –"


def main() -> None:
    """Print a table of models, and below it every recipe that is off by more than two percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL", help="of those in recipes/")
    parser.add_argument("--sampled", type=int, default=N_SAMPLED, help="recipes by chance")
    parser.add_argument("--measure", action="store_true", help="latency and memory, too")
    given = parser.parse_args()
    compared = ("known-good", "by chance", "RAM", "latency")
    print("| model |" + "".join(f" {name}: median % | largest % |" for name in compared) + "\n|---|" + "---:|" * 8)
    worst: list[str] = []
    for model in given.models:
        found = rows(model, given.sampled, measures=given.measure)
        known = [abs(row.error) for row in found if row.is_known_good]
        sampled = [abs(row.error) for row in found if not row.is_known_good]
        ram = [abs(row.ram_error) for row in found if row.ram_error is not None]
        latency = [abs(row.latency_error) for row in found if row.latency_error is not None]
        print(f"| {model} | " + " | ".join(map(_errors, (known, sampled, ram, latency))) + " |", flush=True)
        worst += [
            f"| {model} | {recipe_in_words(row.recipe) or 'export only'} | {row.recipe.format} "
            f"| {row.foretold_bytes / 1e6:.3f} | {row.actual_bytes / 1e6:.3f} | {100 * row.error:+.1f} |"
            for row in found
            if abs(row.error) > 0.02
        ]
    print("\n| model | recipe | format | foretold MB | MB | error % |\n|---|---|---|---:|---:|---:|")
    print("\n".join(worst))


if __name__ == "__main__":
    main()
