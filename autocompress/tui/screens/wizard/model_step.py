"""Step 1: the model."""

from __future__ import annotations

import time
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from autocompress.report.numbers import megabytes
from autocompress.tui.child import running
from autocompress.tui.model.recent_models import RecentModel, architecture_of, recent_models, weight_bytes
from autocompress.tui.screens.wizard.path_field import PathField
from autocompress.tui.screens.wizard.progress_line import progress_line
from autocompress.tui.screens.wizard.step import Step

DEMO = "the demo"
DEMO_MEANS = "a digit classifier, trained here on first use"


class RecentList(OptionList):
    """The models at hand; typing goes to the line for paths."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]

    def on_key(self, event: events.Key) -> None:
        """A character that means nothing here begins a path."""
        line = cast(ModelStep, self.parent).query_one(PathField).input
        began = self.screen.focused is line  # by a key before this one, both typed at once
        if not (event.is_printable and event.character) or (event.character in "jk " and not began):
            return
        event.stop()
        self.screen.set_focus(line)  # now, not after the next refresh: what is typed ahead goes on there
        line.value = (line.value if began else "") + event.character
        line.cursor_position = len(line.value)


class ModelStep(Step):
    """Recent models, the demo, a path, a hub id."""

    title = "Model"
    DEFAULT_CSS = """
    ModelStep > RecentList {
        height: auto; max-height: 9; border: none; padding: 0; margin-bottom: 1; background: $background;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.recent: list[RecentModel] = []
        self._preparing: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """The list, and the line for all others."""
        yield Static("Which model shall become smaller?", classes="heading")
        yield RecentList(compact=True)
        yield Static("or another: its folder, its id on the hub, or a .py file that describes it")
        yield PathField("model", "models/my-bert or owner/name", id="model")
        yield Static(id="model-note", markup=False, classes="quiet")

    def on_mount(self) -> None:
        """Look for models of earlier runs."""
        self.recent = recent_models(self.wizard.owner.root)
        models = self.query_one(RecentList)
        models.add_option(Option(Content.assemble((f"{DEMO:<22} ", "bold"), (self.glyphs.plain(DEMO_MEANS), "$quiet"))))
        models.add_options(Option(self._shown(each)) for each in self.recent)
        models.highlighted = 1 if self.recent else 0

    def _shown(self, each: RecentModel) -> Content:
        name = Path(each.path).name or each.path
        when = _ago(time.time() - each.when)
        told = f"{when:<12} {each.path}" + (f" on {Path(each.data).name}" if each.data else "")
        return Content.assemble((f"{self.glyphs.plain(name):<22} ", "bold"), (self.glyphs.plain(told), "$quiet"))

    def show(self) -> None:
        """Fill in what was chosen."""
        self.query_one(PathField).fill(self.draft.model)
        self._tell()
        if self.draft.model:
            self.query_one(PathField).input.focus()
        else:
            self.query_one(RecentList).focus()

    def leave(self) -> None:
        """End the demo's training."""
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.draft.model = event.value
        self.wizard.tell("")
        self._tell()

    def _tell(self, problem: str | None = None) -> None:
        note = self.query_one("#model-note", Static)
        note.update(self.glyphs.plain(f"{self.glyphs.violates} {problem}" if problem else self._meaning()))
        note.set_class(problem is not None, "wrong")
        note.set_class(problem is None, "quiet")

    def _meaning(self) -> str:
        text = self.draft.model.strip()
        if not text or self.draft.model_problem():
            return ""
        if self.draft.brings_its_data:
            return "A model of your own: this file is run."
        folder = Path(text).expanduser()
        if folder.is_dir():
            size = weight_bytes(folder)
            return f"{architecture_of(folder)}" + (f", {megabytes(size)} MB of weights" if size else "")
        return f"No folder here: the next steps ask the hub for {text}."

    def may_go_on(self) -> bool:
        """Only with a model."""
        problem = self.draft.model_problem()
        self._tell(problem)
        if problem:
            self.query_one(PathField).input.focus()
        return problem is None

    @on(OptionList.OptionSelected, "RecentList")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option_index:
            self.draft.adopt(self.recent[event.option_index - 1].spec)
            self.query_one(PathField).fill(self.draft.model)
            self.wizard.action_next()
        elif self._preparing is None or self._preparing.is_finished:
            self._preparing = self.run_worker(self._prepare(), group="demo")

    async def _prepare(self) -> None:
        """Have the demo's model trained, where that was not done yet."""
        wizard = self.wizard
        wizard.tell("preparing the demo")
        async with running([*wizard.program, "demo", "--prepare"]) as child:
            async with aclosing(child.lines()) as lines:
                async for line in lines:
                    if line.get("kind") == "step":
                        told = progress_line(str(line.get("text")), _share(line), self.glyphs)
                        wizard.tell(f"{told} (esc cancels)")
                    elif line.get("kind") == "demo":
                        self._take_demo(line)
                        return
            wizard.tell(child.last_words, is_wrong=True)

    def _take_demo(self, line: dict[str, Any]) -> None:
        spec = line.get("spec") or {"model": {"path": line["model"]}, "data": {"path": line["data"]}}
        self.draft.adopt(spec, "demo")
        trials = (spec.get("budget") or {}).get("trials")
        if trials:
            self.draft.trials = str(trials)
        self.wizard.tell("")
        self.wizard.go(2)


def _share(line: dict[str, Any]) -> float | None:
    total = float(line.get("total") or 0)
    return float(line.get("done") or 0) / total if total else None


def _ago(seconds: float) -> str:
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit * 30 and name == "d":
            return datetime.fromtimestamp(time.time() - seconds).date().isoformat()
        if seconds >= unit:
            return f"{int(seconds // unit)} {name} ago"
    return "just now"
