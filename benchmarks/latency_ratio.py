"""How far off 1 the speed-up of two equal models comes out: timed one after the other, and in turns as we do it.

Run: python benchmarks/latency_ratio.py [--repeats 20]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np

from autocompress.measure.latency import SHORT_LOOK, LatencyProtocol, time_pair

Call = Callable[[], object]


def work() -> Call:
    """A call of a few milliseconds: small matrix products, as in a small transformer."""
    matrix = np.random.default_rng(0).standard_normal((384, 384)).astype(np.float32)
    return lambda: [matrix @ matrix for _ in range(8)]


def one_after_the_other(first: Call, second: Call, seconds: float) -> float:
    """Ratio of medians, each timed alone for half of the seconds."""
    medians = []
    for call in (first, second):
        taken = []
        end = time.perf_counter() + seconds / 2
        while time.perf_counter() < end:
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
        medians.append(np.median(taken))
    return float(medians[1] / medians[0])


def main() -> None:
    """Print a Markdown table of the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    protocols: dict[str, LatencyProtocol] = {
        "in turns, short look": SHORT_LOOK,
        "in turns, half-width 2 %": LatencyProtocol(control=False, attempts=1, max_seconds=10),
    }
    errors: dict[str, list[float]] = {"one after the other": [], **{name: [] for name in protocols}}
    covered: dict[str, list[bool]] = {name: [] for name in protocols}
    seconds: dict[str, list[float]] = {name: [] for name in errors}
    for seed in range(repeats):
        first, second = work(), work()
        start = time.perf_counter()
        errors["one after the other"].append(one_after_the_other(first, second, 3.0) - 1)
        seconds["one after the other"].append(time.perf_counter() - start)
        for name, protocol in protocols.items():
            start = time.perf_counter()
            speedup = time_pair(first, second, protocol, seed=seed).speedup
            seconds[name].append(time.perf_counter() - start)
            errors[name].append(speedup.value - 1)
            covered[name].append(speedup.low <= 1 <= speedup.high)
    print(f"{repeats} repeats, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end\n")
    print("| two equal models timed | 95th percentile of the error | interval covers 1 | seconds, median |")
    print("|---|---|---|---|")
    for name, found in errors.items():
        coverage = f"{np.mean(covered[name]):.0%}" if name in covered else "–"
        error = np.percentile(np.abs(found), 95)
        print(f"| {name} | {error:.1%} | {coverage} | {np.median(seconds[name]):.1f} |")


if __name__ == "__main__":
    main()
