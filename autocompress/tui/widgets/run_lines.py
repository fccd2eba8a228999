"""Runs as lines of a list, and a few lines on one of them."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from autocompress.report.numbers import ratio, signed
from autocompress.tui.model.figure_rows import gained
from autocompress.tui.model.headroom import LIMIT_WORDS
from autocompress.tui.model.run_list import RunRow
from autocompress.tui.model.trial import Trial
from autocompress.tui.theme import Glyphs

WIDE = 100
"""The model is left out where it is narrower."""
OTHER_COLUMNS = 61


@dataclass(frozen=True)
class RunLines:
    """The columns of a list that is so many cells wide."""

    width: int
    glyphs: Glyphs

    @property
    def _name_width(self) -> int:
        room = self.width - OTHER_COLUMNS
        return room * 3 // 5 if self.width >= WIDE else max(10, room)

    @property
    def _model_width(self) -> int:
        return self.width - OTHER_COLUMNS - self._name_width if self.width >= WIDE else 0

    def heads(self) -> str:
        """What stands above them."""
        model = f"{'model':<{self._model_width}}" if self._model_width else ""
        told = f"{'state':<14}{'run':<{self._name_width}}{model}"
        return f"{told}{'trials':>10}  {'size':<8}{'speed':<8}{'quality':<9}{'age':>6}"

    def line(self, name: str, row: RunRow | None, now: float) -> Content:
        """One run; None: it has not been read yet."""
        glyphs = self.glyphs
        name = _fitted(name, self._name_width - 1, glyphs)
        if row is None:
            return Content.styled(f"{'reading' + glyphs.ellipsis:<14}{name}", "$quiet")
        glyph, style = standing_sign(row, glyphs)
        parts: list[tuple[str, str]] = [
            (f"{glyph} {row.standing:<12}", style),
            (f"{name:<{self._name_width}}", "bold"),
        ]
        if self._model_width:
            model = _fitted(_model_name(row.model), self._model_width - 1, glyphs)
            parts.append((f"{model:<{self._model_width}}", "$quiet"))
        count = f"{row.n_trials}/{row.total}" if row.total else glyphs.not_measured
        parts.append((f"{count:>10}  ", ""))
        parts += [(glyphs.plain(text), style) for text, style in _best_cells(row, glyphs)]
        parts.append((f"{age_text(now - row.changed):>6}", "$quiet"))
        return Content.assemble(*parts)


def standing_sign(row: RunRow, glyphs: Glyphs) -> tuple[str, str]:
    """Glyph and style of what goes on in a run."""
    return {
        "starting": (glyphs.waiting, "$primary"),
        "searching": (glyphs.running, "$success"),
        "paused": (glyphs.paused, "$warning"),
        "stopping": (glyphs.running, "$warning"),
        "done": (glyphs.done, "$feasible"),
        "interrupted": (glyphs.failed, "$error"),
        "not begun": (glyphs.not_measured, "$quiet"),
    }[row.standing]


def _best_cells(row: RunRow, glyphs: Glyphs) -> list[tuple[str, str]]:
    best = row.best
    if best is None:
        words = "nothing feasible" if row.n_trials > 1 else glyphs.not_measured
        return [(f"{words:<25}", "$quiet")]
    size, speed, quality = best_texts(best, row)
    return [(f"{size:<8}", "$front"), (f"{speed:<8}", "$front"), (f"{quality:<9}", "")]


def best_texts(best: Trial, row: RunRow) -> tuple[str, str, str]:
    """Size, speed and change of quality of the best trial."""
    change = gained(best.drop)
    points = row.metric.is_rate if row.metric else False
    quality = "–" if change is None else signed(change.value, points=points) + (" pp" if points else "")
    speed = ratio(best.speedup.value) if best.speedup else "–"
    return ratio(best.size_ratio), f"{'~' if best.contended else ''}{speed}", quality


def about_run(row: RunRow, glyphs: Glyphs) -> Content:
    """A few lines on one run."""
    lines: list[Content] = []
    wanted = ", ".join(
        f"{LIMIT_WORDS[name]} {glyphs.at_most} {b.written}" for name, b in (row.constraints or {}).items()
    )
    model = row.model or "model not read yet"
    lines.append(Content.assemble((model, "bold"), (f"   {wanted or 'no limits'}", "$quiet")))
    best = row.best
    if best is not None:
        size, speed, quality = best_texts(best, row)
        metric = row.metric.name if row.metric else "quality"
        spread = f" [{best.speedup.low:.3g}, {best.speedup.high:.3g}]" if best.speedup else ""
        lines.append(Content.assemble((f"{glyphs.best} best #{best.number} ", "$accent"), glyphs.plain(best.label)))
        told = f"  {size} the size, {speed} as fast{spread}, {metric} {quality}"
        word = {True: "certified", False: "not certified", None: "observed"}[row.certified]
        lines.append(Content.assemble(glyphs.plain(told), (f"  {word}", "$front" if row.certified else "$quiet")))
    elif row.n_trials > 1:
        lines.append(
            Content.styled(
                "no recipe is inside every limit"
                if row.standing == "done"
                else "no recipe is inside every limit so far",
                "$warning",
            )
        )
    counts = f"{row.n_front} on the front, {row.n_failed} failed"
    lines.append(Content.styled(glyphs.plain(f"{counts}   {row.reason}" if row.reason else counts), "$quiet"))
    hint = {
        "interrupted": "R goes on with it, enter opens it",
        "done": "enter opens it, R adds trials",
        "not begun": "its search has not told anything yet; R starts it",
    }.get(row.standing, "enter watches it")
    lines.append(Content.styled(hint, "$primary"))
    return Content("\n").join(lines)


def age_text(seconds: float) -> str:
    """``41 min``, ``3 h``, ``12 d``."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _model_name(model: str) -> str:
    return model.rstrip("/").rsplit("/", 1)[-1]


def _fitted(text: str, width: int, glyphs: Glyphs) -> str:
    plain = glyphs.plain(text)
    return plain if len(plain) <= width else plain[: max(0, width - 1)] + glyphs.ellipsis
