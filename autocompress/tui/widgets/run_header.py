"""The two lines at the top: what the run is doing, and the best that it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widgets import Static

from autocompress.report.numbers import megabytes, milliseconds, signed
from autocompress.rounding import significant
from autocompress.tui.model.figure_rows import gained
from autocompress.tui.model.run_state import FINISHED, PAUSED, RUNNING, STOPPING, Metric, RunState
from autocompress.tui.model.trial import Trial
from autocompress.tui.theme import Glyphs

Part = tuple[str, str]
BAR_WIDTH = 14
ROOMY = 100


@dataclass(frozen=True)
class Pulse:
    """Whether and where a search is at work.

    Attributes:
        is_alive: one works in the run now.
        now: what the run's clock shows, in seconds since the epoch.
        is_recording: an earlier run is played back.
        is_here: it would be a process of this machine; of one elsewhere no more is known than what it tells.
    """

    is_alive: bool
    now: float
    is_recording: bool = False
    is_here: bool = True

    @property
    def gone(self) -> str:
        """What to say when it is not alive, though it did not end."""
        return "search process gone" if self.is_here else "no sign of life"


class RunHeader(Static):
    """State, progress and time; then the best trial against the original."""

    DEFAULT_CSS = """
    RunHeader {
        height: 2; background: $panel; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def show(self, title: str, state: RunState, glyphs: Glyphs, pulse: Pulse) -> None:
        """Draw this."""
        width = self.size.width
        lines = [first_line(title, state, glyphs, width, pulse), second_line(state, glyphs, width)]
        self.update(Content("\n").join(lines), layout=False)


def activity_of(state: RunState, glyphs: Glyphs, pulse: Pulse) -> Part:
    """What the run is doing, and the style to say it in."""
    square = "#" if glyphs.is_ascii else "■"
    if state.ending is not None or state.activity == FINISHED:
        return f"{square} finished", "$success"
    if state.started is None:
        return f"{glyphs.waiting} no events yet", "$quiet"
    if not pulse.is_alive:
        return f"{glyphs.failed} {pulse.gone}", "bold $error"
    return {
        RUNNING: (f"{glyphs.marked} running", "$success"),
        PAUSED: (f"{glyphs.paused} paused", "$warning"),
        STOPPING: (f"{square} stopping", "$warning"),
    }.get(state.activity, (f"{glyphs.waiting} {state.activity}", "$primary"))


def first_line(title: str, state: RunState, glyphs: Glyphs, width: int, pulse: Pulse) -> Content:
    """``autocompress ▸ demo  ● running  148/300 ━━━━───  ! 3 failed  41:42  ETA ~42:49``."""
    done, total = state.n_tried, state.total
    bar_width = BAR_WIDTH if width >= ROOMY else BAR_WIDTH // 2
    full = min(bar_width, round(bar_width * done / total)) if total else 0
    parts: list[Part] = [
        (f"autocompress {'>' if glyphs.is_ascii else '▸'} {glyphs.plain(state.name or title)}", "bold"),
        ("  recording" if pulse.is_recording else "", "$warning"),
        ("  ", ""),
        activity_of(state, glyphs, pulse),
        (f"  {done}/{total} " if total else f"  {done} ", "bold"),
        (glyphs.bar_full * full, "$success"),
        (glyphs.bar_empty * (bar_width - full if total else 0), "$quiet"),
        *(_ended_badly(state, glyphs) if width >= ROOMY else []),
    ]
    if state.started is not None:
        until = pulse.now if pulse.is_alive and state.ending is None else state.last_event or state.started
        parts.append((f"  {clock(state.seconds_at_work(until))}", "$quiet"))
    left = state.seconds_left
    if pulse.is_alive and left is not None and state.activity in (RUNNING, PAUSED):
        parts.append((f"  ETA ~{clock(left)}", "$quiet"))
    return _fitting(parts, width)


def _fitting(parts: Sequence[Part], width: int) -> Content:
    """As many of the parts as fit, from the left: rather one less than half of one."""
    line = Content.assemble(*parts)
    is_laid_out = width > 0
    return _fitting(parts[:-1], width) if is_laid_out and line.cell_length > width and len(parts) > 1 else line


def _ended_badly(state: RunState, glyphs: Glyphs) -> list[Part]:
    unsupported, cancelled = state.counts["unsupported"], state.counts["cancelled"]
    failed = sum(state.counts.values()) - state.counts["complete"] - unsupported - cancelled
    parts: list[Part] = []
    if failed:
        parts.append((f"  {glyphs.failed} {failed} failed", "$error"))
    if unsupported:
        parts.append((f"  {glyphs.unsupported} {unsupported} unsupported", "$quiet"))
    return parts


def second_line(state: RunState, glyphs: Glyphs, width: int) -> Content:
    """``best #32 12.2 MB 8.0× smaller  6.2 ms 3.9× faster  75.4 % −0.8 pp  front 10  last improvement #145``."""
    best = state.best_trial
    if best is None:
        parts = _without_best(state)
    else:
        verb = "best" if state.ending is not None else "best so far" if width >= 130 else "best"
        parts = [(f"{verb} #{best.number} ", "bold"), *against_original(best, state.metric, wide=width >= ROOMY)]
        parts += _certainty(state)
        parts.append((f"  front {len(state.front)}", ""))
        if state.last_improvement is not None and state.since_improvement is not None:
            parts.append((_since(state.last_improvement, state.since_improvement), "$quiet"))
    plain: list[Part] = [(glyphs.plain(text), style) for text, style in parts]
    return _fitting(plain, width)


def _without_best(state: RunState) -> list[Part]:
    original = state.original
    if original is None:
        return [("the original is measured first", "$quiet")]
    parts: list[Part] = [
        ("nothing within the limits " + ("" if state.ending is not None else "yet"), "$warning"),
        (f"  original {megabytes(original.size_bytes)} MB  {milliseconds(original.p50_ms)} ms", "$quiet"),
        (f"  {quality_text(original.quality, state.metric)}", "$quiet"),
    ]
    return parts


def against_original(trial: Trial, metric: Metric | None, *, wide: bool) -> list[Part]:
    """Size, latency and quality, each with what it is against the original's."""
    parts: list[Part] = [(f"{megabytes(trial.size_bytes)} MB ", "")]
    if trial.size_ratio:
        parts.append((times(1 / trial.size_ratio, "smaller", "larger", wide=wide), "bold $success"))
    parts.append((f"  {'~' if trial.contended else ''}{milliseconds(trial.p50_ms)} ms ", ""))
    if trial.speedup is not None and trial.speedup.value > 0:
        parts.append((times(trial.speedup.value, "faster", "slower", wide=wide), "bold $success"))
    parts.append((f"  {quality_text(trial.quality, metric)} ", ""))
    change = gained(trial.drop)
    if change is not None:
        points = metric.is_rate if metric else False
        parts.append((signed(change.value, points=points) + (" pp" if points else ""), "bold"))
    if trial.vram_bytes is not None and wide:
        parts.append((f"  VRAM {megabytes(trial.vram_bytes)} MB", ""))
    return parts


def times(factor: float, better: str, worse: str, *, wide: bool = True) -> str:
    """``8.03× smaller``; ``1.2× larger`` where it is."""
    if significant(factor) == "1.00":
        return "1.00×"
    if factor >= 1 or not wide:
        return f"{significant(factor)}×{f' {better}' if wide else ''}"
    return f"{significant(1 / factor)}× {worse}"


def quality_text(value: float | None, metric: Metric | None) -> str:
    """A metric's value; rates in percent."""
    if value is None:
        return "–"
    if metric is not None and metric.is_rate and value == value:
        return f"{value * 100:.1f} %"
    return significant(value)


def _certainty(state: RunState) -> list[Part]:
    if state.ending is None:
        return []
    return [("  certified", "bold $front")] if state.ending.certified else [("  observed only", "$warning")]


def _since(last: int, since: int) -> str:
    ago = "just now" if since == 0 else f"{since} trial{'' if since == 1 else 's'} ago"
    return f"  improved by #{last}, {ago}"


def clock(seconds: float) -> str:
    """``41:42``, ``2:10:00``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
