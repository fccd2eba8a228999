"""Latency of a candidate against the original: both in one process, in turns, until the ratio is known well enough."""

from __future__ import annotations

import gc
import math
import os
import resource
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from autocompress.frozen import Frozen
from autocompress.records import STORED_READINGS, Estimate, Latency, Samples

Call = Callable[[], object]
Array = npt.NDArray[np.float64]

SLOT_SECONDS = 0.06
"""Kept calls of the slower arm that make a slot: short against the seconds over which a shared machine drifts."""
MOST_SLOT_CALLS = 16
LONG_CALL_SECONDS = 0.25
"""From here on, refilling the caches after the other model's turn is too small a share of a call to drop that call."""
REFILL_CALLS = 2
"""Calls of the slower arm within which the caches are full again; the faster one is given as long."""
FEWEST_PASSES = 3
LARGEST_N_BLOCKS = 32
"""Consecutive passes are joined to at most so many blocks, so that a slow spell falls into few of them."""
CONTROL_TOLERANCE = 0.02
"""The original over itself may lie so far from 1 on a machine that is fit for timing."""
MOST_WALL_PER_CPU = 1.25
"""A call that computes on one thread takes about as long as it computes, unless others have the cores meanwhile."""
LARGEST_BOOTSTRAP = 10_000_000
"""Readings drawn by one bootstrap, all resamples together; bounds its time and memory."""


class LatencyProtocol(Frozen):
    """How precisely to time, and what that may cost.

    Attributes:
        half_width: stop when the interval of the log of the speed-up, by what is seen within this look, is at most this
            wide to either side.
        min_calls: kept calls per arm before stopping.
        min_seconds: seconds of timing before stopping.
        max_seconds: stop anyway; only the fewest passes that allow an interval (3 calls per arm) may take longer.
        min_warmups, max_warmups: calls per arm before timing; in between, until the median settles.
        control: also time the original against itself.
        attempts, backoff_seconds: where the original differs from itself, wait and try again, if the time is left.
    """

    half_width: Annotated[float, Field(gt=0)] = 0.02
    min_calls: Annotated[int, Field(ge=3)] = 32
    min_seconds: Annotated[float, Field(ge=0)] = 1.0
    max_seconds: Annotated[float, Field(gt=0)] = 8.0
    min_warmups: Annotated[int, Field(ge=1)] = 10
    max_warmups: Annotated[int, Field(ge=1)] = 100
    control: bool = True
    attempts: Annotated[int, Field(ge=1)] = 2
    backoff_seconds: Annotated[float, Field(ge=0)] = 2.0
    resamples: Annotated[int, Field(ge=100)] = 1000
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95


CLOSER_LOOK = LatencyProtocol()
"""For a candidate of which a limit or the front depends on more than the short look tells; and, in several fresh
processes, for a search's best finalist and for ``verify``."""

SHORT_LOOK = LatencyProtocol(
    half_width=0.04,
    min_calls=16,
    min_seconds=0.5,
    max_seconds=3.0,
    min_warmups=3,
    max_warmups=20,
    control=False,
    attempts=1,
    resamples=400,
)
"""For every candidate of a search."""


class Clock(ABC):
    """What ticks: times one call, and tells the seconds that have passed."""

    name: ClassVar[Literal["wall", "device_events"]]

    @abstractmethod
    def time(self, call: Call) -> tuple[float, float | None]:
        """Milliseconds of one call, and milliseconds of CPU time of all threads (None where that says nothing)."""

    def now(self) -> float:
        """Seconds, from an arbitrary zero."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Leave the machine alone for a while."""
        time.sleep(seconds)


class WallClock(Clock):
    """Wall-clock time on the CPU, with the process's CPU time beside it."""

    name = "wall"

    def time(self, call: Call) -> tuple[float, float | None]:
        """See `Clock.time`."""
        cpu_start, start = time.process_time_ns(), time.perf_counter_ns()
        call()
        end, cpu_end = time.perf_counter_ns(), time.process_time_ns()
        return (end - start) / 1e6, (cpu_end - cpu_start) / 1e6


class DeviceEventClock(Clock):
    """CUDA events around each call, waited for; a runtime with streams of its own is covered as far as it waits itself.

    A call gives its answer as NumPy arrays and so returns after its own work is done; the events tell when, by the
    device's clock. Clock rates of the device are left as they are.
    """

    name = "device_events"

    def __init__(self) -> None:
        import torch

        self._cuda: Any = torch.cuda
        event: Any = torch.cuda.Event
        self._start = event(enable_timing=True)
        self._end = event(enable_timing=True)

    def time(self, call: Call) -> tuple[float, float | None]:
        """See `Clock.time`."""
        self._cuda.synchronize()
        self._start.record()
        call()
        self._end.record()
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end)), None


class _Arm:
    """One of the models being timed: its calls and what they took, one list per slot."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.slots_ms: list[list[float]] = []
        self.slots_cpu_ms: list[list[float]] = []

    def run_slot(self, clock: Clock, n_calls: int, refill_seconds: float) -> None:
        """Time one slot's calls, after as many as refill the caches, which are full of the other model's data."""
        refilled = clock.now() + refill_seconds
        while clock.now() < refilled:
            self.call()
        readings = [clock.time(self.call) for _ in range(n_calls)]
        self.slots_ms.append([wall for wall, _ in readings])
        self.slots_cpu_ms.append([cpu for _, cpu in readings if cpu is not None])

    @property
    def readings_ms(self) -> list[float]:
        """All kept readings in order of time."""
        return [reading for slot in self.slots_ms for reading in slot]

    @property
    def median_cpu_ms(self) -> float | None:
        """Median CPU milliseconds of a call, or None."""
        readings = [reading for slot in self.slots_cpu_ms for reading in slot]
        return float(np.median(readings)) if readings else None


def time_pair(
    candidate: Call,
    baseline: Call | None,
    protocol: LatencyProtocol,
    *,
    device: str = "cpu",
    threads: int = 1,
    seed: int = 0,
    clock: Clock | None = None,
    drift: float = 0.0,
) -> Latency:
    """Time a candidate against the original in this process.

    After a warm-up, short slots of calls take turns in random order, each order followed by its mirror image (ABBA), so
    that drift of the machine hits both alike. The calls with which a slot begins refill the caches and are not kept;
    both models are given the same time for it, or the faster one would be timed with colder caches. The speed-up is the
    ratio of the two medians; its interval is that of a block bootstrap of the ratio's logarithm, Student's t for the
    number of blocks, with the machine's drift on top.

    Args:
        candidate: one call; returns when its answer is there.
        baseline: the same of the original; None when the original itself is timed (its speed-up is 1).
        protocol: how precisely; see `SHORT_LOOK` and `CLOSER_LOOK`.
        device: ``cpu`` (wall clock) or ``cuda`` (device events).
        threads: recorded; whoever loads the models sets it.
        seed: of the slots' order and the bootstrap.
        clock: in place of the device's own.
        drift: by how much speed-ups differ from one look to the next on this machine, see `drift.drift`.
    """
    clock = clock or (DeviceEventClock() if device == "cuda" else WallClock())
    rng = np.random.default_rng(seed)
    arms = {"candidate": _Arm(candidate)}
    if baseline is not None:
        arms["baseline"] = _Arm(baseline)
    if protocol.control:
        arms["control"] = _Arm(baseline or candidate)
    reference = "baseline" if baseline is not None else "candidate"

    started = clock.now()
    switches_before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    with _garbage_collector_off():
        warmups, call_seconds = _warm_up([candidate, *([baseline] if baseline else [])], protocol, clock)
        for attempt in range(protocol.attempts):
            for arm in arms.values():
                arm.slots_ms.clear()
                arm.slots_cpu_ms.clear()
            attempt_started = clock.now()
            left = protocol.max_seconds - (attempt_started - started)
            _take_turns(list(arms.values()), protocol, clock, rng, call_seconds, left)
            control = _speedup(arms[reference], arms["control"], protocol, rng, drift) if protocol.control else None
            off = control is not None and not _near_one(control)
            contended = off or (clock.name == "wall" and any(_was_held_up(arm) for arm in arms.values()))
            ended = clock.now()
            another = ended - attempt_started + protocol.backoff_seconds
            if not contended or attempt + 1 == protocol.attempts or ended + another > started + protocol.max_seconds:
                break
            clock.sleep(protocol.backoff_seconds)

    cpu_ms, reference_cpu_ms = arms["candidate"].median_cpu_ms, arms[reference].median_cpu_ms
    same = Estimate(value=1.0, low=1.0, high=1.0, level=protocol.level)
    return Latency(
        candidate_ms=_samples(arms["candidate"], warmups),
        baseline_ms=_samples(arms["baseline"], warmups) if baseline is not None else None,
        speedup=_speedup(arms["baseline"], arms["candidate"], protocol, rng, drift) if baseline is not None else same,
        clock=clock.name,
        threads=threads,
        drift=drift,
        contended=contended,
        control=control,
        cpu_time_speedup=reference_cpu_ms / cpu_ms if reference_cpu_ms and cpu_ms else None,
        involuntary_switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches_before,
        load_average=os.getloadavg()[0],
    )


def _was_held_up(arm: _Arm) -> bool:
    """Whether the calls took much more time than the process was computing: others had the cores meanwhile.

    It hits long calls harder than short ones, which fit between two interruptions, and so the ratio of the two.
    """
    cpu_ms = arm.median_cpu_ms
    return cpu_ms is not None and 0 < cpu_ms * MOST_WALL_PER_CPU < float(np.median(arm.readings_ms))


def _warm_up(calls: Sequence[Call], protocol: LatencyProtocol, clock: Clock) -> tuple[int, float]:
    """Call each until its median settles within 2 %; gives the calls made of each, and seconds of the slowest's call.

    At most a quarter of the protocol's time is spent on it, but one call of each is made in any case.
    """
    started = clock.now()
    readings: list[list[float]] = [[] for _ in calls]
    for done in range(1, protocol.max_warmups + 1):
        for call, taken in zip(calls, readings, strict=True):
            taken.append(clock.time(call)[0])
        if clock.now() - started > protocol.max_seconds / 4:
            break
        if done >= protocol.min_warmups and all(_settled(taken) for taken in readings):
            break
    return len(readings[0]), max(float(np.median(taken[len(taken) // 2 :])) for taken in readings) / 1000


def _settled(readings_ms: Sequence[float]) -> bool:
    quarter = max(1, len(readings_ms) // 4)
    earlier, later = np.median(readings_ms[-2 * quarter : -quarter]), np.median(readings_ms[-quarter:])
    return bool(abs(later - earlier) <= 0.02 * earlier)


def _take_turns(
    arms: Sequence[_Arm],
    protocol: LatencyProtocol,
    clock: Clock,
    rng: np.random.Generator,
    call_seconds: float,
    max_seconds: float,
) -> None:
    """Time all arms in passes until the protocol is met; a pass gives each arm one slot."""
    slot_calls = int(np.clip(SLOT_SECONDS / max(call_seconds, 1e-9), 1, MOST_SLOT_CALLS))
    refill_seconds = REFILL_CALLS * call_seconds if call_seconds < LONG_CALL_SECONDS else 0.0
    started = clock.now()
    next_look = FEWEST_PASSES
    order: list[_Arm] = []
    for passes in range(1, 1_000_000):
        order = order[::-1] if passes % 2 == 0 else [arms[index] for index in rng.permutation(len(arms))]
        for arm in order:
            arm.run_slot(clock, slot_calls, refill_seconds)
        seconds = clock.now() - started
        if passes < FEWEST_PASSES:
            continue
        if seconds >= max_seconds:
            return
        if passes < next_look or passes * slot_calls < protocol.min_calls or seconds < protocol.min_seconds:
            continue
        if len(arms) == 1:
            return
        if _log_ratio(arms[0], arms[1], protocol, rng)[1] <= protocol.half_width:
            return
        # looking costs time, and each look is a chance to stop at a lucky moment: look rarely
        next_look = passes + max(2, passes // 4)


def _log_ratio(over: _Arm, under: _Arm, protocol: LatencyProtocol, rng: np.random.Generator) -> tuple[float, float]:
    """Log of the ratio of the medians ``over / under``, and its interval's half-width, by block bootstrap.

    Source: Künsch 1989, Annals of Statistics 17:1217-1241 (blocks); the spread is scaled to Student's t, because the
    plain bootstrap is too sure of itself on few blocks.
    """
    from scipy.special import stdtrit

    above, below = _blocks(over), _blocks(under)
    n_blocks = len(above)
    resamples = int(np.clip(LARGEST_BOOTSTRAP // (above.size + below.size), 100, protocol.resamples))
    drawn = rng.integers(0, n_blocks, size=(resamples, n_blocks))
    logs = np.log(_medians(above, drawn)) - np.log(_medians(below, drawn))
    spread = float(logs.std(ddof=1)) * (n_blocks / (n_blocks - 1)) ** 0.5
    value = float(np.log(np.median(over.readings_ms)) - np.log(np.median(under.readings_ms)))
    return value, spread * float(stdtrit(n_blocks - 1, 0.5 + protocol.level / 2))


def _medians(blocks: Array, drawn: npt.NDArray[np.int64]) -> Array:
    """Median over the readings of each row of drawn blocks; a batch of rows at a time."""
    batch = max(1, 1_000_000 // max(1, blocks.size))
    rows = [drawn[start : start + batch] for start in range(0, len(drawn), batch)]
    return np.concatenate([np.median(blocks[some].reshape(len(some), -1), axis=1) for some in rows])


def _blocks(arm: _Arm) -> Array:
    """The readings, shape (n_blocks, readings per block); the oldest passes that fill no block are left out."""
    passes: Array = np.array(arm.slots_ms)
    per_block = -(-len(passes) // LARGEST_N_BLOCKS)
    n_blocks = len(passes) // per_block
    blocks: Array = passes[len(passes) - n_blocks * per_block :].reshape(n_blocks, -1)
    return blocks


def _speedup(over: _Arm, under: _Arm, protocol: LatencyProtocol, rng: np.random.Generator, drift: float) -> Estimate:
    from scipy.special import ndtri

    log_ratio, within = _log_ratio(over, under, protocol, rng)
    half_width = math.hypot(within, drift * float(ndtri(0.5 + protocol.level / 2)))
    low, value, high = (float(np.exp(log_ratio + shift)) for shift in (-half_width, 0.0, half_width))
    return Estimate(value=value, low=low, high=high, level=protocol.level)


def _near_one(control: Estimate) -> bool:
    return abs(control.value - 1) <= CONTROL_TOLERANCE


def _samples(arm: _Arm, warmups: int) -> Samples:
    """The readings in order of time; of more than 256, those at evenly spaced ranks, so that percentiles stay."""
    readings = arm.readings_ms
    if len(readings) <= STORED_READINGS:
        return Samples(values=tuple(readings), unit="ms", warmups=warmups)
    ranks = np.linspace(0, len(readings) - 1, STORED_READINGS).round().astype(int)
    picked = np.sort(np.argsort(readings, kind="stable")[ranks])
    values = tuple(readings[index] for index in picked)
    return Samples(values=values, unit="ms", warmups=warmups, n_readings=len(readings))


@contextmanager
def _garbage_collector_off() -> Iterator[None]:
    """Python's collector would run inside some calls and not in others."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
