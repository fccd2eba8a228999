"""The Pareto front drawn with characters: size to the right on a log scale, quality lost or speed-up upwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autocompress.report.numbers import ratio
from autocompress.report.points import Axis, Point, axis_title, other_limit, points, size_limit
from autocompress.report.results import Results
from autocompress.report.table import Standing
from autocompress.rounding import significant


@dataclass(frozen=True)
class _Characters:
    """What the plot is drawn with."""

    marks: dict[Standing, str]
    best: str
    horizontal: str
    vertical: str
    corner: str
    tick: str
    limit_across: str
    limit_up: str
    times: str


UNICODE = _Characters(
    {Standing.ORIGINAL: "◎", Standing.FRONT: "★", Standing.FEASIBLE: "•", Standing.VIOLATES: "×"},
    *("◆", "─", "│", "└", "┴", "┄", "┆", "×"),
)
ASCII = _Characters(
    {Standing.ORIGINAL: "O", Standing.FRONT: "*", Standing.FEASIBLE: "+", Standing.VIOLATES: "x"},
    *("@", "-", "|", "+", "+", ".", ":", "x"),
)
DRAWN_LAST = (Standing.VIOLATES, Standing.FEASIBLE, Standing.ORIGINAL, Standing.FRONT)
NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
SMALLEST_WIDTH, SMALLEST_HEIGHT = 40, 8


@dataclass(frozen=True)
class _Scale:
    """A range of values laid over so many cells."""

    low: float
    high: float
    cells: int

    def cell(self, value: float) -> int:
        """The cell that a value falls into; values beyond the range fall into its last cells."""
        share = (value - self.low) / (self.high - self.low)
        return min(self.cells - 1, max(0, round(share * (self.cells - 1))))


def front_plot(
    results: Results, *, axis: Axis = "quality_drop", width: int = 80, height: int = 20, ascii_only: bool = False
) -> str:
    """The front as text, with a legend; lines end without blanks.

    Args:
        results: what to draw.
        axis: the figure to draw upwards.
        width: columns of the whole plot, at least 40.
        height: rows of the whole plot, legend included, at least 8.
        ascii_only: use no character beyond ASCII.
    """
    drawn = UNICODE if not ascii_only else ASCII
    shown = [point for point in points(results, axis) if math.isfinite(point.other)]
    if not shown:
        return "Nothing to plot: no trial has both figures yet."
    limit = other_limit(results, axis)
    ticks = _nice_ticks([point.other for point in shown] + ([limit] if limit is not None else []))
    labels = [_plain(significant(tick), ascii_only) for tick in ticks]
    margin = max(len(label) for label in labels) + 1
    columns, rows = max(SMALLEST_WIDTH, width) - margin - 1, max(SMALLEST_HEIGHT, height) - 5
    across, up = _size_scale(shown, results, columns), _Scale(ticks[0], ticks[-1], rows)
    canvas = [[" "] * columns for _ in range(rows)]
    _draw_limits(canvas, across, up, size_limit(results), limit, drawn)
    _draw_points(canvas, across, up, shown, drawn)
    tick_rows = {rows - 1 - up.cell(tick): label for tick, label in zip(ticks, labels, strict=True)}
    lines = [_plain(axis_title(results, axis), ascii_only)]
    lines += [
        f"{tick_rows.get(row, ''):>{margin - 1}} {drawn.vertical}{''.join(cells)}" for row, cells in enumerate(canvas)
    ]
    lines += _size_axis(across, columns, margin, drawn)
    lines.append(_legend(shown, results, axis, drawn))
    return "\n".join(line.rstrip() for line in lines)


def _plain(text: str, ascii_only: bool) -> str:
    return text.replace("\N{MINUS SIGN}", "-") if ascii_only else text


def _nice_ticks(values: Sequence[float]) -> list[float]:
    """Round values that span these, three to six of them."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / 4
    decade = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * decade for nice in NICE_STEPS if nice * decade >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _size_scale(shown: Sequence[Point], results: Results, columns: int) -> _Scale:
    """Log10 of the size ratio, with a little room on both sides and for the trial's number on the right."""
    sizes = [point.size_ratio for point in shown]
    limit = size_limit(results)
    sizes += [limit] if limit is not None else []
    low, high = math.log10(min(sizes)), math.log10(max(sizes))
    room = max(0.04, 0.06 * (high - low))
    return _Scale(low - room, high + room, columns)


def _draw_limits(
    canvas: list[list[str]],
    across: _Scale,
    up: _Scale,
    size: float | None,
    other: float | None,
    drawn: _Characters,
) -> None:
    if other is not None:
        canvas[len(canvas) - 1 - up.cell(other)] = [drawn.limit_across] * across.cells
    if size is not None:
        for row in canvas:
            row[across.cell(math.log10(size))] = drawn.limit_up


def _draw_points(
    canvas: list[list[str]], across: _Scale, up: _Scale, shown: Sequence[Point], drawn: _Characters
) -> None:
    """Marks first, the more important ones over the others; then numbers, where there is room for them."""
    ordered = sorted(shown, key=lambda point: (point.best, DRAWN_LAST.index(point.standing)))
    places = {
        point: (len(canvas) - 1 - up.cell(point.other), across.cell(math.log10(point.size_ratio))) for point in shown
    }
    for point in ordered:
        row, column = places[point]
        canvas[row][column] = drawn.best if point.best else drawn.marks[point.standing]
    taken = set(places.values())
    for point in reversed(ordered):
        row, column = places[point]
        label = str(point.trial)
        for start in (column + 1, column - len(label)):
            cells = [(row, start + offset) for offset in range(len(label))]
            if all(0 <= c < across.cells and cell not in taken for cell in cells for c in [cell[1]]):
                taken.update(cells)
                canvas[row][start : start + len(label)] = label
                break


def _size_axis(across: _Scale, columns: int, margin: int, drawn: _Characters) -> tuple[str, str]:
    """The line below the plot and its labels."""
    line, labels = [drawn.horizontal] * columns, [" "] * columns
    free_from = 0
    for value in _size_ticks(across):
        column = across.cell(math.log10(value))
        text = ratio(value, 2).replace("×", drawn.times)
        start = min(max(0, column - len(text) // 2), columns - len(text))
        if start >= free_from:
            line[column] = drawn.tick
            labels[start : start + len(text)] = text
            free_from = start + len(text) + 2
    title = " size"
    bare = "".join(labels).rstrip()
    told = bare + title if len(bare) + len(title) <= columns else bare
    return " " * margin + drawn.corner + "".join(line), " " * (margin + 1) + told


def _size_ticks(across: _Scale) -> list[float]:
    decades = range(math.floor(across.low), math.ceil(across.high) + 1)
    candidates = [digit * 10.0**decade for decade in decades for digit in (1, 1.5, 2, 3, 5, 7)]
    return [value for value in candidates if across.low <= math.log10(value) <= across.high]


def _legend(shown: Sequence[Point], results: Results, axis: Axis, drawn: _Characters) -> str:
    words = {
        Standing.ORIGINAL: "original",
        Standing.FRONT: "front",
        Standing.FEASIBLE: "feasible",
        Standing.VIOLATES: "breaks a limit",
    }
    standings = {point.standing for point in shown if not point.best}
    parts = [f"{drawn.best} best"] if any(point.best for point in shown) else []
    parts += [f"{drawn.marks[kind]} {word}" for kind, word in words.items() if kind in standings]
    if size_limit(results) is not None or other_limit(results, axis) is not None:
        parts.append(f"{drawn.limit_up}{drawn.limit_across} limit")
    return "  ".join(parts)
