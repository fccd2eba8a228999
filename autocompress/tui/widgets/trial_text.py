"""What is known of one trial, as styled text: its title, figures, headroom, stages, and what sets it apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from textual.content import Content

from autocompress.rounding import significant
from autocompress.tui.model.differences import Plain, difference_in_words
from autocompress.tui.model.figure_rows import FigureRow, figure_rows
from autocompress.tui.model.headroom import LIMIT_WORDS, Headroom, headrooms
from autocompress.tui.model.run_state import Ending, RunState
from autocompress.tui.model.ties import ties_in_words
from autocompress.tui.model.trial import Trial
from autocompress.tui.theme import Glyphs

STATUS_WORDS = {
    "unsupported": "cannot be done",
    "failed": "failed",
    "out_of_memory": "ran out of memory",
    "timed_out": "took too long",
    "crashed": "crashed",
    "cancelled": "was cancelled",
}
ORIGIN_WORDS = {
    "baseline": "the original",
    "known_good": "a recipe that is known to do well",
    "sampler": "proposed by the sampler",
    "retry": "tried again",
    "user": "asked for",
}
NAME_WIDTH, FIGURE_WIDTH, BAR_WIDTH = 19, 10, 18
LIMIT_CELL = 14
"""Where the limit stands in a bar of headroom; what lies behind is over it."""


def verdict_of(state: RunState, trial: Trial, glyphs: Glyphs) -> tuple[str, str, str]:
    """Glyph, words and style of how a trial did."""
    if trial.status != "complete":
        glyph = {"unsupported": glyphs.unsupported, "cancelled": glyphs.cancelled}.get(trial.status, glyphs.failed)
        return glyph, STATUS_WORDS.get(trial.status, trial.status), "$error" if glyph == glyphs.failed else "$quiet"
    if trial.number in state.front:
        return glyphs.front, "on the front", "$front"
    if trial.origin == "baseline":
        return glyphs.original, "the original", "$feasible"
    if trial.is_feasible:
        so_far = ", as far as it was judged" if trial.is_given_up else ""
        return glyphs.feasible, f"inside every limit{so_far}", "$feasible"
    unknown = {name for name, figure in (("ram", trial.ram_bytes), ("vram", trial.vram_bytes)) if figure is None}
    broken = [LIMIT_WORDS.get(name, name) for name, by in trial.violations.items() if by > 0 and name not in unknown]
    if not broken:
        return glyphs.violates, "its memory, which is limited, was not measured", "$infeasible"
    return glyphs.violates, f"breaks the limit on {' and '.join(broken)}", "$infeasible"


def title(state: RunState, trial: Trial, glyphs: Glyphs) -> Content:
    """Two lines: number, verdict and recipe; then the recipe in words and where it came from."""
    glyph, words, style = verdict_of(state, trial, glyphs)
    head: list[tuple[str, str]] = [(f"#{trial.number} ", "bold"), (f"{glyph} {words}", style)]
    if state.best == trial.number:
        head.append(
            (f"  {glyphs.best} best so far" if state.ending is None else f"  {glyphs.best} the best", "$accent")
        )
    told = ", then ".join(trial.words) or ("no compression" if trial.origin != "baseline" else "the original model")
    origin = ORIGIN_WORDS.get(trial.origin, trial.origin)
    return Content.assemble(
        *head,
        (f"  {glyphs.plain(trial.label) if trial.labels else trial.format}\n", "bold"),
        (glyphs.plain(f"{told}, as {trial.format}; {origin}"), "$quiet"),
    )


def figures(state: RunState, trial: Trial, record: Mapping[str, Any], glyphs: Glyphs) -> Content:
    """The table of what was measured, and what to make of it."""
    rows = figure_rows(trial, state.metric, with_energy=trial.energy is not None)
    lines = [_figure_line(row, is_broken(row, trial, state), glyphs) for row in rows]
    if trial.timed_by > 1:
        lines.append(_plain_line("timed again", f"at the end, in {trial.timed_by} fresh processes", glyphs))
    lines += [_plain_line(name, text, glyphs) for name, text in _circumstances(record)]
    if trial.energy is not None:
        lines.append(_plain_line("energy by", trial.energy.source, glyphs))
    if trial.contended:
        lines.append(
            Content.styled(
                f"{glyphs.contended} the machine was busy while this was timed: the figure may be off", "$warning"
            )
        )
    if state.ending is not None and state.ending.best == trial.number:
        style = "$front" if state.ending.certified else "$warning"
        lines.append(Content.styled(glyphs.plain(verdict_on_holdout(state.ending)), style))
    return Content("\n").join(lines)


def verdict_on_holdout(ending: Ending) -> str:
    """What the holdout said of the best; the figures beside it are those of the search part."""
    return f"On the holdout: {ending.sentence}" if ending.sentence else "Observed only: the holdout was not asked."


def is_broken(row: FigureRow, trial: Trial, state: RunState) -> bool:
    """Whether a limit is about this very figure, and broken."""
    bound = state.constraints.get(row.limit or "")
    if bound is None or bound.relative != row.is_relative:
        return False
    return row.is_measured and trial.violations.get(row.limit or "", 0) > 0


def _figure_line(row: FigureRow, breaks: bool, glyphs: Glyphs) -> Content:
    style = "underline $warning" if breaks else "$feasible" if row.is_measured else "$quiet"
    text = glyphs.plain(row.text)
    return Content.assemble(
        (f"{glyphs.plain(row.name):<{NAME_WIDTH}}", "$quiet"),
        " " * (FIGURE_WIDTH - len(text)),
        (text, style),
        (f" {glyphs.violates if breaks else ' '} ", "$warning"),
        (glyphs.plain(row.interval), "$quiet"),
    )


def _plain_line(name: str, text: str, glyphs: Glyphs) -> Content:
    return Content.assemble((f"{name:<{NAME_WIDTH}}", "$quiet"), glyphs.plain(text))


def _circumstances(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """How the figures came about, in rows of a name and a text."""
    measured = record.get("measurement") or {}
    latency, quality = measured.get("latency") or {}, measured.get("quality") or {}
    readings = latency.get("candidate_ms") or {}
    if readings.get("values"):
        count = readings.get("n_readings") or len(readings["values"])
        clock = "device events" if latency.get("clock") == "device_events" else "wall clock"
        threads = latency.get("threads")
        yield "timed", f"{count} readings, {clock}, {threads} thread{'' if threads == 1 else 's'}"
    if quality.get("n_samples"):
        then = f", then given up: {measured['cut_short']}" if measured.get("cut_short") else ""
        yield "judged", f"on {quality['n_samples']} samples ({quality.get('part', 'search')} part){then}"
    for name, value in (quality.get("others") or {}).items():
        yield name.replace("_", " "), f"{value:.4g}"
    if (record.get("artifact") or {}).get("kernel"):
        yield "computed as", record["artifact"]["kernel"]


def headroom(state: RunState, trial: Trial, glyphs: Glyphs) -> Content:
    """A bar for each limit."""
    if not state.constraints:
        return Content.styled("This search has no limits.", "$quiet")
    if trial.status != "complete":
        return Content.styled("Not measured, so held against no limit.", "$quiet")
    rooms = headrooms(state.constraints, trial, state.original)
    width = max(len(_limit_words(room, glyphs)) for room in rooms)
    lines = [_headroom_line(room, width, glyphs) for room in rooms]
    if any(room.verdict == "unsure" for room in rooms):
        lines.append(Content.styled("? the interval holds values on both sides of the limit", "$quiet"))
    return Content("\n").join(lines)


def _limit_words(room: Headroom, glyphs: Glyphs) -> str:
    written = glyphs.plain(room.bound.written.replace("x", "×"))
    return f"{LIMIT_WORDS.get(room.name, room.name)} {glyphs.at_most} {written}"


def _headroom_line(room: Headroom, width: int, glyphs: Glyphs) -> Content:
    glyph, style = {
        "kept": (glyphs.feasible, "$success"),
        "broken": (glyphs.violates, "$error"),
        "unsure": ("?", "$warning"),
        "not measured": (glyphs.not_measured, "$quiet"),
    }[room.verdict]
    return Content.assemble(
        (f"{glyph} ", style),
        f"{_limit_words(room, glyphs):<{width}} ",
        *headroom_bar(room, glyphs, style),
        (f" {room.in_words}", style),
    )


def headroom_bar(room: Headroom, glyphs: Glyphs, style: str) -> list[tuple[str, str]]:
    """What is used of a limit, the interval drawn apart, and the limit as a mark."""
    unsure, mark = ("~", "|") if glyphs.is_ascii else ("╍", "┃")
    low, high = room.used_interval or (room.used, room.used)
    cells: list[tuple[str, str]] = []
    for cell in range(BAR_WIDTH):
        at = (cell + 0.5) / LIMIT_CELL
        if cell == LIMIT_CELL:
            cells.append((mark, "$limit"))
        elif low is not None and at <= low:
            cells.append((glyphs.bar_full, style))
        elif high is not None and at <= high:
            cells.append((unsure, style))
        else:
            cells.append((glyphs.bar_empty, "$quiet"))
    return cells


def stage_lines(stages: Sequence[Mapping[str, Any]], wall_seconds: float | None, glyphs: Glyphs) -> Content:
    """Time per stage as bars; what the stage cache gave is marked."""
    if not stages:
        return Content.styled("No stage was recorded.", "$quiet")
    longest = max(float(stage["seconds"]) for stage in stages) or 1.0
    width = min(24, max(len(str(stage["stage"])) for stage in stages))
    lines = []
    for stage in stages:
        seconds, cached = float(stage["seconds"]), bool(stage.get("cached"))
        full = round(BAR_WIDTH * seconds / longest)
        lines.append(
            Content.assemble(
                f"{str(stage['stage'])[:width]:<{width}} ",
                (glyphs.bar_full * full, "$quiet" if cached else "$primary"),
                (glyphs.bar_empty * (BAR_WIDTH - full), "$quiet 50%"),
                f" {seconds_text(seconds):>8}",
                (f"  {glyphs.cached} cached" if cached else "", "$quiet"),
            )
        )
    if wall_seconds is not None:
        lines.append(Content.styled(f"{'in all':<{width}} {'':<{BAR_WIDTH}} {seconds_text(wall_seconds):>8}", "$quiet"))
    return Content("\n").join(lines)


def seconds_text(seconds: float) -> str:
    """A length of time: ``0.04 s``, ``12 s``, ``3:05``, ``2:10:00``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def neighbours(
    trial: Trial, nearest: Trial | None, mine: Plain | None, theirs: Plain | None, glyphs: Glyphs
) -> Content:
    """What sets the trial apart from the nearest one on the front, and what cannot be told apart."""
    if nearest is None:
        return Content.styled("There is no other recipe on the front to compare with.", "$quiet")
    lines = [Content(glyphs.plain(difference_in_words(trial, nearest, mine, theirs)))]
    if trial.size_bytes and nearest.size_bytes and trial.speedup and nearest.speedup:
        size, speed = trial.size_bytes / nearest.size_bytes, trial.speedup.value / nearest.speedup.value
        told = f"against #{nearest.number}: {significant(size)}× the size, {significant(speed)}× as fast"
        lines.append(Content.styled(glyphs.plain(told), "$quiet"))
    lines += [Content.styled(glyphs.plain(f"tie: {each}"), "$warning") for each in ties_in_words(trial, nearest)]
    return Content("\n").join(lines)


def yaml_lines(text: str) -> Content:
    """YAML with its keys and comments set apart."""
    lines = []
    for line in text.rstrip("\n").split("\n"):
        body, mark, comment = line.partition(" #") if not line.startswith("#") else ("", "", "")
        if line.startswith("#"):
            lines.append(Content.styled(line, "$quiet"))
            continue
        key, colon, value = body.partition(":")
        is_key = bool(colon) and (not value or value.startswith(" "))
        told = [(key + colon, "$primary"), (value, "")] if is_key else [(body, "")]
        lines.append(Content.assemble(*told, (mark + comment, "$quiet")))
    return Content("\n").join(lines)
