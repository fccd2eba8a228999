"""The trial under the cursor: its recipe in words, figures against the original, limits, neighbours."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from autocompress.report.numbers import joules, megabytes, milliseconds, signed
from autocompress.rounding import significant
from autocompress.tui.model.differences import difference_in_words, nearest_on_front
from autocompress.tui.model.figure_rows import gained
from autocompress.tui.model.headroom import LIMIT_WORDS, Headroom, headrooms
from autocompress.tui.model.importance import Importance
from autocompress.tui.model.run_state import RunState
from autocompress.tui.model.ties import ties_in_words
from autocompress.tui.model.trial import EnergyFigure, Interval, Trial
from autocompress.tui.theme import Glyphs
from autocompress.tui.widgets.run_header import quality_text, times
from autocompress.tui.widgets.trial_text import ORIGIN_WORDS, verdict_of, verdict_on_holdout

NAME_WIDTH, FIGURE_WIDTH = 9, 9
BAR_WIDTH, LIMIT_CELL = 10, 7
N_MATTERS = 6
TALL = 24


class DetailPane(VerticalScroll):
    """Scrolls where there is more to tell than room."""

    BORDER_TITLE = "3 Detail"
    DEFAULT_CSS = """
    DetailPane { background: $background; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    DetailPane > Static { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._shown: tuple[str, int] | None = None
        self._n_lines = -1

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(id="detail-text")

    def show(
        self,
        state: RunState,
        trial: Trial | None,
        record: Mapping[str, Any],
        matters: list[Importance],
        glyphs: Glyphs,
    ) -> None:
        """Draw this.

        Args:
            state: the run.
            trial: the trial in question.
            record: all that was recorded of it.
            matters: what each choice explains.
            glyphs: what to draw with.
        """
        if not self.size.height:
            return
        width = max(20, self.scrollable_content_region.width)
        if trial is None:
            words = "Nothing has ended yet. The first trial measures the original; all others are held against it."
            text = Content("\n").join(_wrapped(words, width, "$quiet"))
        else:
            is_tall = self.size.height >= TALL
            text = Content("\n").join(detail_lines(state, trial, record, matters, glyphs, width, is_tall=is_tall))
        shown = (text.markup, width)
        if shown == self._shown:
            return
        n_lines, self._n_lines, self._shown = self._n_lines, text.plain.count("\n"), shown
        # Only another height moves anything, and laying out the screen is dear.
        self.query_one("#detail-text", Static).update(text, layout=n_lines != self._n_lines)


def detail_lines(
    state: RunState,
    trial: Trial,
    record: Mapping[str, Any],
    matters: list[Importance],
    glyphs: Glyphs,
    width: int,
    *,
    is_tall: bool,
) -> list[Content]:
    """All that the pane tells, a line each; with room for more, in lines of their own."""
    lines = [_title(state, trial, glyphs), *_recipe(trial, glyphs, width)]
    if trial.status != "complete":
        lines += _ending(trial, record, glyphs, width)
    else:
        lines += _against(state, trial, glyphs, width)
        lines += _limits(state, trial, glyphs)
    lines += _neighbours(state, trial, glyphs, width)
    for note in trial.notes:
        lines += _wrapped(glyphs.plain(f"note: {note}"), width, "$accent")
    return lines + (_matters(matters, glyphs) if is_tall else _matters_in_words(matters, glyphs, width))


def _title(state: RunState, trial: Trial, glyphs: Glyphs) -> Content:
    glyph, words, style = verdict_of(state, trial, glyphs)
    best = ("  the best" if state.ending else "  best so far") if trial.number == state.best else ""
    return Content.assemble(
        (f"#{trial.number} ", "bold"),
        (f"{glyph} {words}", style),
        (f"{best and f'  {glyphs.best}'}{best[1:]}", "bold $accent"),
    )


def _recipe(trial: Trial, glyphs: Glyphs, width: int) -> list[Content]:
    if trial.origin == "baseline":
        return [Content.styled(f"the original model, in {trial.format}", "$quiet")]
    told = ", then ".join(trial.words) or "no compression"
    origin = ORIGIN_WORDS.get(trial.origin, trial.origin)
    took = "" if trial.wall_seconds is None else f", took {significant(trial.wall_seconds)} s"
    return _wrapped(glyphs.plain(f"{told}, in {trial.format}; {origin}{took}"), width, "")


def _ending(trial: Trial, record: Mapping[str, Any], glyphs: Glyphs, width: int) -> list[Content]:
    """The cause and the remedy."""
    error = record.get("error") or {}
    stage = f" in {error['stage']}" if error.get("stage") else ""
    lines = [
        Content(),
        *_wrapped(
            glyphs.plain(f"{trial.status.replace('_', ' ')}{stage}: {trial.error or 'no cause was told'}"),
            width,
            "$error",
        ),
    ]
    if error.get("remedy"):
        lines += _wrapped(glyphs.plain(str(error["remedy"])), width, "")
    return [*lines, Content.styled("L shows its log", "$quiet")]


def _against(state: RunState, trial: Trial, glyphs: Glyphs, width: int) -> list[Content]:
    """The figures, each with what it is against the original's."""
    points = state.metric.is_rate if state.metric else False
    original = state.original
    change = gained(trial.drop)
    speed = trial.speedup
    rows = [
        ("size", f"{megabytes(trial.size_bytes)} MB", _smaller(trial.size_ratio), "", "size"),
        (
            "latency",
            f"{'~' if trial.contended else ''}{milliseconds(trial.p50_ms)} ms",
            times(speed.value, "faster", "slower") if speed and speed.value > 0 else "",
            _brackets(speed, points=None),
            "latency",
        ),
        (
            "quality",
            quality_text(trial.quality, state.metric),
            "" if change is None else f"{signed(change.value, points=points)}{' pp' if points else ''}",
            _brackets(change, points=points) + (" search part" if change and state.ending else ""),
            "quality_drop",
        ),
        (
            "RAM",
            f"{megabytes(trial.ram_bytes)} MB",
            _less(trial.ram_bytes, original.ram_bytes if original else None),
            "",
            "ram",
        ),
        (
            "VRAM",
            f"{megabytes(trial.vram_bytes)} MB",
            _less(trial.vram_bytes, original.vram_bytes if original else None),
            "",
            "vram",
        ),
        _energy_row(trial.energy),
    ]
    lines = []
    for name, figure, factor, interval, limit in rows:
        if (name == "VRAM" and trial.vram_bytes is None) or (name == "energy" and trial.energy is None):
            continue
        figure = figure if not figure.startswith("–") else "–"
        broken = trial.violations.get(limit, 0) > 0
        lines.append(
            Content.assemble(
                (f"{name:<{NAME_WIDTH}}", "$quiet"),
                " " * (FIGURE_WIDTH - len(glyphs.plain(figure))),
                (glyphs.plain(figure), "underline $warning" if broken else ""),
                (f"  {glyphs.plain(factor)}", "bold"),
                (glyphs.plain(f" {interval}"), "$quiet"),
            )
        )
    if trial.contended:
        lines.append(Content.styled(f"{glyphs.contended} the machine was busy: the latency may be off", "$warning"))
    if state.ending is not None and trial.number == state.best:
        style = "$front" if state.ending.certified else "$warning"
        lines += _wrapped(glyphs.plain(verdict_on_holdout(state.ending)), width, style)
    return lines


def _energy_row(energy: EnergyFigure | None) -> tuple[str, str, str, str, str]:
    against = energy.ratio if energy else None
    factor = times(1 / against.value, "less", "more") if against and against.value > 0 else ""
    return (
        "energy",
        f"{joules(energy.joules_per_sample if energy else None)} J",
        factor,
        energy.source if energy else "",
        "",
    )


def _smaller(size_ratio: float | None) -> str:
    return times(1 / size_ratio, "smaller", "larger") if size_ratio else ""


def _less(mine: float | None, its: float | None) -> str:
    return times(its / mine, "less", "more") if mine and its else ""


def _brackets(interval: Interval | None, *, points: bool | None) -> str:
    if interval is None or interval.low == interval.high:
        return ""
    if points is None:
        return f"[{significant(interval.low)}, {significant(interval.high)}]"
    return f"[{signed(interval.low, points=points)}, {signed(interval.high, points=points)}]"


def _limits(state: RunState, trial: Trial, glyphs: Glyphs) -> list[Content]:
    rooms = headrooms(state.constraints, trial, state.original)
    if not rooms:
        return []
    names = [
        f"{LIMIT_WORDS.get(room.name, room.name)} {glyphs.at_most} {glyphs.plain(room.bound.written.replace('x', '×'))}"
        for room in rooms
    ]
    width = max(len(name) for name in names) + 1
    return [_limit_line(room, f"{name:<{width}}", glyphs) for room, name in zip(rooms, names, strict=True)]


def _limit_line(room: Headroom, name: str, glyphs: Glyphs) -> Content:
    glyph, style = {
        "kept": (glyphs.feasible, "$success"),
        "broken": (glyphs.violates, "$warning"),
        "unsure": ("?", "$warning"),
        "not measured": (glyphs.not_measured, "$quiet"),
    }[room.verdict]
    used = room.used or 0.0
    bar: list[tuple[str, str]] = []
    for cell in range(BAR_WIDTH):
        if cell == LIMIT_CELL:
            bar.append(("|" if glyphs.is_ascii else "┃", "$limit"))
        elif (cell + 0.5) / LIMIT_CELL <= used:
            bar.append((glyphs.bar_full, style))
        else:
            bar.append((glyphs.bar_empty, "$quiet"))
    return Content.assemble((f"{glyph} ", style), name, *bar, (f" {room.in_words}", style))


def _neighbours(state: RunState, trial: Trial, glyphs: Glyphs, width: int) -> list[Content]:
    if trial.origin == "baseline":
        return []
    lines: list[Content] = []
    nearest = nearest_on_front(trial, state.trials, state.front.numbers)
    if nearest is not None:
        lines += _wrapped(glyphs.plain(difference_in_words(trial, nearest)), width, "$primary")
    best = state.best_trial
    if best is not None and best is not trial and trial.is_feasible:
        for sentence in ties_in_words(trial, best):
            lines += _wrapped(glyphs.plain(sentence), width, "$quiet")
    return lines


def _matters_in_words(matters: list[Importance], glyphs: Glyphs, width: int) -> list[Content]:
    if not matters:
        return []
    told = ", ".join(f"{each.choice} {each.overall:.0%}" for each in matters[:N_MATTERS])
    return _wrapped(glyphs.plain(f"what matters: {told}"), width, "$quiet")


def _matters(matters: list[Importance], glyphs: Glyphs) -> list[Content]:
    if not matters:
        return []
    lines = [Content(), Content.styled("what matters (share of the spread explained)", "$quiet")]
    shown = matters[:N_MATTERS]
    name_width = max(len(each.choice) for each in shown)
    for each in shown:
        full = round(each.overall * BAR_WIDTH)
        lines.append(
            Content.assemble(
                f"{each.choice:<{name_width}} ",
                (glyphs.bar_full * full, "$success"),
                (glyphs.bar_empty * (BAR_WIDTH - full), "$quiet"),
                (f" {each.overall:4.0%}", ""),
            )
        )
    return lines


def _wrapped(text: str, width: int, style: str) -> list[Content]:
    return [Content.styled(line, style) for line in textwrap.wrap(text, width) or [""]]
