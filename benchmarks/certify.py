"""How often "the smallest within one percentage point" is wrong on real answers, with a certificate and without.

Some forty recipes on a ladder of ever smaller sizes are built and judged on every sample of the search and the holdout
part together: that is the population, and the drop on it is the true one. Then searches are drawn from it: so many of
the recipes, and so many samples, with replacement, for a search part and a holdout part. The smallest recipe whose drop
on the search part is inside the limit is what a search without certificates hands out (*by the search part*). *Looked
at again*: the first of the five smallest such whose drop on the holdout is inside the limit as well. *Certified*: the
first of the five whose upper bound on the holdout is, as in `autocompress/measure/certify.py`; where none is, the
search says so (*observed only*). Wrong is what in truth breaks the limit. Size is over the original's, the median of
what is handed out; the last column is what it costs to ask for more than the search part: the size over that of the
choice by the search part, the geometric mean over the searches in which the way hands something out.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data. Outcomes are kept in the cache
(AUTOCOMPRESS_CACHE), so that one that was stopped goes on.

Run: python benchmarks/certify.py --write docs/benchmarks.md
     python benchmarks/certify.py --models fashion-resnet --searches 100
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent))

from intervals import told_share
from known_models import KnownModel, known_models, spec_of
from ledger import Ledger
from sections import command_line, print_section, this_machine, today

from autocompress.errors import AutocompressError, RecipeError
from autocompress.measure.certify import MOST_FINALISTS, certify
from autocompress.measure.outcomes import Outcomes
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.recipe_words import recipe_in_words
from autocompress.report.numbers import ratio
from autocompress.spec import QualityLimit
from autocompress.stage_cache import cache_root
from autocompress.tasks.base import Metric

SECTION = "## Certificates"
MODELS = ("minilm-sst2", "fashion-resnet")
FORMAT = "onnx"
MORE_SAMPLES: dict[str, dict[Literal["calibration", "search", "holdout"], int]] = {
    "fashion-resnet": {"calibration": 128, "search": 3000, "holdout": 4000},
    "fashion-vit-small": {"calibration": 128, "search": 3000, "holdout": 4000},
}
"""Where the specification takes fewer samples than there are."""
PARTS = ("500+1000", "1000+2000", "2000+5000")
TRIED = 24
NEAR = 0.5
"""What is so near the limit, as a share of it, can go either way."""

Array = npt.NDArray[np.float64]
Steps = list[dict[str, Any]]


def ladder() -> Iterator[Steps]:
    """Settings from mild to harsh, in fine steps where models begin to lose."""
    for bits in (3, 4, 8):
        for group_size in (32, 64, 128):
            yield [{"rtn": {"bits": bits, "group_size": group_size}}]
    for bits in (2, 3, 4):
        for group_size in (32, 64):
            yield [{"gptq": {"bits": bits, "group_size": group_size}}]
    for n_centroids in (3, 4, 5, 6, 7, 8, 10, 12, 16, 32):
        yield [{"kmeans": {"n_centroids": n_centroids}}]
    for percent in (20, 30, 40, 50, 60):
        yield [{"magnitude": {"sparsity": percent / 100}}]
    for percent in (95, 90, 85, 80, 75, 70, 60, 50):
        yield [{"ffn_width": {"keep": percent / 100}}, {"rtn": {"bits": 4, "group_size": 64}}]
    for percent in (95, 90, 80, 70, 60):
        yield [{"channels": {"keep": percent / 100}}, {"rtn": {"bits": 4, "group_size": 64}}]
    for mean_bits in (2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 3.75, 4.25):
        yield [{"rtn": {"effective_bits": mean_bits, "group_size": 64}}]


# The population ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A recipe with its size over the original's, and its outcomes on all samples."""

    words: str
    size: float
    outcomes: Outcomes


@dataclass(frozen=True)
class Population:
    """The candidates in order of size, smallest first, and the original's outcomes."""

    metric: Metric
    original: Outcomes
    candidates: tuple[Candidate, ...]

    @property
    def n_samples(self) -> int:
        """How many samples all were judged on."""
        return len(self.original)

    def excess(self, counts: Array, limit: QualityLimit) -> Array:
        """By how much each candidate's drop is beyond the limit, shape (n_candidates,).

        Args:
            counts: how often each sample was drawn, shape (n_samples,); ones give the truth.
            limit: relative to the original's value, or absolute.
        """
        name = self.metric.name
        outcomes = [self.original, *(candidate.outcomes for candidate in self.candidates)]
        sums = [np.array([one.by_metric[name][part] @ counts for one in outcomes]) for part in (0, 1)]
        values = np.exp(sums[0] / sums[1]) if self.metric.exponential else sums[0] / sums[1]
        drops = (values[0] - values[1:]) * (1 if self.metric.higher_is_better else -1)
        drops[~np.isfinite(drops)] = np.inf
        beyond: Array = drops / (values[0] if limit.relative else 1.0) - limit.bound
        return beyond


def gathered(model: str) -> tuple[Population, QualityLimit]:
    """Build and judge what was not yet, and read all of it."""
    spec = spec_of(model)
    if spec.data is not None and model in MORE_SAMPLES:
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"samples": MORE_SAMPLES[model]})})
    assert spec.constraints.quality_drop is not None
    with KnownModel(spec) as known:
        prepared = known.prepared
        about = f"{prepared.model_key} {sorted(prepared.data_keys.items())} {prepared.n_samples}"
        folder = cache_root() / "benchmark-certify" / f"{model}-{hashlib.sha256(about.encode()).hexdigest()[:8]}"
        ledger = Ledger(folder / "recipes.json")
        folder.mkdir(parents=True, exist_ok=True)
        recipes = [Recipe(steps=steps_from_plain(steps), format=FORMAT).canonical() for steps in ladder()]
        missing = [recipe for recipe in recipes if recipe.digest not in ledger.entries]
        if missing or "original" not in ledger.entries:
            _judge_original(known, folder, ledger)
        for recipe in missing:
            _judge(known, recipe, folder, ledger)
        candidates = [
            Candidate(entry["words"], entry["size_bytes"] / ledger.entries["original"], _outcomes(folder, digest))
            for recipe in recipes
            if (entry := ledger.entries.get(digest := recipe.digest)) and "size_bytes" in entry
        ]
        ordered = tuple(sorted(candidates, key=lambda candidate: candidate.size))
        return Population(known.metric, _outcomes(folder, "original"), ordered), spec.constraints.quality_drop


def _judge_original(known: KnownModel, folder: Path, ledger: Ledger) -> None:
    artifact, measured = known.original
    for part in ("search", "holdout"):
        path = folder / f"original-{part}.npz"
        known.judge("pytorch", artifact, part, outcomes=path, is_original=True)
    ledger.keep("original", measured.size_bytes)


def _judge(known: KnownModel, recipe: Recipe, folder: Path, ledger: Ledger) -> None:
    """Keep a recipe's outcomes, or why there are none."""
    reason = known.refusal(recipe)
    if reason is not None:
        ledger.keep(recipe.digest, {"reason": reason})
        return
    with tempfile.TemporaryDirectory(prefix="autocompress-certify-") as temporary:
        try:
            known.build(recipe, artifact := Path(temporary) / "artifact")
            for part in ("search", "holdout"):
                path = folder / f"{recipe.digest}-{part}.npz"
                measured = known.judge(recipe.format, artifact, part, outcomes=path)
        except RecipeError as refused:
            ledger.keep(recipe.digest, {"reason": str(refused)})
            return
        except AutocompressError as problem:  # not the recipe's fault: to be tried again
            print(f"{known.spec.name}: {recipe}: {problem}", file=sys.stderr)
            return
    ledger.keep(recipe.digest, {"words": recipe_in_words(recipe), "size_bytes": measured.size_bytes})
    drop = measured.quality.drop.value if measured.quality else float("nan")
    print(f"{known.spec.name}: {recipe}: drop {drop:+.4f} on the holdout", file=sys.stderr)


def _outcomes(folder: Path, name: str) -> Outcomes:
    """Of both parts, one after the other."""
    both = [Outcomes.load(folder / f"{name}-{part}.npz").by_metric for part in ("search", "holdout")]
    return Outcomes(
        {
            metric: (np.concatenate([one[metric][0] for one in both]), np.concatenate([one[metric][1] for one in both]))
            for metric in both[0]
        }
    )


# Searches ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """What one search hands out, as indices of the population's candidates; None: nothing."""

    by_search: int | None
    looked_at_again: int | None
    certified: int | None


def draw(
    population: Population,
    limit: QualityLimit,
    n_tried: int,
    n_search: int,
    n_holdout: int,
    chance: np.random.Generator,
) -> Drawn:
    """One search: recipes and samples by chance, then the three ways to choose."""
    n = population.n_samples
    tried = np.sort(chance.permutation(len(population.candidates))[:n_tried])
    beyond = population.excess(np.bincount(chance.integers(0, n, n_search), minlength=n).astype(float), limit)
    order = [int(index) for index in tried if beyond[index] <= 0][:MOST_FINALISTS]
    if not order:
        return Drawn(None, None, None)
    holdout = chance.integers(0, n, n_holdout)
    beyond = population.excess(np.bincount(holdout, minlength=n).astype(float), limit)
    original = population.original.at(holdout)
    return Drawn(
        order[0],
        next((index for index in order if beyond[index] <= 0), None),
        next(
            (
                index
                for index in order
                if beyond[index] <= 0  # else the upper bound is beyond the limit as well
                and is_certified(population, index, holdout, original, limit, len(order))
            ),
            None,
        ),
    )


def is_certified(
    population: Population,
    index: int,
    holdout: npt.NDArray[np.int64],
    original: Outcomes,
    limit: QualityLimit,
    n_finalists: int,
) -> bool:
    """Whether the candidate gets its certificate on the drawn holdout."""
    candidate = population.candidates[index].outcomes.at(holdout)
    return certify(population.metric, candidate, original, limit, n_finalists=n_finalists).certified


# Results -----------------------------------------------------------------------------------------------------------


def table(
    population: Population, limit: QualityLimit, parts: Sequence[tuple[int, int]], n_tried: int, n_searches: int
) -> Iterator[str]:
    """The ways to choose, for each pair of sizes of the parts."""
    wrong = population.excess(np.ones(population.n_samples), limit) > 0
    sizes = np.array([candidate.size for candidate in population.candidates])
    yield "| samples | way | hands something out | wrong, of all searches | wrong, of those | size | larger by |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for n_search, n_holdout in parts:
        chance = np.random.default_rng([n_search, n_holdout])
        drawn = [draw(population, limit, n_tried, n_search, n_holdout, chance) for _ in range(n_searches)]
        ways: Mapping[str, Sequence[int | None]] = {
            "by the search part": [one.by_search for one in drawn],
            "looked at again": [one.looked_at_again for one in drawn],
            "**certified**": [one.certified for one in drawn],
        }
        for name, chosen in ways.items():
            given = [index for index in chosen if index is not None]
            n_wrong = int(wrong[given].sum())
            size = ratio(float(np.median(sizes[given]))) if given else "–"
            told = f"{told_share(len(given), n_searches)} | {told_share(n_wrong, n_searches)}"
            larger = ratio(cost(sizes, ways["by the search part"], chosen))
            told += f" | {told_share(n_wrong, len(given))}"
            yield f"| {n_search:,} + {n_holdout:,} | {name} | {told} | {size} | {larger} |"


def cost(sizes: Array, plain: Sequence[int | None], chosen: Sequence[int | None]) -> float | None:
    """How much larger the chosen are than the plain choices of the same searches, as a geometric mean."""
    both = [
        (sizes[mine], sizes[its])
        for mine, its in zip(chosen, plain, strict=True)
        if mine is not None and its is not None
    ]
    return float(np.exp(np.mean([np.log(mine / its) for mine, its in both]))) if both else None


def about(population: Population, limit: QualityLimit) -> str:
    """What the candidates are like in truth."""
    beyond = population.excess(np.ones(population.n_samples), limit)
    keeping = int((beyond <= 0).sum())
    near = int((np.abs(beyond) <= NEAR * limit.bound).sum())
    smallest = next((c for c, e in zip(population.candidates, beyond, strict=True) if e <= 0), None)
    told = f"{len(beyond)} recipes on {population.n_samples:,} samples; in truth {keeping} are inside the limit of "
    told += f"{limit.written}, and {near} lie within {NEAR:.0%} of it."
    if smallest is not None:
        told += f" The smallest of those inside is {smallest.words} ({ratio(smallest.size)} the size)."
    return told


def report(models: Sequence[str], parts: Sequence[tuple[int, int]], n_tried: int, n_searches: int) -> Iterator[str]:
    """The section, line by line."""
    yield f"{SECTION}\n"
    yield f"`{command_line(sys.argv)}`, {today()}, {this_machine()}.\n"
    yield (__doc__ or "").partition("Needs ")[0].strip()
    yield f"\n{n_searches:,} searches of {n_tried} recipes each; 95 % intervals over searches in brackets."
    for model in models:
        population, limit = gathered(model)
        yield f"\n### {model}\n"
        yield about(population, limit) + "\n"
        yield from table(population, limit, parts, n_tried, n_searches)


def main() -> None:
    """Judge what is missing, draw the searches, print the tables, and write them into a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=known_models(), metavar="MODEL")
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--tried", type=int, default=TRIED, help="recipes of each search")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), metavar="SEARCH+HOLDOUT", help="numbers of samples")
    parser.add_argument("--write", type=Path, help="the Markdown file whose section is replaced")
    options = parser.parse_args()
    parts = [(int(search), int(holdout)) for search, _, holdout in (part.partition("+") for part in options.parts)]
    lines = report(options.models, parts, options.tried, options.searches)
    print_section(lines, SECTION, options.write)


if __name__ == "__main__":
    main()
