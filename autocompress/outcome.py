"""How a search ended."""

from __future__ import annotations

from typing import Any

from autocompress.frozen import Frozen
from autocompress.records import Certificate, Energy, Latency, Measurement, MemoryFigures, TrialRecord


class Finalist(Frozen):
    """A trial that was judged again on the holdout part; the best one was timed again, too, in fresh processes."""

    number: int
    holdout: Measurement | None
    certificate: Certificate | None
    problem: str | None = None
    """Why it could not be judged, if it could not."""


class Outcome(Frozen):
    """The best trial by the stated rule, and how sure that is.

    ``best`` is None when nothing is feasible; ``reason`` says why the search ended. ``memories`` is that of the front
    and of the finalists, by number, where no limit had it measured in the search.
    """

    reason: str
    best: int | None
    front: tuple[int, ...]
    finalists: tuple[Finalist, ...] = ()
    memories: dict[int, MemoryFigures] = {}

    @property
    def certificate(self) -> Certificate | None:
        """The best trial's certificate; None without a limit on quality, or when it was not judged."""
        return next((finalist.certificate for finalist in self.finalists if finalist.number == self.best), None)

    @property
    def latencies(self) -> dict[int, Latency]:
        """How fast those finalists are that were timed again, in fresh processes; by number."""
        return {each.number: each.holdout.latency for each in self.finalists if each.holdout and each.holdout.latency}

    def last_measured(self, record: TrialRecord) -> TrialRecord:
        """The trial with what was measured of it last: a finalist's latency and energy, and memory; quality stays.

        The holdout's quality is for the certificate alone.
        """
        searched = record.measurement
        better: dict[str, Any] = {}
        if searched is None:
            return record
        holdout = next((each.holdout for each in self.finalists if each.number == record.number), None)
        if holdout is not None:
            better |= {"latency": holdout.latency or searched.latency, "energy": holdout.energy}
        memory = self.memories.get(record.number)
        if memory is not None:
            better |= {"ram": memory.ram, "vram": memory.vram}
        return record.model_copy(update={"measurement": searched.model_copy(update=better)})

    @property
    def energies(self) -> dict[int, Energy]:
        """What one call of each finalist takes, where that is known; by number, the best first."""
        ordered = sorted(self.finalists, key=lambda finalist: finalist.number != self.best)
        return {each.number: each.holdout.energy for each in ordered if each.holdout and each.holdout.energy}

    @property
    def why_no_energy(self) -> str | None:
        """Why energy is not known; None where it is."""
        judged = [finalist.holdout for finalist in self.finalists if finalist.holdout]
        return next((holdout.why_no_energy for holdout in judged if holdout.why_no_energy), None)
