"""What is foretold of a search and its known-good recipes, as `autocompress estimate --json` prints it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autocompress.report.numbers import BYTES_PER_MB, NOT_MEASURED, ratio
from autocompress.rounding import significant
from autocompress.search_cost import SearchCost
from autocompress.tui.model.limit_words import BYTES_PER_GB, told


@dataclass(frozen=True, slots=True)
class Between:
    """Between which figures one lies, mostly."""

    low: float
    high: float

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Between:
        """What a span says."""
        return cls(float(plain["low"]), float(plain["high"]))


@dataclass(frozen=True, slots=True)
class ExpectedRecipe:
    """A known-good recipe and its figures before it is run.

    ``memory_bytes`` is the device's where a search is on a device. ``breaks`` are the limits that it surely breaks,
    ``may_break`` those of which it can't be said.
    """

    label: str
    size_bytes: float
    size_is_exact: bool
    size_ratio: float
    memory_bytes: Between
    latency_ms: Between | None
    breaks: frozenset[str]
    may_break: frozenset[str]

    @classmethod
    def of(cls, plain: Mapping[str, Any], original_bytes: float) -> ExpectedRecipe:
        """What an item of ``recipes`` says."""
        latency = plain["latency_ms"]
        return cls(
            label=" → ".join((*map(str, plain["labels"]), str(plain["recipe"]["format"]))),
            size_bytes=float(plain["size_bytes"]),
            size_is_exact=bool(plain["size_is_exact"]),
            size_ratio=float(plain["size_bytes"]) / original_bytes,
            memory_bytes=Between.of(plain["ram_bytes"]),
            latency_ms=None if latency is None else Between.of(latency),
            breaks=frozenset(map(str, plain["breaks"])),
            may_break=frozenset(map(str, plain["may_break"])),
        )

    @property
    def size(self) -> str:
        """``23.1 MB``; ``~11.6 MB`` where the weights' values decide, too."""
        return f"{'' if self.size_is_exact else '~'}{told('size', self.size_bytes)}"

    @property
    def ratio(self) -> str:
        """The size against the original's: ``0.254×``."""
        return ratio(self.size_ratio, 3 if self.size_ratio >= 0.1 else 2)

    @property
    def memory(self) -> str:
        """``86–160 MB``."""
        low, high = self.memory_bytes.low, self.memory_bytes.high
        unit, length = _unit_of(high)
        return f"{significant(low / length, 2)}–{significant(high / length, 2)} {unit}"

    @property
    def latency(self) -> str:
        """``2.3–9.0 ms``."""
        span = self.latency_ms
        return NOT_MEASURED if span is None else f"{significant(span.low, 2)}–{significant(span.high, 2)} ms"


@dataclass(frozen=True, slots=True)
class Expected:
    """All of it; ``recipes`` are in the order in which a search tries them."""

    device: str
    recipes: tuple[ExpectedRecipe, ...]
    cost: SearchCost

    @classmethod
    def read(cls, output: str) -> Expected:
        """From all that the command prints.

        Raises:
            ValueError: it is not of this version.
        """
        try:
            plain = json.loads(output)
            original_bytes = float(plain["original"]["size_bytes"])
            return cls(
                device=str(plain["device"]),
                recipes=tuple(ExpectedRecipe.of(one, original_bytes) for one in plain["recipes"]),
                cost=SearchCost(**{name: float(value) for name, value in plain["cost"].items()}),
            )
        except (KeyError, TypeError, AttributeError, ZeroDivisionError) as problem:
            raise ValueError(f"the estimate cannot be read: {problem!r}") from problem

    @property
    def memory_name(self) -> str:
        """Which memory it is."""
        return "VRAM" if self.device == "cuda" else "RAM"

    @property
    def n_inside(self) -> int:
        """How many recipes may keep all limits."""
        return sum(not recipe.breaks for recipe in self.recipes)

    def first(self, count: int) -> tuple[ExpectedRecipe, ...]:
        """So many recipes, those that may keep the limits before all others."""
        return tuple(sorted(self.recipes, key=lambda recipe: bool(recipe.breaks))[: max(0, count)])

    def told_disk(self, trials: int) -> str:
        """``up to 1.2 GB on disk``."""
        most = self.cost.disk_bytes(trials)[1]
        unit, length = _unit_of(most)
        return f"up to {significant(most / length, 2)} {unit} on disk"


def _unit_of(n_bytes: float) -> tuple[str, int]:
    return ("GB", BYTES_PER_GB) if n_bytes >= BYTES_PER_GB else ("MB", BYTES_PER_MB)
