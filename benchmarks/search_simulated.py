"""How many trials and how much time searches need, on models that do not exist: the sampler against its rivals.

A strategy is judged by the hypervolume (log size, log latency, loss of quality) of those of its trials that keep the
limit in truth, as a share of what all recipes reach. All strategies see the same noise for the same recipe and seed,
all have the cache of stages, and none pays for what is refused or was tried before. Differences are paired by seed;
intervals are 95 %, by bootstrap over seeds. Right priors: recipes that people recommend, the size by arithmetic to two
per cent, and the loss by one rule of thumb for all models. Wrong priors: the known recipes fail or break the limit,
and sizes and losses are predicted upside down. With them, ours is held against the known recipes and TPE that start
from the same wrong recipes; those with the right ones, which are told as well, know more, and lead at first. The models
are those of `simulated_models.py`. Most of the sampler's constants were settled on the first two; when it stops, and
that its models propose to the end, with a look at all four.

Run: python benchmarks/search_simulated.py --seeds 20 --write docs/benchmarks.md
     python benchmarks/search_simulated.py --seeds 3 --models "developed on"
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import optuna

sys.path.insert(0, str(Path(__file__).parent))

from intervals import interval
from sections import command_line, print_section, this_machine, today
from simulated_models import (
    KNOWN_GOOD,
    LIMIT,
    MODELS,
    PHASES,
    REFERENCE,
    Recipe,
    SimulatedModel,
    ask,
    every_recipe,
    refusal,
)

from autocompress.search.sampler import Figure, RecipeSampler, Space, Stage, StopWhenSpent, in_turn
from autocompress.search.sampler.hypervolume import hypervolume

TRIALS = 80
MOST_TRIALS = 120
"""A strategy of cheap trials may do so many in the minutes that are looked at."""
LONG_TRIALS = 200
"""With right priors ours goes on to so many, to see when it would have stopped by itself."""
LOOKS = (20, 40, 80)
MINUTES = (20, 40, 80)
WORST = (2.0, 3.0, 1.0)
REFUSED_TRIES = 50
FIGURES = (Figure("size"), Figure("latency"), Figure("drop", shift=LIMIT, cap=4 * LIMIT))
SECTION = "## Simulated searches"


@dataclass
class Run:
    """One strategy on one model with one seed: what it tried, and what that took."""

    model: SimulatedModel
    seed: int
    recipes: list[Recipe] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    spent_after: int | None = None
    """The trial after which a strategy would have stopped by itself."""
    least_trials: int = TRIALS

    @property
    def is_over(self) -> bool:
        """Whether all that is looked at has been done."""
        done, least = len(self.recipes), self.least_trials
        return done >= max(least, MOST_TRIALS) or (done >= least and sum(self.seconds) >= 60 * MINUTES[-1])

    def measure(self, one: Recipe) -> tuple[tuple[float, ...] | None, dict[str, float], str | None]:
        """Figures with noise, seconds of the stages that were run, and the error of a trial that failed."""
        stages = self.model.seconds(one)
        contents = dict(zip(stages, contents_of(one), strict=False))
        done = max((i + 1 for i, kind in enumerate(stages) if contents.get(kind) in self.made), default=0)
        run = dict(list(stages.items())[done:])
        truth = self.model.truth(one)
        if truth.failure is not None:
            run.pop("measure")
        self.made.update(contents.values())
        self.recipes.append(one)
        self.seconds.append(sum(run.values()))
        if truth.failure is not None:
            return None, run, truth.failure
        noise = random.Random(f"{self.seed} {one.key}")
        deviations = self.model.deviations(one)
        return tuple(v + d * noise.gauss(0, 1) for v, d in zip(truth.values, deviations, strict=True)), run, None

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Minutes gone and hypervolume reached after each trial."""
        values, reached = [], []
        for one in self.recipes:
            truth = self.model.truth(one)
            if truth.feasible:
                values.append(truth.values)
                reached.append(hypervolume(np.array(values), REFERENCE))
            else:
                reached.append(reached[-1] if reached else 0.0)
        return np.cumsum(self.seconds) / 60, np.array(reached) / self.model.best_hypervolume


def contents_of(one: Recipe) -> list[str]:
    """What the steps before the export make, each with all before it."""
    steps = [step for step in one.steps[:3] if step[0] != "none"]
    return [repr(steps[: index + 1]) for index in range(len(steps))]


# Strategies: each gives recipes, and is sent what came of them -----------------------------------------------------

Proposals = Iterator[Recipe]
Strategy = Callable[[SimulatedModel, int, Run], None]


def random_search(model: SimulatedModel, seed: int, run: Run) -> None:
    """Valid recipes by chance, none twice."""
    del model
    _measure_all(run, random.Random(seed).sample(every_recipe(), MOST_TRIALS))


def grid(model: SimulatedModel, seed: int, run: Run) -> None:
    """A coarse grid, as Optuna's: the first and the last value of each knob, in random order."""
    del model
    coarse = [one for one in every_recipe() if _is_coarse(one)]
    random.Random(seed).shuffle(coarse)
    _measure_all(run, coarse[:MOST_TRIALS])


def _is_coarse(one: Recipe) -> bool:
    for phase, methods in PHASES.items():
        method, knobs = one.knobs(phase)
        if any(value not in (methods[method][knob][0], methods[method][knob][-1]) for knob, value in knobs.items()):
            return False
    return True


def _measure_all(run: Run, recipes: Sequence[Recipe]) -> None:
    for one in recipes:
        if run.is_over:
            break
        run.measure(one)


def optuna_search(
    make: Callable[[int], optuna.samplers.BaseSampler],
    known: Callable[[SimulatedModel, int], Sequence[Recipe]] | None,
    model: SimulatedModel,
    seed: int,
    run: Run,
) -> None:
    """One of Optuna's samplers, told of failures as of very bad trials."""
    study = optuna.create_study(directions=["minimize"] * 3, sampler=make(seed))
    for one in known(model, seed) if known else ():
        study.enqueue_trial(one.params)
    tried: set[str] = set()
    chance = random.Random(seed)
    while not run.is_over:
        for _ in range(REFUSED_TRIES):
            trial = study.ask()
            one = ask(trial)
            if one.key not in tried and refusal(one) is None:
                break
            if refusal(one) is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                trial.set_constraint("drop", 1.0)
                study.tell(trial, WORST)
        else:
            one = next(one for one in iter(lambda: chance.choice(every_recipe()), None) if one.key not in tried)
            study.enqueue_trial(one.params)
            trial = study.ask()
            ask(trial)
        tried.add(one.key)
        values, _, _ = run.measure(one)
        trial.set_constraint("drop", values[2] / LIMIT - 1 if values else 1.0)
        study.tell(trial, values or WORST)


def ours(
    known: Callable[[SimulatedModel, int], Sequence[Recipe]],
    predict: Callable[[SimulatedModel, Recipe], Mapping[str, float]],
    model: SimulatedModel,
    seed: int,
    run: Run,
) -> None:
    """The sampler of this package, asked and told as any of Optuna's."""

    def stages(one: Recipe) -> list[Stage]:
        kinds = list(model.seconds(one))
        contents = contents_of(one)
        return [Stage(kind, contents[i] if i < len(contents) else None) for i, kind in enumerate(kinds)]

    space = Space(
        propose=ask,
        refusal=refusal,
        key=lambda one: one.key,
        known_good=[one.params for one in known(model, seed)],
        predicted=partial(predict, model),
        stages=stages,
    )
    sampler = RecipeSampler(space, FIGURES, limits={"drop": LIMIT}, reference=REFERENCE, seed=seed)
    study = optuna.create_study(directions=["minimize"] * 3, sampler=sampler)
    stop = StopWhenSpent()
    while not run.is_over:
        trial = study.ask()
        one = ask(trial)
        if stop.is_spent(sampler) and run.spent_after is None:
            run.spent_after = len(run.recipes)
        values, seconds, failure = run.measure(one)
        trial.set_user_attr("seconds", seconds)
        if values is None:
            trial.set_user_attr("failure", failure)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            deviations = dict(zip([figure.name for figure in FIGURES], model.deviations(one), strict=True))
            trial.set_user_attr("deviations", deviations)
            study.tell(trial, values)


def right_recipes(model: SimulatedModel, seed: int) -> list[Recipe]:
    """Those that people recommend, one of each format first, the cheapest first."""
    del seed
    return in_turn(KNOWN_GOOD, group=lambda one: one.format, cost=lambda one: sum(model.seconds(one).values()))


def wrong_recipes(model: SimulatedModel, seed: int) -> list[Recipe]:
    """As many that all break the limit or fail, drawn anew for each seed."""
    bad = (one for one in random.Random(f"wrong {seed}").sample(every_recipe(), 2000) if not model.truth(one).feasible)
    return list(islice(bad, len(KNOWN_GOOD)))


def right_beliefs(model: SimulatedModel, one: Recipe) -> dict[str, float]:
    """The size by arithmetic, right to two per cent, and the loss by rule of thumb."""
    return {"size": model.size_by_arithmetic(one), "drop": rule_of_thumb(one)}


def wrong_beliefs(model: SimulatedModel, one: Recipe) -> dict[str, float]:
    """A size that is small where the true one is large, and a loss that is large where little is done."""
    return {"size": -2.0 - model.size_by_arithmetic(one), "drop": 4 * LIMIT - rule_of_thumb(one)}


def no_beliefs(model: SimulatedModel, one: Recipe) -> dict[str, float]:
    """Nothing but the known recipes."""
    del model, one
    return {}


def rule_of_thumb(one: Recipe) -> float:
    """What one would expect a recipe to lose, of any model: the sum of what its steps usually lose."""
    structure, narrowed = one.knobs("structure")
    pruning, pruned = one.knobs("prune")
    coding, coded = one.knobs("code")
    compute, _ = one.knobs("compute")
    lost = 0.012 * ((1 - narrowed["keep"]) / 0.33) ** 2 if structure != "none" else 0.0
    lost += 0.0065 * (pruned["sparsity"] / 0.6) ** 3 if pruning != "none" else 0.0
    if coding == "kmeans":
        lost += 0.004 * 16 / coded["n_centroids"]
    elif coding != "none":
        lost += 0.004 * 4.0 ** (4 - coded["bits"])
    return lost + (0.004 if compute.startswith("int8") else 0.0)


def tpe(seed: int) -> optuna.samplers.BaseSampler:
    """As this package used it before it had a sampler of its own."""
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def nsga2(seed: int) -> optuna.samplers.BaseSampler:
    """With a population that turns over several times within the trials."""
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)


RIVAL, RIVAL_WRONG = "known recipes + TPE", "known recipes + TPE, wrong priors"
OURS, OURS_WRONG, OURS_BARE = "ours", "ours, wrong priors", "ours, known recipes alone"
STRATEGIES: dict[str, Strategy] = {
    "random": random_search,
    "grid": grid,
    "TPE": partial(optuna_search, tpe, None),
    "NSGA-II": partial(optuna_search, nsga2, None),
    RIVAL: partial(optuna_search, tpe, right_recipes),
    RIVAL_WRONG: partial(optuna_search, tpe, wrong_recipes),
    OURS: partial(ours, right_recipes, right_beliefs),
    OURS_BARE: partial(ours, right_recipes, no_beliefs),
    OURS_WRONG: partial(ours, wrong_recipes, wrong_beliefs),
}


# Results -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """What one run reached."""

    minutes: np.ndarray
    reached: np.ndarray
    seconds_to_propose: float
    spent_after: int | None = None

    def at_trial(self, n: int) -> float:
        """Share of the best hypervolume after so many trials."""
        return float(self.reached[n - 1])

    def at_minute(self, minute: float) -> float:
        """… after so much time."""
        done = int(np.searchsorted(self.minutes, minute, side="right"))
        return float(self.reached[done - 1]) if done else 0.0

    def minutes_to(self, reached: float) -> float:
        """How long it took to get there; infinite where it did not."""
        there = np.flatnonzero(self.reached >= reached)
        return float(self.minutes[there[0]]) if len(there) else float("inf")


def run_one(model: str, strategy: str, seed: int) -> Curve:
    """One run."""
    logging.getLogger("autocompress").setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    run = Run(MODELS[model], seed, least_trials=LONG_TRIALS if strategy == OURS else TRIALS)
    started = time.perf_counter()
    STRATEGIES[strategy](run.model, seed, run)
    taken = time.perf_counter() - started
    minutes, reached = run.curve()
    return Curve(minutes, reached, taken / len(run.recipes), run.spent_after)


def kept_run(folder: Path | None, model: str, strategy: str, seed: int) -> Curve:
    """One run, out of the folder where it is kept from before."""
    if folder is None:
        return run_one(model, strategy, seed)
    path = folder / f"{model}, {strategy}, {seed}.npz"
    if not path.exists():
        curve = run_one(model, strategy, seed)
        folder.mkdir(parents=True, exist_ok=True)
        spent = curve.spent_after or 0
        np.savez(path, minutes=curve.minutes, reached=curve.reached, seconds=curve.seconds_to_propose, spent=spent)
    with np.load(path) as kept:
        return Curve(kept["minutes"], kept["reached"], float(kept["seconds"]), int(kept["spent"]) or None)


def table(curves: Mapping[str, Sequence[Curve]]) -> Iterator[str]:
    """What each strategy reached."""
    heads = [*(f"{n} trials" for n in LOOKS), *(f"{minutes} min" for minutes in MINUTES)]
    yield f"| strategy | {' | '.join(heads)} | ms a proposal |"
    yield f"|---|{'---:|' * (len(heads) + 1)}"
    for name, some in curves.items():
        reached = [np.mean([curve.at_trial(n) for curve in some]) for n in LOOKS]
        reached += [np.mean([curve.at_minute(minute) for curve in some]) for minute in MINUTES]
        asked = np.mean([curve.seconds_to_propose for curve in some]) * 1000
        yield f"| {name} | {' | '.join(f'{one:.3f}' for one in reached)} | {asked:.0f} |"


def comparison(curves: Mapping[str, Sequence[Curve]]) -> Iterator[str]:
    """Paired differences to the rival."""
    pairs = [(OURS, RIVAL), (OURS_BARE, RIVAL), (OURS_WRONG, RIVAL_WRONG), (OURS_WRONG, RIVAL)]
    heads = [*(f"at {n} trials" for n in LOOKS), *(f"at {minutes} min" for minutes in MINUTES)]
    yield f"| difference | {' | '.join(heads)} |"
    yield f"|---|{'---:|' * len(heads)}"
    for mine, other in pairs:
        both = list(zip(curves[mine], curves[other], strict=True))
        cells = [interval([a.at_trial(n) - b.at_trial(n) for a, b in both]) for n in LOOKS]
        cells += [interval([a.at_minute(minute) - b.at_minute(minute) for a, b in both]) for minute in MINUTES]
        told = " | ".join(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]" for mean, low, high in cells)
        yield f"| {mine} − {other} | {told} |"


def halving(curves: Mapping[str, Sequence[Curve]]) -> Iterator[str]:
    """The cost of reaching what the rival has after 80 trials, and what is reached at half of its cost."""
    yield "| | cost to reach it, median (quartiles) | seeds in at most half the cost | more at half the cost |"
    yield "|---|---:|---:|---:|"
    for mine in (OURS, OURS_BARE, OURS_WRONG):
        shares, more = [], []
        for curve, rival in zip(curves[mine], curves[RIVAL], strict=True):
            cost = float(rival.minutes[TRIALS - 1])
            shares.append(curve.minutes_to(rival.at_trial(TRIALS)) / cost)
            more.append(curve.at_minute(cost / 2) - rival.at_trial(TRIALS))
        low, median, high = (np.percentile(shares, q, method="inverted_cdf") for q in (25, 50, 75))
        within = sum(share <= 0.5 for share in shares)
        mean, least, most = interval(more)
        yield (
            f"| {mine} | {median:.2f} ({low:.2f} to {high:.2f}) | {within} of {len(shares)} "
            f"| {mean:+.3f} [{least:+.3f}, {most:+.3f}] |"
        )


def stopping(curves: Mapping[str, Sequence[Curve]]) -> Iterator[str]:
    """When the sampler would have stopped by itself, and what it had by then."""
    stopped = [(curve, curve.spent_after) for curve in curves[OURS] if curve.spent_after]
    if not stopped:
        yield f"It never says that it is done within {LONG_TRIALS} trials."
        return
    low, median, high = np.percentile([after for _, after in stopped], (25, 50, 75), method="inverted_cdf")
    then = np.mean([curve.at_trial(after) for curve, after in stopped])
    last = np.mean([curve.at_trial(LONG_TRIALS) for curve, _ in stopped])
    yield (
        f"Within {LONG_TRIALS} trials it says in {len(stopped)} of {len(curves[OURS])} runs that it is done, after "
        f"{median} trials (quartiles {low} to {high}), with {then:.3f} of the best hypervolume; had it gone on to "
        f"{LONG_TRIALS}, it would have had {last:.3f}."
    )


def report(
    models: Sequence[str], seeds: int, processes: int, strategies: Sequence[str], folder: Path | None
) -> Iterator[str]:
    """The section, line by line."""
    yield f"{SECTION}\n"
    yield f"`{command_line(sys.argv)}`, {today()}, {this_machine()}.\n"
    yield (__doc__ or "").partition("rivals.")[2].partition("Run:")[0].strip()
    for model in models:
        assert MODELS[model].best_hypervolume > 0  # found before the processes are forked
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        for model in models:
            names = [name for name in STRATEGIES if name in strategies]
            # Seed by seed, so that what an interruption leaves can be compared.
            jobs = [{name: pool.submit(kept_run, folder, model, name, seed) for name in names} for seed in range(seeds)]
            curves = {name: [by_name[name].result() for by_name in jobs] for name in names}
            count = len(every_recipe())
            yield f"\n### Model {model!r}: {count:,} recipes, {seeds} seeds\n"
            yield "Share of the best hypervolume, mean over seeds.\n"
            yield from table(curves)
            if set(STRATEGIES) <= set(names):
                yield "\nPaired differences.\n"
                yield from comparison(curves)
                yield f"\nAgainst what *{RIVAL}* has after {TRIALS} trials, and its cost until then.\n"
                yield from halving(curves)
                yield ""
                yield from stopping(curves)


def main() -> None:
    """Print the tables, and write them into a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS), metavar="MODEL")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for single runs; those that it holds are not run again")
    parser.add_argument("--write", type=Path, help="the Markdown file whose section is replaced")
    options = parser.parse_args()
    lines = report(options.models, options.seeds, options.processes, options.strategies, options.keep)
    print_section(lines, SECTION, options.write)


if __name__ == "__main__":
    main()
