"""What a search of so many trials takes, from figures of one trial; the standard library alone."""

from __future__ import annotations

from dataclasses import dataclass

ARTIFACTS_KEPT = 8
"""Of the trials on the front, and of those that may be the best."""
STATES_OF_A_TRIAL = 0.3
"""Share of the trials whose steps take long enough to be kept in the cache."""


@dataclass(frozen=True, slots=True)
class SearchCost:
    """Rough figures of a trial, and what they come to over a search.

    Attributes:
        trial_seconds_low: what a trial takes at least, mostly.
        trial_seconds_high: what it takes at most, mostly.
        original_bytes: the original's artifact.
        artifact_bytes: that of a trial, on average.
        state_bytes: a model between two steps, as the cache of stages keeps it.
        cache_bytes: the most that the cache keeps.
    """

    trial_seconds_low: float
    trial_seconds_high: float
    original_bytes: float
    artifact_bytes: float
    state_bytes: float
    cache_bytes: float

    def seconds(self, trials: int, timeout: float | None = None) -> tuple[float, float]:
        """Between which durations the search lies, mostly; ``timeout`` (seconds) ends it."""
        low, high = trials * self.trial_seconds_low, trials * self.trial_seconds_high
        return (low, high) if timeout is None else (min(low, timeout), min(high, timeout))

    def disk_bytes(self, trials: int) -> tuple[float, float]:
        """The run's artifacts, and those with all that the cache of stages keeps beside them, graphs included."""
        artifacts = self.original_bytes + min(ARTIFACTS_KEPT, trials) * self.artifact_bytes
        states = min(self.cache_bytes, self.state_bytes * (1 + STATES_OF_A_TRIAL * trials))
        return artifacts, artifacts + states
