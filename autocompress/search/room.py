"""How many trials a machine has room for at a time."""

from __future__ import annotations

import os

import psutil

from autocompress.facts import ModelFacts
from autocompress.spec import SearchSpec

MOST_AT_ONCE = 4
"""The more run at a time, the less of what they tell is known when the next recipe is chosen."""
PROCESSES_OF_A_TRIAL = 2
"""Its own, and that in which memory is measured while the samples run."""
COPIES_OF_THE_MODEL = 6
"""In memory at a time, at most: the original, its compressed twin, what is exported, and what is calibrated with."""
LIBRARIES_BYTES = 10**9
FLOAT_BYTES = 4


def trials_at_once(spec: SearchSpec, facts: ModelFacts) -> int:
    """As the spec says; else as many as cores and free memory allow. On a device, whose memory is shared: one."""
    if spec.budget.parallel is not None:
        return spec.budget.parallel
    if spec.device != "cpu":
        return 1
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    needed_bytes = LIBRARIES_BYTES + COPIES_OF_THE_MODEL * FLOAT_BYTES * facts.n_parameters
    by_cores = n_cores // (PROCESSES_OF_A_TRIAL * spec.threads)
    by_memory = psutil.virtual_memory().available // needed_bytes
    return int(max(1, min(MOST_AT_ONCE, by_cores, by_memory)))
