"""How long ``autocompress --help`` takes, in fresh processes.

Run: python benchmarks/help_time.py [--repeats 15]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

TARGET_SECONDS = 0.4


def main() -> int:
    """Print the quartiles; exit code 1 where the median is above the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    command = [str(Path(sys.executable).with_name("autocompress")), "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # the first call writes byte code
    seconds = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / repeats
    low, median, high = np.percentile(seconds, (25, 50, 75))
    print(f"{repeats} calls, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")
    print(f"median {median:.3f} s (quartiles {low:.3f} and {high:.3f} s); the target is at most {TARGET_SECONDS} s")
    print(f"CPU time {cpu_seconds:.3f} s (mean), which other programs on the machine change less")
    return int(median > TARGET_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
