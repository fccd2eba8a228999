"""How far what is foretold of a recipe is from what comes out: every known-good recipe, and some of the sampler's.

Every known-good recipe of the formats at hand, and some by chance, are built on each model. The bytes of the files are
foretold from the shapes of the model alone, as `autocompress estimate` does. What is exact: weights in every encoding,
scales, zero points, codebooks, masks, floats beside them, headers. What is an expectation, and marked so: Huffman-coded
parts, zeros that rounding adds to pruned weights, which layers `keep_float` chooses, mean bits where each weight gets
its own, how many convolutions can lose channels. Nodes and names of graphs are rates per layer. With --measure, latency
and memory are measured too, and the middle of what is foretold of them is compared.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data.

Run: python benchmarks/estimates.py --write docs/benchmarks.md
     python benchmarks/estimates.py minilm-sst2 --sampled 0 --measure
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from known_models import known_models, spec_of
from sections import command_line, print_section, this_machine, today

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

N_SAMPLED = 10
NOTABLE = 0.02
SECTION = "## What is predicted before anything runs"
SEED = 0


@dataclass(frozen=True)
class Row:
    """One recipe: what was foretold, what came out."""

    recipe: Recipe
    is_known_good: bool
    foretold_bytes: float
    actual_bytes: int
    is_exact: bool
    ram_error: float | None
    latency_error: float | None

    @property
    def error(self) -> float:
        """By which share the size was foretold too large."""
        return self.foretold_bytes / self.actual_bytes - 1


def rows(model: str, n_sampled: int, *, measures: bool) -> list[Row]:
    """All rows of a model; recipes that turn out to be impossible are left out."""
    spec = spec_of(model)
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
            size_foretold = forecast.of(recipe)
            is_exact = size_foretold.error <= NOTABLE
            found.append(Row(recipe, is_known, size_foretold.n_bytes, size, is_exact, ram_error, latency_error))
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
    return f"{100 * median(values):.2f} | {100 * max(values):.1f}" if values else "– | –"


def report(models: Sequence[str], n_sampled: int, *, measures: bool) -> Iterator[str]:
    """The section, line by line."""
    yield f"{SECTION}\n"
    yield f"`{command_line(sys.argv)}`, {today()}, {this_machine()}.\n"
    yield (__doc__ or "").partition("\n\n")[2].partition("\n\nNeeds")[0]
    compared = ["known-good", "of these exact", "by chance", *(("RAM", "latency") if measures else ())]
    yield "\nHow far the bytes are off, in percent of the files' (median, largest):\n"
    yield "| model | recipes |" + "".join(f" {name}: median | largest |" for name in compared)
    yield "|---|---:|" + "---:|---:|" * len(compared)
    worst: list[str] = []
    for model in models:
        found = rows(model, n_sampled, measures=measures)
        known = [row for row in found if row.is_known_good]
        columns = [
            [abs(row.error) for row in known],
            [abs(row.error) for row in known if row.is_exact],
            [abs(row.error) for row in found if not row.is_known_good],
        ]
        if measures:
            columns.append([abs(row.ram_error) for row in found if row.ram_error is not None])
            columns.append([abs(row.latency_error) for row in found if row.latency_error is not None])
        yield f"| {model} | {len(found)} | " + " | ".join(map(_errors, columns)) + " |"
        worst += [
            f"| {model} | {recipe_in_words(row.recipe) or 'export only'} | {row.recipe.format} "
            f"| {'exact' if row.is_exact else 'expected'} "
            f"| {row.foretold_bytes / 1e6:.3f} | {row.actual_bytes / 1e6:.3f} | {100 * row.error:+.1f} |"
            for row in found
            if abs(row.error) > NOTABLE
        ]
    yield f"\nThose that are off by more than {NOTABLE:.0%}:\n"
    yield "| model | recipe | format | kind | foretold MB | MB | error % |\n|---|---|---|---|---:|---:|---:|"
    yield from worst


def main() -> None:
    """Print a table of models, and below it every recipe that is off by much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=known_models(), metavar="MODEL", help="of those in recipes/")
    parser.add_argument("--sampled", type=int, default=N_SAMPLED, help="recipes by chance")
    parser.add_argument("--measure", action="store_true", help="latency and memory, too")
    parser.add_argument("--write", type=Path, help="the Markdown file whose section is replaced")
    given = parser.parse_args()
    print_section(report(given.models, given.sampled, measures=given.measure), SECTION, given.write)


if __name__ == "__main__":
    main()
