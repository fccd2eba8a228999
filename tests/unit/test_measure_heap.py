"""Calls that allocate and free much: with page faults by default, without them once freed memory is kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys
import numpy as np
from autocompress.measure.heap import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def call():
    activations = [np.ones(300_000) for _ in range(8)]
    del activations

for _ in range(3):
    call()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    call()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""


def faults_a_call(how: str) -> float:
    command = [sys.executable, "-c", COUNT_FAULTS, how]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's bounds are looked at")
def test_a_call_takes_no_page_faults_for_what_the_last_one_freed() -> None:
    assert faults_a_call("as it is") > 1_000
    assert faults_a_call("kept") < 10
