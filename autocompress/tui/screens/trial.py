"""One trial: its recipe, figures with intervals, headroom, time, log and error, and what sets it apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from autocompress.tui.model.answers import answer_to
from autocompress.tui.model.differences import nearest_on_front
from autocompress.tui.model.trial import Trial
from autocompress.tui.screens.run_screen import RunScreen
from autocompress.tui.widgets import trial_text

LOG_LINES = 12
LOG_TAIL_BYTES = 16_384
PANELS = {
    "error": "What went wrong",
    "figures": "Measured",
    "headroom": "Limits",
    "apart": "Nearest on the front",
    "notes": "Notes",
    "recipe": "Recipe",
    "stages": "Time",
    "log": "End of the log",
}
LEFT = ("error", "figures", "headroom", "apart", "notes")


class TrialScreen(RunScreen):
    """All that is known of one trial.

    Args:
        number: of the trial.
        order: the numbers that `j` and `k` go along; those of all trials when not given.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back", key_display="esc"),
        Binding("j,right_square_bracket", "step(1)", "Next", key_display="j", tooltip="Next trial"),
        Binding("k,left_square_bracket", "step(-1)", "Prev", key_display="k", tooltip="Previous trial"),
        Binding("e", "export", "Export", tooltip="Write the recipe as YAML"),
        Binding("y", "copy", "Copy", tooltip="Copy the recipe as YAML"),
        Binding("n", "note", "Note", tooltip="Write a note that is kept with the trial"),
        Binding("t", "try_copy", "Try", tooltip="Edit the recipe and let the search try it next"),
        Binding("L", "log", "Log", tooltip="The whole log of the trial"),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    SCOPED_CSS = False
    CSS = """
    TrialScreen #title { height: auto; padding: 0 1; background: $panel; }
    TrialScreen #body { height: 1fr; }
    TrialScreen.-wide #body { layout: horizontal; }
    TrialScreen .column { height: auto; width: 1fr; }
    TrialScreen .panel {
        height: auto; border: round $primary 60%; border-title-color: $primary; padding: 0 1;
    }
    TrialScreen #error { border: round $error; border-title-color: $error; }
    TrialScreen #log { color: $quiet; text-wrap: nowrap; text-overflow: ellipsis; }
    .-ascii TrialScreen .panel { border: ascii $primary 60%; }
    .-ascii TrialScreen #error { border: ascii $error; }
    """

    def __init__(self, number: int, order: Sequence[int] = ()) -> None:
        super().__init__()
        self.number = number
        self.order = tuple(order)
        self._drawn: tuple[int, int] | None = None
        self._record: dict[str, Any] = {}
        self._asked: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """The title, then panels in one column or two."""
        yield Static(id="title")
        with VerticalScroll(id="body"):
            for names in (LEFT, tuple(name for name in PANELS if name not in LEFT)):
                with Vertical(classes="column"):
                    for name in names:
                        panel = Static(id=name, classes="panel")
                        panel.border_title = PANELS[name]
                        yield panel
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Draw, and let the arrow keys scroll."""
        self.query_one("#body").focus()
        self.refresh_run()

    @property
    def trial(self) -> Trial | None:
        """The trial, once it ended."""
        return self.state.trials.get(self.number)

    def refresh_run(self) -> None:
        """Draw again where the trial, the front or the limits changed."""
        self._tell_answers()
        drawn = (self.number, self.state.trials_revision)
        if drawn == self._drawn and self.trial is not None:
            return
        self._drawn = drawn
        if self.trial is None:
            self._draw_unfinished()
        else:
            self._draw(self.trial)

    def _put(self, name: str, content: Content | None) -> None:
        panel = self.query_one(f"#{name}", Static)
        panel.display = content is not None
        if content is not None:
            panel.update(content)

    def _draw(self, trial: Trial) -> None:
        state, glyphs = self.state, self.glyphs
        self._record = record = self.attachment.record(trial)
        nearest = nearest_on_front(trial, state.trials, state.front.numbers)
        theirs = self.attachment.record(nearest).get("recipe") if nearest else None
        self.query_one("#title", Static).update(trial_text.title(state, trial, glyphs))
        is_measured = trial.status == "complete"
        self._put("error", self._error(record))
        self._put("figures", trial_text.figures(state, trial, record, glyphs) if is_measured else None)
        self._put("headroom", trial_text.headroom(state, trial, glyphs) if is_measured else None)
        self._put("apart", trial_text.neighbours(trial, nearest, record.get("recipe"), theirs, glyphs))
        self._put("notes", Content("\n".join(map(glyphs.plain, trial.notes))) if trial.notes else None)
        self._put("recipe", trial_text.yaml_lines(plain_yaml(record)))
        self._put("stages", trial_text.stage_lines(record.get("stages") or (), trial.wall_seconds, glyphs))
        self._put("log", self._log(record))

    def _draw_unfinished(self) -> None:
        """The trial runs, or is not known."""
        running = self.state.all_running.get(self.number)
        for name in PANELS:
            self._put(name, None)
        if running is None:
            self.query_one("#title", Static).update(f"#{self.number} is not in this run (yet).")
            return
        glyphs = self.glyphs
        label = glyphs.plain(running.label)
        self.query_one("#title", Static).update(
            Content.assemble((f"#{self.number} ", "bold"), (f"{glyphs.running} is running", "$primary"), f"  {label}")
        )
        ended = [
            {"stage": stage.name, "seconds": stage.seconds, "cached": stage.cached}
            for stage in running.stages
            if stage.seconds is not None
        ]
        self._put("stages", trial_text.stage_lines(ended, None, glyphs))
        self._put("log", self._log({}))

    def _error(self, record: dict[str, Any]) -> Content | None:
        error = record.get("error")
        if not error:
            return None
        plain = self.glyphs.plain
        parts: list[Content] = [Content.styled(plain(str(error.get("message"))), "$error")]
        if error.get("stage"):
            parts.append(Content.styled(plain(f"in the stage {error['stage']}"), "$quiet"))
        if error.get("remedy"):
            parts.append(Content(plain(str(error["remedy"]))))
        return Content("\n").join(parts)

    @property
    def log_path(self) -> Path | None:
        """Where the trial's log lies; None where the run has no folder here."""
        folder = self.attachment.folder
        return folder / "trials" / str(self.number) / "log.txt" if folder else None

    def _log(self, record: dict[str, Any]) -> Content | None:
        text = last_lines(self.log_path, LOG_LINES) or str((record.get("error") or {}).get("log_tail") or "").strip()
        return Content(self.glyphs.plain(text)) if text else None

    def _tell_answers(self) -> None:
        for request_id, what in list(self._asked.items()):
            answer = answer_to(self.state, request_id)
            if answer is not None:
                del self._asked[request_id]
                self.notify(
                    self.glyphs.plain(answer.text),
                    title=what,
                    severity="information" if answer.accepted else "error",
                    markup=False,
                )

    def action_step(self, by: int) -> None:
        """Go to the next or the previous trial."""
        order = self.order or tuple(sorted(self.state.trials))
        if not order:
            return
        at = order.index(self.number) + by if self.number in order else 0
        if not 0 <= at < len(order):
            self.app.bell()
            return
        self.number = order[at]
        self.refresh_run()
        self.query_one("#body").scroll_home(animate=False)

    def action_export(self) -> None:
        """Write the recipe as YAML."""
        from autocompress.tui.screens.export import ExportScreen

        if self.trial is not None:
            self.app.push_screen(ExportScreen(self.number))

    def action_copy(self) -> None:
        """Copy the recipe as it is shown."""
        if self._record:
            self.app.copy_to_clipboard(plain_yaml(self._record))
            self.notify(f"The recipe of #{self.number} was copied.")

    def action_note(self) -> None:
        """Ask for a note and let the search keep it, or keep it when that is over."""
        if not self.attachment.can_be_noted:
            self.notify("Notes are kept in the run's folder, which is not on this machine.", severity="warning")
            return
        from autocompress.tui.screens.prompt import PromptScreen

        self.app.push_screen(PromptScreen(f"Note on trial {self.number}"), self._send_note)

    def _send_note(self, text: str | None) -> None:
        if text and text.strip() and not self.attachment.can_be_steered:
            self.run_worker(self.keep_note(self.number, text.strip()), group="note")
        elif text and text.strip():
            request_id = self.attachment.ask("note", number=self.number, text=text.strip())
            self._asked[request_id] = "Note"

    def action_try_copy(self) -> None:
        """Edit a copy of the recipe."""
        from autocompress.tui.screens.try_recipe import TryRecipeScreen

        if self.trial is not None:
            self.app.push_screen(TryRecipeScreen(self.number))

    def action_log(self) -> None:
        """Show the whole log."""
        from autocompress.tui.screens.log import LogScreen

        self.app.push_screen(LogScreen(self.number))


def plain_yaml(record: dict[str, Any]) -> str:
    """The recipe of a record as YAML: steps with the knobs that were set, and the format."""
    import yaml

    recipe = record.get("recipe") or {}
    parts = {name: recipe[name] for name in ("steps", "format", "seed") if name in recipe}
    return yaml.safe_dump(parts, sort_keys=False, allow_unicode=True)


def last_lines(path: Path | None, count: int) -> str:
    """The end of a text file; empty where there is none."""
    if path is None:
        return ""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-count:]).strip("\n")
    except OSError:
        return ""
