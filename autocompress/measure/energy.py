"""Energy of a candidate's call against the original's: both in one process, in turns, while a meter counts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

from autocompress.measure.energy_meters import EnergyMeter, NoEnergyMeter
from autocompress.records import Energy, Estimate

Call = Callable[[], object]

SLOT_SECONDS = 1.0
"""Of one model's turn: counters are told every millisecond to every tenth of a second."""
WARM_UP_SECONDS = 0.5
ROUNDS = 6
FEWEST_ROUNDS = 3
MAX_SECONDS = 30.0
"""With fewer rounds where calls are long."""
LEVEL = 0.95


def measure_energy(
    candidate: Call, original: Call, meter: EnergyMeter, *, now: Callable[[], float] = time.perf_counter
) -> Energy:
    """Run both models steadily, in turns, every order followed by its mirror image (ABBA).

    Each turn gives the joules of one call; their mean has Student's t interval over the turns, the ratio that of the
    logarithms over neighbouring turns.

    Args:
        candidate: one call; returns when its answer is there.
        original: the same of the original.
        meter: what counts the joules.
        now: seconds, from an arbitrary zero.

    Raises:
        NoEnergyMeter: the meter stood still.
    """
    for call in (candidate, original):
        _calls_for(call, WARM_UP_SECONDS, now)
    mine: list[float] = []
    its: list[float] = []
    started = now()
    for n_round in range(ROUNDS):
        turns = [(candidate, mine), (original, its)]
        for call, joules in turns if n_round % 2 == 0 else turns[::-1]:
            joules.append(_joules_per_call(call, meter, now))
        if len(mine) >= FEWEST_ROUNDS and now() - started >= MAX_SECONDS:
            break
    logs = _mean([math.log(a / b) for a, b in zip(mine, its, strict=True)])
    return Energy(
        joules_per_sample=_mean(mine),
        original_joules_per_sample=_mean(its),
        ratio=Estimate(value=math.exp(logs.value), low=math.exp(logs.low), high=math.exp(logs.high), level=LEVEL),
        source=meter.source,
        measured=meter.measured,
    )


def _joules_per_call(call: Call, meter: EnergyMeter, now: Callable[[], float]) -> float:
    meter.start()
    n_calls = _calls_for(call, SLOT_SECONDS, now)
    joules = meter.stop()
    if joules <= 0:
        raise NoEnergyMeter(f"the figure of {meter.source} stood still while the model ran")
    return joules / n_calls


def _calls_for(call: Call, seconds: float, now: Callable[[], float]) -> int:
    """Call until the time is over, once at least; gives how many calls it were."""
    end = now() + seconds
    n_calls = 0
    while n_calls == 0 or now() < end:
        call()
        n_calls += 1
    return n_calls


def _mean(values: Sequence[float]) -> Estimate:
    from scipy.special import stdtrit

    n, mean = len(values), statistics.fmean(values)
    half_width = statistics.stdev(values) / math.sqrt(n) * float(stdtrit(n - 1, 0.5 + LEVEL / 2))
    return Estimate(value=mean, low=mean - half_width, high=mean + half_width, level=LEVEL)
