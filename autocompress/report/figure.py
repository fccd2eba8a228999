"""The Pareto front as a picture: PNG, SVG or PDF, by matplotlib where it is installed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from autocompress.errors import EnvironmentProblem, UsageError
from autocompress.report.numbers import ratio
from autocompress.report.points import Axis, axis_title, other_limit, points, size_limit
from autocompress.report.results import Results
from autocompress.report.table import LEGEND, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
# Okabe and Ito's colours, told apart by the colour-blind too; the marker says the same without colour.
LOOKS = {
    Standing.VIOLATES: ("x", "#999999"),
    Standing.FEASIBLE: ("o", "#56B4E9"),
    Standing.ORIGINAL: ("s", "#000000"),
    Standing.FRONT: ("*", "#009E73"),
}
BEST_COLOUR = "#D55E00"


def write_front_figure(results: Results, path: Path, *, axis: Axis = "quality_drop") -> None:
    """Draw the front into a file; its suffix says the kind.

    Raises:
        UsageError: the suffix is none of .png, .svg and .pdf.
        EnvironmentProblem: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"cannot draw a {path.suffix or 'nameless'} file", where=str(path), remedy="Use .png or .svg.")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        remedy = "Run `pip install 'autocompress[plot]'`."
        raise EnvironmentProblem("drawing pictures needs matplotlib", remedy=remedy) from missing
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), results, axis)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _draw(axes: Axes, results: Results, axis: Axis) -> None:
    shown = [point for point in points(results, axis) if math.isfinite(point.other)]
    for kind, (marker, colour) in LOOKS.items():
        group = [point for point in shown if point.standing is kind]
        if group:
            sizes, others = [point.size_ratio for point in group], [point.other for point in group]
            area = 140 if marker == "*" else 45
            axes.scatter(sizes, others, s=area, marker=marker, color=colour, label=LEGEND[kind], zorder=3)
    for point in shown:
        weight = "bold" if point.best else "normal"
        axes.annotate(
            f"{point.trial}", (point.size_ratio, point.other), (5, 5), textcoords="offset points", weight=weight
        )
        if point.best:
            axes.scatter(
                [point.size_ratio], [point.other], s=320, facecolors="none", edgecolors=BEST_COLOUR, label="the best"
            )
    size, other = size_limit(results), other_limit(results, axis)
    if size is not None:
        axes.axvline(size, linestyle="--", color="#CC79A7", label="limit")
    if other is not None:
        axes.axhline(other, linestyle="--", color="#CC79A7", label=None if size is not None else "limit")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: ratio(value, 2))
    axes.xaxis.set_minor_formatter(lambda value, _: ratio(value, 2) if f"{value:e}"[0] in "235" else "")
    axes.set_xlabel("size, of the original's (smaller is better)")
    axes.set_ylabel(axis_title(results, axis))
    axes.grid(alpha=0.25)
    if shown:
        axes.legend(frameon=False, fontsize="small")
