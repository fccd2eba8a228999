"""What proposals promised, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from autocompress.search.sampler.hypervolume import front_of, hypervolume

LATEST = 20
CREDIT = 2
"""So many promises of usual size count as kept beforehand: one or two that were broken say little."""


class Promises:
    """Follows by how much each trial enlarged the hypervolume, and compares that with what was expected of it.

    Args:
        reference: where the hypervolume is measured from.
    """

    def __init__(self, reference: Sequence[float]) -> None:
        self._reference = reference
        self._made: dict[str, tuple[float, bool]] = {}
        self._front = np.empty((0, len(reference)))
        self._volume = 0.0
        self._seen: set[str] = set()
        self._ended: list[tuple[float, float, bool]] = []

    def make(self, key: str, share: float, *, guarding: bool) -> None:
        """A trial of this key is expected to enlarge the hypervolume by such a share."""
        self._made[key] = share, guarding

    def follow(self, ended: Iterable[tuple[str, Sequence[float] | None]]) -> None:
        """All trials that ended: key and values of the objectives, None for one outside the limits."""
        for key, values in ended:
            if key in self._seen:
                continue
            self._seen.add(key)
            before = self._volume
            if values is not None:
                self._front = front_of(np.vstack([self._front, np.asarray(values, dtype=float)]))
                self._volume = hypervolume(self._front, self._reference)
            if key in self._made and before > 0:
                promised, guarding = self._made[key]
                self._ended.append((promised, self._volume / before - 1, guarding))

    @property
    def kept_share(self) -> float:
        """How much of what the latest proposals promised came to be, at most 1."""
        latest = self._ended[-LATEST:]
        promised, kept = (sum(one[index] for one in latest) for index in (0, 1))
        credit = CREDIT * promised / max(1, len(latest))
        return float(min(1.0, (kept + credit) / (promised + credit))) if promised > 0 else 1.0

    @property
    def guards_do_better(self) -> bool:
        """Whether proposals that do without what was believed beforehand have brought more, each, than the others."""
        by_guards = [kept for _, kept, guarding in self._ended if guarding]
        by_beliefs = [kept for _, kept, guarding in self._ended if not guarding]
        return bool(by_guards and by_beliefs) and float(np.mean(by_guards)) > float(np.mean(by_beliefs))
