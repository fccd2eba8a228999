"""Latency in turns, on a simulated machine whose clock is known, and on the real one."""

from __future__ import annotations

import time

import numpy as np
import pytest

from autocompress.drift import LATEST_LOOKS, PRESUMED_DRIFT, drift, original_ms
from autocompress.measure.latency import (
    CLOSER_LOOK,
    LONG_CALL_SECONDS,
    SHORT_LOOK,
    Clock,
    time_pair,
)
from autocompress.measure.latency_pool import FRESH_PROCESSES, pooled
from autocompress.records import STORED_READINGS, Estimate


class Machine(Clock):
    """A machine whose calls take what they are told to, times drift and noise; time passes only by calls."""

    name = "wall"

    def __init__(self, noise: float = 0.02, drift_per_second: float = 0.0, seed: int = 0) -> None:
        self.noise = noise
        self.drift_per_second = drift_per_second
        self.seconds = 0.0
        self.slept = 0.0
        self.rng = np.random.default_rng(seed)

    def call(self, milliseconds: float):
        def run() -> None:
            slowness = 1 + self.drift_per_second * self.seconds
            self.seconds += milliseconds / 1000 * slowness * np.exp(self.noise * self.rng.standard_normal())

        return run

    def time(self, call):
        before = self.seconds
        call()
        taken = (self.seconds - before) * 1000
        return taken, taken

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept += seconds


def test_the_speedup_of_a_model_twice_as_fast_is_two() -> None:
    machine = Machine()
    latency = time_pair(machine.call(5), machine.call(10), CLOSER_LOOK, clock=machine)
    assert latency.speedup.value == pytest.approx(2, rel=0.02)
    assert latency.speedup.low < 2 < latency.speedup.high
    assert latency.p50_ms == pytest.approx(5, rel=0.02)
    assert latency.cpu_time_speedup == pytest.approx(2, rel=0.02)
    assert not latency.contended


@pytest.mark.parametrize("milliseconds", [3.0, 30.0, 400.0])
def test_the_interval_of_two_equal_models_covers_one_as_often_as_it_says(milliseconds: float) -> None:
    protocol = SHORT_LOOK.model_copy(update={"max_seconds": 20.0 if milliseconds < 100 else 6.0, "resamples": 200})
    covered = []
    for seed in range(60):
        machine = Machine(noise=0.1, seed=seed)
        latency = time_pair(machine.call(milliseconds), machine.call(milliseconds), protocol, clock=machine)
        covered.append(abs(np.log(latency.speedup.value)) <= latency.half_width_within)
    assert np.mean(covered) >= 0.85


def test_a_machine_that_slows_down_all_the_while_does_not_favour_either() -> None:
    machine = Machine(noise=0.005, drift_per_second=0.05)
    latency = time_pair(machine.call(10), machine.call(10), CLOSER_LOOK, clock=machine)
    assert latency.speedup.value == pytest.approx(1, abs=0.01)


def test_timing_goes_on_until_the_interval_is_narrow_enough() -> None:
    calm, noisy = Machine(noise=0.005), Machine(noise=0.015)
    for machine in (calm, noisy):
        latency = time_pair(machine.call(20), machine.call(20), CLOSER_LOOK, clock=machine)
        assert latency.half_width_within <= CLOSER_LOOK.half_width
    assert noisy.seconds > calm.seconds


def test_timing_stops_at_the_cap_and_the_interval_is_what_it_is() -> None:
    machine = Machine(noise=0.8)
    latency = time_pair(machine.call(40), machine.call(40), SHORT_LOOK, clock=machine)
    assert machine.seconds < SHORT_LOOK.max_seconds * 1.5
    assert latency.half_width_within > SHORT_LOOK.half_width


def test_a_model_of_seconds_per_call_is_called_three_times_and_no_more() -> None:
    machine = Machine(noise=0.01)
    latency = time_pair(machine.call(20_000), machine.call(20_000), SHORT_LOOK, clock=machine)
    assert len(latency.candidate_ms.values) == 3
    assert latency.candidate_ms.warmups == 1
    assert latency.speedup.low < 1 < latency.speedup.high


class ForgetfulMachine(Machine):
    """Calls after the other model's turn are slower, until the caches are full again."""

    def __init__(self) -> None:
        super().__init__(noise=0.0)
        self.cached: object = None
        self.cold = 0.0

    def passes(self, count: int):
        model = object()

        def run() -> None:
            if self.cached is not model:
                self.cached, self.cold = model, 0.3
            for _ in range(count):
                self.seconds += 0.01 * (1 + self.cold)
                self.cold /= 3

        return run


def test_a_model_is_not_timed_with_colder_caches_for_being_fast() -> None:
    machine = ForgetfulMachine()
    speedup = time_pair(machine.passes(1), machine.passes(2), SHORT_LOOK, clock=machine).speedup
    assert speedup.value == pytest.approx(2, rel=0.004)


@pytest.mark.parametrize(("between", "half_width"), [(0.03, 0.01), (0.0, 0.03)])
def test_the_interval_over_several_processes_holds_the_truth_as_often_as_it_says(
    between: float, half_width: float
) -> None:
    """From one process to the next something changes that makes one of the models a bit faster."""
    rng, machine = np.random.default_rng(0), Machine()
    one = time_pair(machine.call(50), machine.call(100), SHORT_LOOK, clock=machine, drift=0.05)
    covered, whole = [], np.hypot(half_width, 1.96 * one.drift)
    for _ in range(300):
        logs = np.log(2) + rng.normal(0, np.hypot(between, half_width / 1.96), FRESH_PROCESSES)
        speedups = [Estimate(value=np.exp(v), low=np.exp(v - whole), high=np.exp(v + whole)) for v in logs]
        together = pooled([one.model_copy(update={"speedup": speedup}) for speedup in speedups]).speedup
        covered.append(together.low <= 2 <= together.high)
    assert np.mean(covered) >= 0.94


def test_several_processes_are_told_as_one_with_the_readings_of_all() -> None:
    machine = Machine(noise=0.2)
    one, other = (time_pair(machine.call(ms), machine.call(20), CLOSER_LOOK, clock=machine) for ms in (10, 5))
    together = pooled([one, other])
    assert together.processes == 2
    assert together.speedup.value == pytest.approx((one.speedup.value * other.speedup.value) ** 0.5)
    assert one.p50_ms > together.p50_ms > other.p50_ms
    assert together.candidate_ms.n_readings == sum(
        timing.candidate_ms.n_readings or len(timing.candidate_ms.values) for timing in (one, other)
    )
    assert len(together.candidate_ms.values) <= STORED_READINGS


def test_one_look_alone_is_never_surer_than_the_drift_of_the_machine_allows() -> None:
    machine = Machine(noise=1e-4)
    latency = time_pair(machine.call(5), machine.call(10), CLOSER_LOOK, clock=machine, drift=0.03)
    assert np.log(latency.speedup.high / latency.speedup.low) / 2 == pytest.approx(1.96 * 0.03, rel=0.05)
    assert latency.half_width_within < 0.003


def test_drift_is_presumed_at_first_and_then_what_the_original_changes_from_look_to_look() -> None:
    rng = np.random.default_rng(0)
    assert drift([]) == drift([10.0]) == pytest.approx(PRESUMED_DRIFT)
    calm, shared = (drift(list(10 * np.exp(rng.normal(0, sd, LATEST_LOOKS)))) for sd in (0.002, 0.1))
    assert calm < 0.4 * PRESUMED_DRIFT
    assert 0.07 < shared < 0.13
    assert drift([10.0] * LATEST_LOOKS + [20.0] * LATEST_LOOKS) == drift([20.0] * LATEST_LOOKS)


def test_what_the_original_took_is_its_own_timing_or_what_it_took_beside_a_candidate() -> None:
    machine = Machine()
    alone = time_pair(machine.call(20), None, SHORT_LOOK, clock=machine)
    beside = time_pair(machine.call(5), machine.call(10), SHORT_LOOK, clock=machine)
    assert original_ms([alone, None, beside]) == pytest.approx([20, 10], rel=0.02)


def test_the_first_calls_of_a_slot_are_dropped_unless_calls_are_long() -> None:
    for milliseconds, dropped in ((10.0, True), (LONG_CALL_SECONDS * 2000, False)):
        machine = Machine(noise=0.0)
        calls = 0

        def counted(machine: Machine = machine, milliseconds: float = milliseconds) -> None:
            nonlocal calls
            calls += 1
            machine.call(milliseconds)()

        latency = time_pair(counted, machine.call(milliseconds), SHORT_LOOK, clock=machine)
        kept = latency.candidate_ms.n_readings or len(latency.candidate_ms.values)
        assert (calls - latency.candidate_ms.warmups > kept) is dropped


def test_warm_up_lasts_until_the_median_settles() -> None:
    machine = Machine(noise=0.0)
    made = 0

    def warming() -> None:
        nonlocal made
        made += 1
        machine.call(10.0 * (1 + 4 * max(0, 40 - made) / 40))()

    latency = time_pair(warming, machine.call(10.0), CLOSER_LOOK, clock=machine)
    assert latency.candidate_ms.warmups > 40
    assert latency.speedup.value == pytest.approx(1, abs=0.01)


class RestlessMachine(Machine):
    """Something else takes turns with us, each for a while: about half of the slots take three times as long."""

    def call(self, milliseconds: float):
        run = super().call(milliseconds)

        def slowed() -> None:
            for _ in range(3 if np.sin(self.seconds**2 * 1000) > 0 else 1):
                run()

        return slowed


def test_a_machine_on_which_the_original_differs_from_itself_is_called_contended() -> None:
    protocol = CLOSER_LOOK.model_copy(update={"max_seconds": 10.0, "min_seconds": 1.0})
    restless = RestlessMachine()
    latency = time_pair(restless.call(7), restless.call(7), protocol, clock=restless)
    assert latency.contended
    assert latency.control is not None
    assert abs(latency.control.value - 1) > 0.02
    calm = Machine()
    assert not time_pair(calm.call(10), calm.call(10), protocol, clock=calm).contended
    assert calm.slept == 0


def test_calls_held_up_by_others_are_called_contended_in_the_short_look_too() -> None:
    class Busy(Machine):
        """Calls longer than a time slice wait for others twice as long as they compute; shorter ones do not."""

        def time(self, call):
            computing, _ = super().time(call)
            waiting = 2 * computing if computing > 2 else 0.0
            self.seconds += waiting / 1000
            return computing + waiting, computing

    machine = Busy()
    assert time_pair(machine.call(1), machine.call(5), SHORT_LOOK, clock=machine).contended
    assert not time_pair(machine.call(1), machine.call(1.5), SHORT_LOOK, clock=machine).contended


def test_a_contended_machine_is_left_alone_for_a_while_and_tried_again() -> None:
    protocol = CLOSER_LOOK.model_copy(update={"half_width": 10.0, "max_seconds": 30.0})
    machine = RestlessMachine()
    time_pair(machine.call(8), machine.call(8), protocol, clock=machine)
    assert machine.slept == protocol.backoff_seconds


def test_the_original_itself_has_a_speedup_of_exactly_one() -> None:
    machine = Machine()
    latency = time_pair(machine.call(10), None, SHORT_LOOK, clock=machine)
    assert latency.baseline_ms is None
    assert (latency.speedup.low, latency.speedup.value, latency.speedup.high) == (1, 1, 1)


def test_of_many_readings_a_few_are_kept_that_have_the_same_percentiles() -> None:
    machine = Machine(noise=0.2)
    latency = time_pair(machine.call(1), machine.call(1), CLOSER_LOOK, clock=machine)
    samples = latency.candidate_ms
    assert len(samples.values) == STORED_READINGS
    assert samples.n_readings is not None
    assert samples.n_readings > STORED_READINGS
    assert samples.median == pytest.approx(1, rel=0.03)
    assert latency.p95_ms == pytest.approx(np.exp(0.2 * 1.645), rel=0.05)


def test_the_same_seed_on_the_same_machine_gives_the_same_figures() -> None:
    def timed(seed: int):
        machine = Machine(seed=7)
        return time_pair(machine.call(5), machine.call(6), SHORT_LOOK, seed=seed, clock=machine).speedup

    assert timed(1) == timed(1)
    assert timed(1) != timed(2)


def test_the_real_clock_tells_sleeping_from_working() -> None:
    def work() -> None:
        sum(range(20_000))

    latency = time_pair(work, lambda: time.sleep(0.001), SHORT_LOOK)
    assert latency.clock == "wall"
    assert latency.p50_ms > 0
    assert latency.cpu_time_speedup is not None
    assert latency.involuntary_switches is not None
    assert latency.candidate_ms.unit == "ms"
