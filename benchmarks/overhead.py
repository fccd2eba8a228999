"""What the tool itself adds to each trial of a real search: all that is neither compressing nor measuring.

A trial's overhead is the time from the end of the trial before it to its own end, less its stages: proposing a recipe,
entering it in the storage, forking the child, sending messages, tidying up. Keeping a step's result in the stage cache
counts as overhead too. Loading the model counts as compressing.

Run: python benchmarks/overhead.py [RUN]     RUN: an existing run; without it the demo's search is run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from autocompress.event_log import read_events
from autocompress.events import Event, ModelRead, TrialFinished
from autocompress.runs import RunFolder, fresh_name

TARGET_SECONDS = 0.3
OVERHEAD_STAGES = ("keep in cache",)


@dataclass(frozen=True)
class TrialOverhead:
    """Seconds that one trial took over its compressing and measuring."""

    number: int
    inside_seconds: float
    """Between the start and the answer of the trial's child."""
    between_seconds: float
    """Since the end of the trial before it: proposing, storing, showing."""

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.inside_seconds + self.between_seconds


def overheads(events: Iterable[Event]) -> Iterator[TrialOverhead]:
    """The overhead of each trial that was run to its end; the wait between two sessions of a run is none."""
    idle_since: float | None = None
    for event in events:
        if isinstance(event, TrialFinished):
            record = event.record
            if idle_since is not None and record.wall_seconds is not None:
                worked = sum(stage.seconds for stage in record.stages if stage.stage not in OVERHEAD_STAGES)
                yield TrialOverhead(
                    record.number,
                    inside_seconds=record.wall_seconds - worked,
                    between_seconds=event.time - idle_since - record.wall_seconds,
                )
            idle_since = event.time
        elif isinstance(event, ModelRead):
            idle_since = event.time


def search_demo() -> str:
    """Run the demo's search; gives the run's name."""
    name = fresh_name("overhead")
    subprocess.run([sys.executable, "-m", "autocompress", "demo", "--name", name], check=True, stdout=sys.stderr)
    return name


def main() -> int:
    """Print a Markdown table; exit code 1 where the median is above the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", help="name or folder of a run")
    folder = RunFolder.open(parser.parse_args().run or search_demo())
    found = list(overheads(read_events(folder.events)))
    if not found:
        parser.error(f"the run {folder.name} has no finished trial")
    print(f"{folder.name}: {len(found)} trials, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end\n")
    print("| seconds per trial | lower quartile | median | upper quartile | largest |")
    print("|---|---|---|---|---|")
    for name, values in {
        "in the child's time": [trial.inside_seconds for trial in found],
        "between trials": [trial.between_seconds for trial in found],
        "together": [trial.seconds for trial in found],
    }.items():
        print(f"| {name} | " + " | ".join(f"{x:.3f}" for x in np.percentile(values, (25, 50, 75, 100))) + " |")
    median = float(np.median([trial.seconds for trial in found]))
    print(f"\nMedian {median:.3f} s; the target is at most {TARGET_SECONDS} s.")
    return int(median > TARGET_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
