"""One child at a time has the machine to itself: the others really stand still meanwhile, and go on afterwards."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from autocompress.search.quiet import Quiet

SECONDS_TO_TAKE_EFFECT = 20.0
SPIN = "import os\nos.setsid()\nprint('spins', flush=True)\nwhile True: pass"


@pytest.fixture
def children() -> Iterator[list[int]]:
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) for _ in range(2)]
    for process in spinning:
        assert process.stdout is not None
        process.stdout.readline()
    yield [process.pid for process in spinning]
    for process in spinning:
        process.kill()
        process.communicate()


def stands_still(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def wait_until_it_stands_still(pid: int, expected: bool) -> None:
    deadline = time.monotonic() + SECONDS_TO_TAKE_EFFECT
    while stands_still(pid) is not expected:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def joined(children: list[int], told: dict[int, list[float]]) -> Quiet:
    quiet = Quiet()
    with quiet.busy():
        for pid in children:
            told[pid] = []
            quiet.join(pid, told[pid].append)
    return quiet


def test_the_others_stand_still_and_are_told_afterwards_for_how_long(children: list[int]) -> None:
    timed, other = children
    told: dict[int, list[float]] = {}
    quiet = joined(children, told)
    assert quiet.begin(timed, 1.0)
    wait_until_it_stands_still(other, True)
    assert not stands_still(timed)
    assert not quiet.begin(other, 0.01)
    quiet.end(timed)
    wait_until_it_stands_still(other, False)
    assert told[timed] == []
    assert told[other] == [quiet.held_seconds(other)]
    assert quiet.held_seconds(other) > 0


def test_a_child_that_dies_while_it_is_timed_holds_nobody_up(children: list[int]) -> None:
    timed, other = children
    quiet = joined(children, {})
    assert quiet.begin(timed, 1.0)
    psutil.Process(timed).kill()
    quiet.leave(timed)
    wait_until_it_stands_still(other, False)
    assert quiet.begin(other, 1.0)


def test_whose_turn_is_over_takes_nothing_from_whose_turn_it_is(children: list[int]) -> None:
    first, second = children
    quiet = joined(children, {})
    assert quiet.begin(first, 1.0)
    quiet.end(second)
    wait_until_it_stands_still(second, True)
    quiet.end(first)
    wait_until_it_stands_still(second, False)
