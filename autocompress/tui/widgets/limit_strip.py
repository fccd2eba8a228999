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
SPAN_WORTH_LOGARITHMS = 3.0
WORDS_WIDTH = 16


class Histogram:
    """How many figures lie in each cell: placed by their logarithms, or evenly where some are not positive.

    Args:
        values: the figures, in order.
        width: cells, those of the two ends' words included.
    """

    def __init__(self, values: Sequence[float], width: int) -> None:
        self.counts = [0] * max(8, width - WORDS_WIDTH)
        self.low, self.high, self._is_log = 0.0, 1.0, False
        if values:
            self._scale(values)
        for value in values:
            self.counts[self.cell(value)] += 1

    def _scale(self, values: Sequence[float]) -> None:
        count = len(values)
        low, high = values[int(count * OUTLIERS)], values[max(0, math.ceil(count * (1 - OUTLIERS)) - 1)]
        self._is_log = low > 0 and high / low > SPAN_WORTH_LOGARITHMS
        if high <= low:
            spread = abs(low) * 0.5 or 1.0
            low, high = low - spread, high + spread
        self.low, self.high = low, high

    def cell(self, value: float) -> int:
        """The cell of a figure; those beyond an end are in its last cell."""
        low, high = self._at(self.low), self._at(self.high)
        share = (self._at(max(value, self.low)) - low) / (high - low)
        return min(len(self.counts) - 1, max(0, int(share * len(self.counts))))

    def _at(self, value: float) -> float:
        return math.log(value) if self._is_log else value


def strip(drawn: Histogram, bound: float, glyphs: Glyphs, *, is_on: bool, scale: float) -> Content:
    """The strip, with what its two ends stand for.

    Args:
        drawn: the trials' figures.
        bound: the limit, in the same unit.
        glyphs: what to draw with.
        is_on: whether the limit holds.
        scale: what figures are multiplied by before they are shown.
    """
    most = max(drawn.counts)
    if not most:
        return Content.styled("not measured in this run", "$quiet")
    shades, mark = (ASCII_SHADES, "|") if glyphs.is_ascii else (SHADES, "┃")
    left, right = (glyphs.plain(significant(end * scale, 2)) for end in (drawn.low, drawn.high))
    at = drawn.cell(bound)
    parts: list[tuple[str, str]] = [(f"{left:>6} ", "$quiet")]
    for cell, count in enumerate(drawn.counts):
        if cell == at:
            parts.append((mark, "bold $limit" if is_on else "$quiet"))
            continue
        shade = math.ceil(math.sqrt(count / most) * (len(shades) - 1))
        style = "$front" if is_on and cell < at else "$infeasible" if is_on else "$quiet"
        parts.append((shades[shade], style))
    parts.append((f" {right}", "$quiet"))
    return Content.assemble(*parts)
