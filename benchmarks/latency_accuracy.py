"""How far off a speed-up comes out whose true value is known: two models timed in turns, and one after the other.

Pairs: a model against itself, loaded a second time (1×), and one call of it against two (2×), as ONNX on one thread,
loaded anew for every repetition. In turns is what this package does (`autocompress/measure/latency.py`): the short look
of every candidate in a search, and the closer look after each of five loads, pooled, as finalists get it in as many
processes. One after the other is what people do: loaded once, the original's calls for half of the seconds that the
turns took, then the candidate's, three calls before each not counted; their medians, their means and their fastest
calls are compared. An error is that of the ratio, whichever its sign. Both are done with nothing else going on, and
beside a load: one child per core that multiplies matrices in bursts, on average for a second out of two. What is marked
*contended* a user of this package is warned of.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data. With `--keep`, one that was stopped goes on.

Run: python benchmarks/latency_accuracy.py --write docs/benchmarks.md
     python benchmarks/latency_accuracy.py --repetitions 50 --of-five 25 --keep /tmp/latency
     python benchmarks/latency_accuracy.py --repetitions 2 --of-five 1 --models cifar10-resnet20
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from intervals import interval, percentile, told_share
from known_models import KnownModel, known_models, spec_of
from ledger import Ledger
from sections import command_line, print_section, this_machine, today, when_and_where

from autocompress import registry
from autocompress.drift import PRESUMED_DRIFT
from autocompress.formats.base import Runner
from autocompress.measure.latency import CLOSER_LOOK, SHORT_LOOK, Call, LatencyProtocol, time_pair
from autocompress.measure.latency_pool import FRESH_PROCESSES, pooled
from autocompress.recipe import Recipe

SECTION = "## Errors of a speed-up"
MODELS = ("minilm-sst2", "cifar10-resnet20")
"""Calls of some ten milliseconds, and of one."""
FORMAT = "onnx"
SHORT, POOLED = "short look", f"closer look, {FRESH_PROCESSES} loads"
PROTOCOLS: dict[str, tuple[LatencyProtocol, int]] = {SHORT: (SHORT_LOOK, 1), POOLED: (CLOSER_LOOK, FRESH_PROCESSES)}
"""And how often the models are loaded for one reading."""
PAIRS = {"equal": 1.0, "once against twice": 2.0}
"""The original does so many calls for one of the candidate's."""
CONDITIONS = ("idle", "beside a load")
RIVALS: dict[str, Callable[[Sequence[float]], Any]] = {"medians": np.median, "means": np.mean, "fastest": np.min}
WARM_UPS = 3
FEWEST_READINGS = 3
BURST_SECONDS = 1.0

Row = Mapping[str, Any]
Chosen = Mapping[tuple[str, str, str, str], Sequence[Row]]
"""By condition, model, pair and protocol."""


# Timing ------------------------------------------------------------------------------------------------------------


def one_after_the_other(first: Call, second: Call, seconds: float) -> dict[str, float]:
    """How often the second goes into the first, by each of the rivals; each is timed alone for half of the seconds."""
    readings = []
    for call in (first, second):
        end = time.perf_counter() + seconds / 2
        for _ in range(WARM_UPS):
            call()
        taken: list[float] = []
        while time.perf_counter() < end or len(taken) < FEWEST_READINGS:
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
        readings.append(taken)
    return {name: float(figure(readings[0]) / figure(readings[1])) for name, figure in RIVALS.items()}


def timed(timer: Timer, n_baseline_calls: int, protocol: LatencyProtocol, n_loads: int, seed: int) -> dict[str, Any]:
    """One pair in turns, then one after the other in as many seconds."""
    timings, seconds = [], 0.0
    for load in range(n_loads):
        with timer.pair(n_baseline_calls) as (candidate, baseline):
            start = time.perf_counter()
            timings.append(time_pair(candidate, baseline, protocol, seed=n_loads * seed + load, drift=PRESUMED_DRIFT))
            seconds += time.perf_counter() - start
            if load == n_loads - 1:
                rivals = one_after_the_other(baseline, candidate, seconds)
    latency = pooled(timings) if n_loads > 1 else timings[0]
    speedup = latency.speedup
    return {
        "seconds": seconds,
        "speedup": [speedup.value, speedup.low, speedup.high],
        "contended": latency.contended,
        **rivals,
    }


def burn(seed: int) -> None:
    """Keep a core busy in bursts, until killed."""
    chance = np.random.default_rng(seed)
    matrix = chance.standard_normal((256, 256)).astype(np.float32)
    while True:
        end = time.perf_counter() + chance.exponential(BURST_SECONDS)
        while time.perf_counter() < end:
            matrix @ matrix
        time.sleep(chance.exponential(BURST_SECONDS))


@contextmanager
def load(condition: str, burners: int) -> Iterator[None]:
    """What else goes on meanwhile."""
    context = multiprocessing.get_context("spawn")
    n_children = burners if condition == "beside a load" else 0
    children = [context.Process(target=burn, args=(seed,), daemon=True) for seed in range(n_children)]
    for child in children:
        child.start()
    try:
        if children:
            time.sleep(2 * BURST_SECONDS)  # until they have their imports behind them
        yield
    finally:
        for child in children:
            child.kill()
            child.join()


class Timer:
    """One model's artifact, loaded twice for each repetition."""

    def __init__(self, model: str, folder: Path) -> None:
        self._known = KnownModel(spec_of(model))
        self._artifact = folder / model
        self._known.build(Recipe(format=FORMAT), self._artifact)

    @contextmanager
    def pair(self, n_baseline_calls: int) -> Iterator[tuple[Call, Call]]:
        """The candidate, and the original that does so many calls for one."""
        first, second = self._load(), self._load()
        try:
            yield self._call(first, 1), self._call(second, n_baseline_calls)
        finally:
            first.close()
            second.close()

    def _load(self) -> Runner:
        loaded: Runner = registry.load("formats", FORMAT)().load(self._artifact, "cpu", 1, self._known.spec.model)
        return loaded

    def _call(self, runner: Runner, n: int) -> Call:
        model, inputs, task = self._known.spec.model, self._known.timed_inputs, self._known.task

        def call() -> None:
            for _ in range(n):
                task.timed_call(model, runner, inputs)

        return call


def measure(models: Sequence[str], repetitions: Mapping[str, int], burners: int, ledger: Ledger) -> None:
    """Take what the ledger lacks; repetition after repetition, so that what an interruption leaves can be compared."""
    with tempfile.TemporaryDirectory(prefix="autocompress-latency-") as temporary:
        timers: dict[str, Timer] = {}
        for repetition in range(max(repetitions.values())):
            for condition in CONDITIONS:
                missing = [
                    (model, pair, name)
                    for model in models
                    for pair in PAIRS
                    for name in PROTOCOLS
                    if repetition < repetitions[name]
                    and key(condition, model, pair, name, repetition) not in ledger.entries
                ]
                timers |= {model: Timer(model, Path(temporary)) for model in {m for m, _, _ in missing} - set(timers)}
                if not missing:
                    continue
                with load(condition, burners):
                    for model, pair, name in missing:
                        row = timed(timers[model], round(PAIRS[pair]), *PROTOCOLS[name], repetition)
                        row |= {"truth": PAIRS[pair], "day": today(), "machine": this_machine()}
                        ledger.keep(key(condition, model, pair, name, repetition), row)
                        print(f"{condition}, {model}, {pair}, {name}, {repetition}: {row}", file=sys.stderr)


def key(condition: str, model: str, pair: str, protocol: str, repetition: int) -> str:
    """Of a row in the ledger."""
    return f"{condition} | {model} | {pair} | {protocol} | {repetition}"


# Results -----------------------------------------------------------------------------------------------------------


def error(row: Row, how: str) -> float:
    """Of the ratio, as a share of the true one; ``how`` is ``speedup`` (in turns) or one of the rivals."""
    found = row["speedup"][0] if how == "speedup" else row[how]
    return abs(float(found) / float(row["truth"]) - 1)


def covers(row: Row) -> bool:
    """Whether the interval holds the true speed-up."""
    _, low, high = row["speedup"]
    return bool(low <= row["truth"] <= high)


def told_errors(rows: Sequence[Row], how: str) -> str:
    """Two cells: the median error, and the 95th percentile with its interval."""
    if not rows:
        return "– | –"
    errors = [100 * error(row, how) for row in rows]
    high, least, most = interval(errors, percentile(0.95))
    return f"{np.median(errors):.1f} % | {high:.1f} % [{least:.1f}, {most:.1f}]"


def rows_of(chosen: Chosen, condition: str, protocol: str) -> list[Row]:
    """All models and pairs together."""
    return [row for (one, _, _, other), rows in chosen.items() if (one, other) == (condition, protocol) for row in rows]


def table(rows: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Errors of each way to time, by protocol."""
    yield "| timed | n | seconds | error, median | 95th percentile | interval holds the truth | contended |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, found in rows.items():
        if not found:
            continue
        n, seconds = len(found), np.median([row["seconds"] for row in found])
        clear = [row for row in found if not row["contended"]]
        held, marked = sum(map(covers, found)), n - len(clear)
        start = f"{n} | {seconds:.1f}"
        told = f"{told_share(held, n)} | {told_share(marked, n)}"
        yield f"| **in turns, {name}** | {start} | {told_errors(found, 'speedup')} | {told} |"
        if 0 < len(clear) < n:
            told = f"{told_share(sum(map(covers, clear)), len(clear))} | none"
            yield f"| those not contended | {len(clear)} | | {told_errors(clear, 'speedup')} | {told} |"
        for how in RIVALS:
            yield f"| one after the other, {how} | {start} | {told_errors(found, how)} | – | – |"


def by_pair(chosen: Chosen) -> Iterator[str]:
    """The 95th percentile of the error, pair by pair."""
    heads = [f"{condition}, {name}" for condition in CONDITIONS for name in PROTOCOLS]
    yield f"| pair | {' | '.join(heads)} |"
    yield f"|---|{'---:|' * len(heads)}"
    for model, pair in dict.fromkeys((model, pair) for _, model, pair, _ in chosen):
        cells = []
        for condition in CONDITIONS:
            for name in PROTOCOLS:
                rows = chosen[condition, model, pair, name]
                percents = [
                    100 * np.quantile([error(row, how) for row in rows], 0.95) for how in ("speedup", "medians")
                ]
                cells.append(f"{percents[0]:.1f} % / {percents[1]:.1f} %" if rows else "–")
        yield f"| {model}, {pair} | {' | '.join(cells)} |"


def report(models: Sequence[str], repetitions: Mapping[str, int], ledger: Ledger) -> Iterator[str]:
    """The section, line by line."""
    chosen = {
        (condition, model, pair, name): [
            ledger.entries[one]
            for repetition in range(repetitions[name])
            if (one := key(condition, model, pair, name, repetition)) in ledger.entries
        ]
        for condition in CONDITIONS
        for model in models
        for pair in PAIRS
        for name in PROTOCOLS
    }
    yield f"{SECTION}\n"
    yield f"`{command_line(sys.argv)}`, {when_and_where(row for rows in chosen.values() for row in rows)}.\n"
    yield (__doc__ or "").partition("Needs ")[0].strip()
    yield f"\nModels: {', '.join(models)}; n counts all pairs. Intervals are 95 %, by bootstrap and by Wilson."
    for condition in CONDITIONS:
        yield f"\n### {condition.capitalize()}\n"
        yield from table({name: rows_of(chosen, condition, name) for name in PROTOCOLS})
    yield "\n### Pair by pair\n"
    yield "The error's 95th percentile: in turns / one after the other, medians.\n"
    yield from by_pair(chosen)


def main() -> None:
    """Take what is missing, print the tables, and write them into a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=known_models(), metavar="MODEL")
    parser.add_argument("--repetitions", type=int, default=16, help="of each pair, by the short look")
    parser.add_argument("--of-five", type=int, default=5, help="the same after five loads, which takes 15 s each")
    parser.add_argument("--burners", type=int, help="children that make the load; as many as there are cores")
    parser.add_argument(
        "--keep", type=Path, help="a folder for single readings; those that it holds aren't taken again"
    )
    parser.add_argument("--write", type=Path, help="the Markdown file whose section is replaced")
    options = parser.parse_args()
    repetitions = {SHORT: options.repetitions, POOLED: options.of_five}
    ledger = Ledger(options.keep and options.keep / "latency-accuracy.json")
    burners = options.burners if options.burners is not None else len(os.sched_getaffinity(0))
    measure(options.models, repetitions, burners, ledger)
    print_section(report(options.models, repetitions, ledger), SECTION, options.write)


if __name__ == "__main__":
    main()
