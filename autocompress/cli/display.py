"""Progress on stderr: plain lines on a pipe, a live display on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from autocompress.cli import console
from autocompress.events import (
    ConstraintsChanged,
    ControlAnswered,
    Event,
    ModelRead,
    Note,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    StateChanged,
    TrialFinished,
    TrialsChanged,
    TrialStarted,
)
from autocompress.jobs import Progress as JobProgress
from autocompress.jobs import StageBegan, StageEnded, StageMoved
from autocompress.objectives import judged, original_among, pareto_front, ranking
from autocompress.records import TrialRecord
from autocompress.report.results import Results
from autocompress.report.table import GLYPHS, rich_table, standing
from autocompress.report.words import failure_in_words, limits_in_words, trial_in_words, violations_in_words
from autocompress.spec import Constraints

if TYPE_CHECKING:
    from autocompress.spec import Preference

SECONDS_BETWEEN_STAGE_LINES = 10.0
LARGEST_TABLE_ROWS = 18


@contextmanager
def display(prefer: Preference) -> Iterator[Callable[[Event], None]]:
    """Show a search while it runs; gives the function that takes its events."""
    if not console.err.is_terminal:
        yield PlainDisplay(prefer).take
        return
    live = LiveDisplay(prefer)
    with Live(get_renderable=live.render, console=console.err, refresh_per_second=5, transient=True) as screen:
        try:
            yield live.take
        except BaseException:
            screen.transient = False  # no result follows, so what there is stays to be seen
            raise


class Fold:
    """What the events so far amount to."""

    def __init__(self, prefer: Preference) -> None:
        self._prefer = prefer
        self.started: RunStarted | None = None
        self.trials: int | None = None
        self.constraints = Constraints()
        self.state = "running"
        self.read: ModelRead | None = None
        self.running: dict[int, TrialStarted] = {}
        self.records: dict[int, TrialRecord] = {}

    def take(self, event: Event) -> None:
        """Add an event."""
        match event:
            case RunStarted():
                self.started, self.trials, self.constraints = event, event.trials, event.constraints
                self.records = {record.number: record for record in event.records}
            case ModelRead():
                self.read = event
            case TrialStarted():
                self.running[event.number] = event
            case TrialFinished():
                self.running.pop(event.record.number, None)
                self.records[event.record.number] = event.record
            case TrialsChanged():
                self.trials = event.trials
            case ConstraintsChanged():
                self.constraints = event.constraints
                self._judge_again()
            case StateChanged():
                self.state = event.state

    @property
    def n_tried(self) -> int:
        """How many recipes were tried; one that was tried again counts once."""
        return len({record.recipe.digest for record in self.records.values()})

    def _judge_again(self) -> None:
        original = original_among(self.records.values())
        if original is not None:
            self.records = {n: judged(record, self.constraints, original) for n, record in self.records.items()}

    @property
    def results(self) -> Results | None:
        """The trials so far with their verdicts; None before the original was measured."""
        original = original_among(self.records.values())
        if original is None or self.started is None or self.read is None:
            return None
        records = tuple(self.records[number] for number in sorted(self.records))
        order = ranking(records, original, self._prefer)
        return Results(
            records=records,
            front=pareto_front(records, original),
            constraints=self.constraints,
            baseline=original,
            best=order[0].number if order else None,
            metric_is_rate=self.read.metric_is_rate,
        )


class PlainDisplay:
    """One line a trial, and a line now and then while a stage takes long."""

    def __init__(self, prefer: Preference) -> None:
        self._fold = Fold(prefer)
        self._next_stage_line = 0.0

    def take(self, event: Event) -> None:
        """Print what the event says."""
        self._fold.take(event)
        match event:
            case RunStarted():
                console.say(started_line(event))
            case ModelRead():
                console.say(model_line(event))
            case Note():
                console.say(f"note: {event.text}")
            case TrialStarted():
                self._next_stage_line = time.monotonic() + SECONDS_BETWEEN_STAGE_LINES
            case StageStarted() | StageProgress():
                self._tell_stage(event)
            case TrialFinished():
                console.say(finished_line(event.record, self._fold.results))
            case ControlAnswered():
                console.say(answer_line(event))
            case StateChanged() if event.state != "stopping":
                console.say(f"search {event.state}: {event.why}")
            case RunFinished():
                console.say(f"search ended: {event.reason}")

    def _tell_stage(self, event: StageStarted | StageProgress) -> None:
        now = time.monotonic()
        if now < self._next_stage_line:
            return
        self._next_stage_line = now + SECONDS_BETWEEN_STAGE_LINES
        share = f" {event.done}/{event.total}" if isinstance(event, StageProgress) else ""
        what = "judging trial" if event.number in self._fold.records else "trial"
        console.say(f"    {what} {event.number}: {event.stage}{share} …")


def answer_line(event: ControlAnswered) -> str:
    """What became of a request."""
    action = event.action.replace("_", " ")
    return f"{action}: {event.text}" if event.accepted else f"{action} refused: {event.text}"


def started_line(event: RunStarted) -> str:
    """What is searched, how far, and under which limits: other ones may have been set since it began."""
    limits = ", ".join(limits_in_words(event.constraints)) or "no limits"
    return f"run {event.name}: up to {event.trials} trials, the original first; {limits} (model {event.model})"


def model_line(event: ModelRead) -> str:
    """What is compressed, and what it is judged by."""
    parts = ", ".join(f"{count:,} {part}" for part, count in event.n_samples.items())
    return f"{event.architecture}, {event.n_parameters:,} parameters; {event.metric} on samples: {parts}"


def finished_line(record: TrialRecord, results: Results | None) -> str:
    """What a trial gave, on one line."""
    if results is None or not record.measurement:
        return f"! {failure_in_words(record)}"
    told = f"{GLYPHS[standing(record, results)]} {trial_in_words(record, results)}"
    broken = violations_in_words(record, results)
    tail = f"; {', '.join(broken)}" if broken and record.number != results.baseline.number else ""
    if record.measurement.cut_short is not None and record.measurement.quality is not None:
        tail += f"; given up after {record.measurement.quality.n_samples} samples, for {record.measurement.cut_short}"
    return f"{told}{tail}  ({record.wall_seconds or 0:.1f} s)"


class LiveDisplay:
    """The table so far, and the running trials' stages below it."""

    def __init__(self, prefer: Preference) -> None:
        self._fold = Fold(prefer)
        self._stages: dict[int, list[str]] = {}
        self._stage_share: dict[int, str] = {}
        self._since = time.monotonic()

    def take(self, event: Event) -> None:
        """Follow the event; the screen is redrawn by itself."""
        self._fold.take(event)
        match event:
            case RunStarted():
                console.say(started_line(event))
            case ModelRead():
                console.say(model_line(event))
            case Note():
                console.say(f"note: {event.text}")
            case ControlAnswered():
                console.say(answer_line(event))
            case TrialStarted():
                self._stages[event.number] = []
            case TrialFinished():
                self._stages.pop(event.record.number, None)
            case StageStarted():
                self._stages.setdefault(event.number, []).append(event.stage)
                self._stage_share[event.number] = ""
            case StageProgress():
                self._stage_share[event.number] = f" {event.done}/{event.total}"
            case StageFinished():
                took = "from cache" if event.cached else f"{event.seconds:.1f} s"
                self._stages.setdefault(event.number, [])[-1:] = [f"{event.stage} {took}"]
                self._stage_share[event.number] = ""

    def render(self) -> RenderableType:
        """The screen as it stands."""
        parts: list[RenderableType] = []
        results = self._fold.results
        if results is not None:
            recent = results.records[-LARGEST_TABLE_ROWS:]
            shown = Results(**{**vars(results), "records": recent})
            parts.append(rich_table(shown, width=console.err.width))
        parts.append(self._status())
        return Group(*parts)

    def _status(self) -> Text:
        started = self._fold.started
        elapsed = time.strftime("%M:%S", time.gmtime(time.monotonic() - self._since))
        total = self._fold.trials or "?"
        text = Text(f"{self._fold.n_tried}/{total} trials · {elapsed}", style="bold")
        for number, running in self._fold.running.items():
            text.append(f"\n▶ trial {number}: {running.recipe}\n  ", style="cyan")
            text.append(self._chain(number), style="dim")
        if not self._fold.running and started is not None:
            latest = next(reversed(self._stages), None)
            what = f"judging trial {latest} on the holdout: " if latest in self._fold.records else ""
            text.append(f"\n▶ {what}{'starting' if latest is None else self._chain(latest)}", style="cyan")
        if self._fold.state != "running":
            text.append(f"\n{self._fold.state}", style="bold yellow")
        text.append("\nCtrl-C stops and keeps everything", style="dim")
        return text

    def _chain(self, number: int) -> str:
        return " ▸ ".join(self._stages.get(number, ())) + self._stage_share.get(number, "")


@contextmanager
def counted_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show work that is counted; gives the function that takes (done, total)."""
    with stage_progress(title) as take:
        yield lambda done, total: take(StageMoved(stage="", done=done, total=total))


@contextmanager
def stage_progress(title: str) -> Iterator[Callable[[JobProgress], None]]:
    """Show the stages of single jobs; gives the function that takes their progress."""
    if not console.err.is_terminal:
        console.say(title)

        def tell(message: JobProgress) -> None:
            if isinstance(message, StageEnded):
                console.say(f"    {message.time.stage} {message.time.seconds:.1f} s")

        yield tell
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console.err, transient=True) as progress:
        row = progress.add_task(title, total=None)

        def show(message: JobProgress) -> None:
            match message:
                case StageBegan():
                    progress.update(row, description=f"{title}: {message.stage}", completed=0, total=None)
                case StageMoved():
                    progress.update(row, completed=message.done, total=message.total)

        yield show
