"""Where the trials lie in a limit's terms, as a strip of densities with the limit as a mark."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from autocompress.rounding import significant
from autocompress.tui.theme import Glyphs

SHADES, ASCII_SHADES = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
OUTLIERS = 0.02
"""This share at each end is drawn into the last cell."""


class StripScale:
    """Places figures on so many cells: by their logarithms, or evenly where some are not positive.

    Args:
        values: the figures, in order.
        width: cells.
    """

    def __init__(self, values: Sequence[float], width: int) -> None:
        self.width = width
        count = len(values)
        low, high = values[int(count * OUTLIERS)], values[max(0, math.ceil(count * (1 - OUTLIERS)) - 1)]
        self._is_log = low > 0 and high / low > 3
        if high <= low:
            spread = abs(low) * 0.5 or 1.0
            low, high = low - spread, high + spread
            self._is_log = False
        self.low, self.high = low, high

    def cell(self, value: float) -> int:
        """The cell of a figure; those beyond an end are in its last cell."""
        low, high = self._at(self.low), self._at(self.high)
        share = (self._at(max(value, self.low)) - low) / (high - low)
        return min(self.width - 1, max(0, int(share * self.width)))

    def _at(self, value: float) -> float:
        return math.log(value) if self._is_log else value


def strip(values: Sequence[float], bound: float, width: int, glyphs: Glyphs, *, is_on: bool, scale: float) -> Content:
    """The strip, with what its two ends stand for.

    Args:
        values: the trials' figures, in order.
        bound: the limit, in the same unit.
        width: cells, those of the ends included.
        glyphs: what to draw with.
        is_on: whether the limit holds.
        scale: what figures are multiplied by before they are shown.
    """
    if not values:
        return Content.styled("not measured in this run", "$quiet")
    shades, mark = (ASCII_SHADES, "|") if glyphs.is_ascii else (SHADES, "┃")
    placed = StripScale(values, max(8, width - 16))
    left, right = (glyphs.plain(significant(end * scale, 2)) for end in (placed.low, placed.high))
    counts = [0] * placed.width
    for value in values:
        counts[placed.cell(value)] += 1
    most = max(counts)
    at = placed.cell(bound)
    parts: list[tuple[str, str]] = [(f"{left:>6} ", "$quiet")]
    for cell, count in enumerate(counts):
        if cell == at:
            parts.append((mark, "bold $limit" if is_on else "$quiet"))
            continue
        shade = math.ceil(math.sqrt(count / most) * (len(shades) - 1))
        style = "$front" if is_on and cell < at else "$infeasible" if is_on else "$quiet"
        parts.append((shades[shade], style))
    parts.append((f" {right}", "$quiet"))
    return Content.assemble(*parts)
