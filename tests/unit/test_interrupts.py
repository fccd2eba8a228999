"""A signal waits for the search's next safe point; a second one does not wait."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from autocompress.search.interrupts import Interrupts


@pytest.fixture(autouse=True)
def ctrl_c_raises() -> Iterator[None]:
    """Also where the tests run in a process that has it do something else."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_until_it_is_asked_for_and_is_raised_once() -> None:
    with Interrupts() as interrupts:
        interrupts.raise_if_any()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.raise_if_any()
        interrupts.raise_if_any()


def test_a_second_signal_does_not_wait() -> None:
    with Interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_signals_go_where_they_went_before_once_it_is_over() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        interrupts.raise_if_any()


def test_in_another_thread_nothing_is_held_back() -> None:
    seen = []

    def enter() -> None:
        before = signal.getsignal(signal.SIGINT)
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGINT) == before)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [True]
