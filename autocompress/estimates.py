"""What is foretold of a search and of its known-good recipes."""

from __future__ import annotations

import math

from autocompress.frozen import Frozen
from autocompress.recipe import Recipe
from autocompress.search_cost import SearchCost


class Span(Frozen):
    """Between which figures one lies, mostly."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Equally many times larger than the low end and smaller than the high one."""
        return math.sqrt(self.low * self.high)


class Foretold(Frozen):
    """One recipe's figures before it is run.

    ``size_error`` is by how much the size may be off, as a share of it. ``ram_bytes`` is the device's memory where a
    search is on a device. ``breaks`` are the limits that it breaks even if the figures are as far off as they may be,
    ``may_break`` those that lie within what they may be off by.
    """

    recipe: Recipe
    size_bytes: int
    size_error: float
    ram_bytes: Span
    latency_ms: Span | None
    breaks: tuple[str, ...] = ()
    may_break: tuple[str, ...] = ()


class Estimates(Frozen):
    """All that is foretold of a search: of the original, of each known-good recipe, and of the search itself.

    ``cost`` is what ``seconds`` and ``disk_bytes`` follow from, for any number of trials.
    """

    architecture: str
    task: str
    n_parameters: int
    device: str
    original: Foretold
    recipes: tuple[Foretold, ...]
    trials: int
    seconds: Span
    disk_bytes: Span
    cost: SearchCost
    flops_per_second: float
    bytes_per_second: float
