"""The running trials, stage by stage."""

from __future__ import annotations

import time

from textual.content import Content
from textual.widgets import Static

from autocompress.tui.model.run_state import FINISHED, JUDGING, PAUSED, READING, Running, RunState, Stage
from autocompress.tui.theme import Glyphs
from autocompress.tui.widgets.run_header import Pulse, clock
from autocompress.tui.widgets.trial_text import ORIGIN_WORDS, seconds_text, verdict_on_holdout

BAR_WIDTH = 10
N_SAID = 12
ROOMY = 6
"""Rows from which on there is more than the title and one line."""


class NowPane(Static, can_focus=True):
    """What happens now: two lines, or with room for more a stage a line and what was said lately."""

    BORDER_TITLE = "4 Now"
    DEFAULT_CSS = """
    NowPane { background: $background; text-wrap: nowrap; text-overflow: ellipsis; }
    NowPane.-roomy { text-wrap: wrap; }
    """

    def show(self, state: RunState, glyphs: Glyphs, pulse: Pulse) -> None:
        """Draw this."""
        width, height = self.content_size
        if not height:
            return
        is_roomy = height >= ROOMY
        self.set_class(is_roomy, "-roomy")
        title = now_title(state, glyphs, pulse)
        running = state.running if pulse.is_alive and state.ending is None else None
        if running is None:
            lines = [title, Content(), *_said(state, glyphs, N_SAID)] if is_roomy else [title, *_said(state, glyphs, 1)]
        elif len(state.all_running) > 1:
            both = [
                (_running_title(one, state, glyphs, pulse.now), stages_line(one.stages, width, glyphs))
                for one in state.all_running.values()
            ]
            lines = [title for title, _ in both] if height < 2 * len(both) else [line for two in both for line in two]
        elif not is_roomy:
            lines = [title, stages_line(running.stages, width, glyphs)]
        else:
            lines = [title, Content(), *(_stage_line(stage, glyphs) for stage in running.stages), Content()]
            lines += _said(state, glyphs, N_SAID)
        self.update(Content("\n").join(lines), layout=False)


def now_title(state: RunState, glyphs: Glyphs, pulse: Pulse) -> Content:
    """``#149 prune 30% → openvino  0:01``, or why nothing runs."""
    if state.ending is not None:
        words = state.ending.reason
        if state.ending.sentence:
            words += f". {verdict_on_holdout(state.ending)}"
        return Content.styled(glyphs.plain(words), "$success")
    if not pulse.is_alive and state.started is not None:
        words = "nothing runs now, as far as can be seen. What was found is all here and stays."
        if pulse.is_here:
            words = f"`autocompress resume {state.name}` goes on with it, or R in the list of runs."
        return Content.styled(f"{pulse.gone}: {words}", "$error")
    if state.running is None:
        words = {PAUSED: "paused", FINISHED: "finished"}.get(state.activity, "waiting for the next trial")
        return Content.styled(glyphs.plain(f"{words}: {state.why}" if state.why else words), "$quiet")
    return _running_title(state.running, state, glyphs, pulse.now)


def _running_title(running: Running, state: RunState, glyphs: Glyphs, now: float) -> Content:
    name = "" if running.origin == READING else f"#{running.number} "
    label = "reading the model and the data" if running.origin == READING else glyphs.plain(running.label)
    judging = "the final judging on the holdout: " if running.origin == JUDGING else ""
    origin = ORIGIN_WORDS.get(running.origin, "") if running.origin in ("user", "retry") else ""
    paused = f"  {glyphs.paused} pauses after this one" if state.activity == PAUSED else ""
    return Content.assemble(
        judging,
        (name, "bold"),
        label,
        (f"  {clock(now - running.started)}", "$quiet"),
        (f"  {origin}" if origin else "", "$quiet"),
        (paused, "$warning"),
    )


def stages_line(stages: list[Stage], width: int, glyphs: Glyphs) -> Content:
    """All stages in a row; those that ended long ago give way where there is no room."""
    cells = [_stage_cell(stage, glyphs) for stage in stages]
    dropped = 0
    while cells and dropped < len(stages) - 1 and stages[dropped].seconds is not None:
        if sum(cell.cell_length + 2 for cell in cells[dropped:]) + (10 if dropped else 0) <= width:
            break
        dropped += 1
    told = [Content.styled(f"{glyphs.done} {dropped} done", "$success")] if dropped else []
    return Content("  ").join([*told, *cells[dropped:]])


def _stage_cell(stage: Stage, glyphs: Glyphs) -> Content:
    if stage.seconds is not None:
        if stage.cached:
            return Content.styled(f"{glyphs.cached} {stage.name}", "$quiet")
        return Content.assemble(
            (f"{glyphs.done} {stage.name}", "$success"), (f" {seconds_text(stage.seconds)}", "$quiet")
        )
    if stage.started is None:
        return Content.styled(f"{glyphs.waiting} {stage.name}", "$quiet")
    return Content.assemble((f"{glyphs.running} {stage.name}", "bold $primary"), *_bar(stage, glyphs))


def _bar(stage: Stage, glyphs: Glyphs) -> list[tuple[str, str]]:
    share = stage.share
    if share is None:
        return [(f" {glyphs.ellipsis}", "$primary")]
    full = min(BAR_WIDTH, round(share * BAR_WIDTH))
    return [
        (" " + glyphs.bar_full * full, "$primary"),
        (glyphs.bar_empty * (BAR_WIDTH - full), "$quiet"),
        (f" {share:.0%}", ""),
    ]


def _stage_line(stage: Stage, glyphs: Glyphs) -> Content:
    cell = _stage_cell(stage, glyphs)
    return Content.assemble("  ", cell, ("  from the cache" if stage.cached else "", "$quiet"))


def _said(state: RunState, glyphs: Glyphs, most: int) -> list[Content]:
    """What was said lately, the newest first."""
    lines = []
    for said in state.said[: -most - 1 : -1]:
        when = time.strftime("%H:%M:%S", time.localtime(said.time))
        glyph, style = {True: (glyphs.done, "$success"), False: (glyphs.violates, "$error")}.get(
            said.accepted,  # type: ignore[arg-type]  # None, a note, is the default
            ("-", "$quiet"),
        )
        lines.append(Content.assemble((f"{when} ", "$quiet"), (f"{glyph} ", style), glyphs.plain(said.text)))
    return lines
