"""Step 2: the data, and what is measured on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Static

from autocompress.measure.nvml import why_no_device
from autocompress.tui.screens.wizard.choice_list import Choice, ChoiceList
from autocompress.tui.screens.wizard.field import Field
from autocompress.tui.screens.wizard.path_field import PathField
from autocompress.tui.screens.wizard.step import Step

RUNTIMES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""On a CPU, by the module that is there where they are installed."""


class DataStep(Step):
    """The samples that recipes are judged by, and the device."""

    title = "Data"

    def compose(self) -> ComposeResult:
        """The path, the device, the threads."""
        yield Static("Which data shall judge it?", classes="heading")
        yield PathField("data", "data/reviews.csv or owner/dataset", id="data")
        yield Static(id="data-note", markup=False, classes="quiet")
        yield Static("\nWhere will it run? Latency and memory are measured there.", classes="heading")
        yield ChoiceList(is_single=True, label_width=6, id="device")
        yield Static("")
        yield Field("Threads", "1", id="threads")

    def show(self) -> None:
        """Fill in what was chosen."""
        self.query_one(PathField).fill(self.draft.data)
        why_not = why_no_device()
        devices = [
            Choice("cpu", "CPU", ", ".join(name for module, name in RUNTIMES.items() if find_spec(module))),
            Choice("cuda", "CUDA", "an NVIDIA GPU", reason=f"{why_not}" if why_not else None),
        ]
        self.query_one("#device", ChoiceList).fill(devices, {self.draft.device}, self.glyphs)
        self.query_one("#threads", Field).fill(self.draft.threads)
        self._tell(None)
        self._tell_threads()
        self.query_one(PathField).input.focus()

    @on(Input.Changed, "#data PathInput")
    def _typed(self, event: Input.Changed) -> None:
        self.draft.data = event.value
        self.draft.columns = {}
        self._tell(None)

    @on(Input.Changed, "#threads Input")
    def _typed_threads(self, event: Input.Changed) -> None:
        self.draft.threads = event.value
        self._tell_threads()

    @on(ChoiceList.Changed)
    def _ticked(self, event: ChoiceList.Changed) -> None:
        self.draft.device = next(iter(event.choices.ticked))

    def _tell(self, problem: str | None) -> None:
        note = self.query_one("#data-note", Static)
        note.update(self.glyphs.plain(f"{self.glyphs.violates} {problem}" if problem else self._meaning()))
        note.set_class(problem is not None, "wrong")
        note.set_class(problem is None, "quiet")

    def _meaning(self) -> str:
        draft = self.draft
        if draft.data_parts:
            parts = ", ".join(f"{part} {Path(path).name}" for part, path in draft.data_parts.items())
            return f"As in the run it was last searched in: {parts}."
        if draft.brings_its_data and not draft.data.strip():
            return "Nothing to give: the model's file loads its data itself."
        if not draft.data.strip():
            return "CSV, TSV, JSON lines, Parquet, NPZ, text, a folder, or a hub dataset. tab completes."
        if draft.data_problem():
            return "tab completes"
        if Path(draft.data.strip()).expanduser().exists():
            return "Cut in three: to calibrate, to guide the search, and for the last judgement."
        return f"No file here: the next step asks the hub for {draft.data.strip()}."

    def _tell_threads(self) -> None:
        meaning = "as many as it will have where it is deployed"
        self.query_one("#threads", Field).tell(meaning, self.draft.threads_problem(), self.glyphs)

    def may_go_on(self) -> bool:
        """Only with data that exists, or that the hub may have."""
        problem = self.draft.data_problem()
        self._tell(problem)
        if problem:
            self.query_one(PathField).input.focus()
        elif self.draft.threads_problem():
            self.query_one("#threads", Field).input.focus()
        return problem is None and self.draft.threads_problem() is None
