"""What other limits would change, in words: how many are inside, which would be best, and those after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual.content import Content

from autocompress.limits import Bound
from autocompress.report.numbers import ratio, signed
from autocompress.rounding import percent
from autocompress.tui.model.differences import difference_in_words
from autocompress.tui.model.figure_rows import gained
from autocompress.tui.model.headroom import LIMIT_WORDS
from autocompress.tui.model.judging import Verdicts
from autocompress.tui.model.run_state import RunState
from autocompress.tui.model.supposed_limit import nearest_miss
from autocompress.tui.model.ties import ties_in_words
from autocompress.tui.model.trial import Trial
from autocompress.tui.theme import Glyphs


@dataclass(frozen=True)
class LimitChanges:
    """A run under its own limits beside the same run under others.

    Attributes:
        state: the run.
        original: its original, measured.
        now, then: what its limits say of its trials, and what the others would.
        bounds: those others.
        glyphs: what may be drawn.
    """

    state: RunState
    original: Trial
    now: Verdicts
    then: Verdicts
    bounds: Mapping[str, Bound]
    glyphs: Glyphs

    def text(self) -> Content:
        """Counts, and the best now and then."""
        return Content("\n").join(self._lines())

    def ranking(self, count: int) -> Content:
        """The best so many, a line each."""
        shown = self.then.ranking[:count]
        lines = [self._rank_line(trial, shown[0]) for trial in shown]
        return Content("\n").join(lines) if lines else Content.styled("none", "$quiet")

    def _lines(self) -> Iterable[Content]:
        glyphs, trials, now, then = self.glyphs, self.state.trials, self.now, self.then
        yield _counted("feasible", len(now.feasible), len(then.feasible), glyphs.arrow)
        yield _counted("on the front", len(now.front), len(then.front), glyphs.arrow)
        if then.best is None:
            yield from self._nothing()
            return
        best, before = trials[then.best], trials.get(now.best) if now.best is not None else None
        if before is None or before is best:
            word = self._standing_in_words(best) if before is best else "would be the best"
            yield Content.assemble((f"{glyphs.best} #{best.number} {word}", "$accent"), f"  {glyphs.plain(best.label)}")
            yield Content.styled(glyphs.plain(self._figures_in_words(best)), "$quiet")
            return
        yield Content.assemble(
            (f"{glyphs.best} #{best.number} instead of #{before.number}", "bold $accent"),
            f"  {glyphs.plain(best.label)}",
        )
        yield Content(glyphs.plain(f"{difference_in_words(best, before)}"))
        yield Content.styled(glyphs.plain(f"#{best.number}: {self._figures_in_words(best)}"), "")
        yield Content.styled(glyphs.plain(f"#{before.number}: {self._figures_in_words(before)}"), "$quiet")
        for tie in ties_in_words(best, before):
            yield Content.styled(glyphs.plain(f"tie: {tie}"), "$warning")

    def _standing_in_words(self, best: Trial) -> str:
        """Of the trial that comes first by its figures: the holdout may have spoken for another one."""
        decided = self.state.ending.best if self.state.ending else None
        if decided is None or decided == best.number:
            return "stays the best"
        return f"stays first by its figures; the holdout spoke for #{decided}"

    def _rank_line(self, trial: Trial, best: Trial) -> Content:
        glyphs, change = self.glyphs, gained(trial.drop)
        points = self.state.metric.is_rate if self.state.metric else False
        is_tie = trial is not best and self._ties(trial, best)
        told = f"{ratio(trial.size_ratio):>7} {ratio(trial.speedup.value) if trial.speedup else '–':>6}"
        told += f" {signed(change.value, points=points) if change else '–':>6}"
        return Content.assemble(
            (f"{glyphs.best if trial is best else ' '} #{trial.number:<5}", "$accent" if trial is best else ""),
            glyphs.plain(told),
            (" tie " if is_tie else "     ", "$warning"),
            (glyphs.plain(trial.label), "$quiet"),
        )

    def _ties(self, trial: Trial, best: Trial) -> bool:
        """Whether the preference cannot tell the two apart: the figure that it is about overlaps, or both do."""
        speed = trial.speedup is not None and best.speedup is not None and trial.speedup.overlaps(best.speedup)
        quality = trial.drop is not None and best.drop is not None and trial.drop.overlaps(best.drop)
        is_same_size = trial.size_bytes == best.size_bytes
        return {"size": is_same_size, "latency": speed, "quality": quality}.get(
            self.state.prefer, is_same_size and speed
        )

    def _nothing(self) -> Iterable[Content]:
        yield Content.styled("Nothing is inside these limits.", "bold $warning")
        found = nearest_miss(self.state.trials.values(), self.original, self.bounds)
        if found is not None:
            trial, over = found
            told = " and ".join(f"{LIMIT_WORDS[name]} by {percent(by)}" for name, by in over.items())
            yield Content(self.glyphs.plain(f"nearest: #{trial.number} {trial.label}, over {told}"))

    def _figures_in_words(self, trial: Trial) -> str:
        metric, change = self.state.metric, gained(trial.drop)
        points = metric.is_rate if metric else False
        told = f"{ratio(trial.size_ratio)} size  {ratio(trial.speedup.value) if trial.speedup else '–'} speed"
        if change is not None:
            told += f"  {metric.name if metric else 'quality'} {signed(change.value, points=points)}"
        return told + (" pp" if points and change is not None else "")


def _counted(name: str, now: int, then: int, arrow: str) -> Content:
    style = "" if now == then else "bold $success" if then > now else "bold $warning"
    told = f"{now:,}" if now == then else f"{now:,}{arrow}{then:,}"
    return Content.assemble((f"{name:<14}", "$quiet"), (told, style))
