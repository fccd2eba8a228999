"""The recipe of a trial as YAML: looked at, copied, or written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, LoadingIndicator, Static

from autocompress.tui.command_output import CommandFailed, output_of
from autocompress.tui.screens.run_screen import RunScreen
from autocompress.tui.screens.standing import while_it_stands
from autocompress.tui.screens.trial import plain_yaml
from autocompress.tui.widgets.trial_text import yaml_lines


class ExportScreen(RunScreen, ModalScreen[None]):
    """Previews a trial's recipe file and writes it.

    Args:
        number: of the trial.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back", key_display="esc"),
        Binding("q", "app.pop_screen", "Back", show=False),
        Binding("enter", "write", "Write", key_display="enter", tooltip="Write the file"),
        Binding("y,ctrl+y", "copy", "Copy", key_display="y", tooltip="Copy the YAML (^y while the path is edited)"),
        Binding("tab", "app.focus_next", "Path", tooltip="Between the text and the path"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]
    SCOPED_CSS = False
    CSS = """
    ExportScreen { align: center middle; }
    ExportScreen #window {
        width: 110; max-width: 100%; height: 90%; background: $surface;
        border: round $primary; border-title-color: $primary; border-subtitle-color: $quiet; padding: 0 1;
    }
    .-ascii ExportScreen #window { border: ascii $primary; }
    ExportScreen #preview { height: 1fr; }
    ExportScreen #yaml { height: auto; text-wrap: nowrap; width: auto; }
    ExportScreen #path-line { height: 1; margin-top: 1; }
    ExportScreen #path-label { width: auto; color: $quiet; }
    ExportScreen #path { width: 1fr; }
    ExportScreen #told { height: auto; min-height: 1; color: $quiet; }
    ExportScreen #told.wrong { color: $error; }
    ExportScreen #told.asking { color: $warning; }
    ExportScreen #told.done { color: $success; }
    ExportScreen LoadingIndicator { height: 1; color: $primary; }
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.text: str | None = None
        """The recipe file, once it was read."""
        self._why_not = "The recipe is still being read."
        self._agreed: Path | None = None
        """The file that the user was told of and that `enter` overwrites now."""

    def compose(self) -> ComposeResult:
        """A window with the file, where it goes, and what is wrong."""
        with Vertical(id="window") as window:
            window.border_title = f"Export #{self.number}"
            window.border_subtitle = "enter write   y copy   tab path   esc back"
            with VerticalScroll(id="preview"):
                yield Static(id="yaml")
            yield LoadingIndicator(id="loading")
            with Horizontal(id="path-line"):
                yield Static("write to ", id="path-label")
                yield Input(f"recipe-{self.number}.yaml", id="path", compact=True, select_on_focus=False)
            yield Static(id="told", markup=False)

    def on_mount(self) -> None:
        """Show what is known at once, and let a child read the whole file."""
        self.query_one("#preview").focus()
        if self.glyphs.is_ascii:
            self.query_one("#loading").display = False
        trial = self.state.trials.get(self.number)
        record = self.attachment.record(trial) if trial is not None else {}
        self.query_one("#yaml", Static).update(yaml_lines(plain_yaml(record)))
        folder = self.attachment.folder
        if folder is None:
            self._end_loading()
            self.text = plain_yaml(record)
            self._tell(
                "This search is kept elsewhere, and only its steps are known here. For the whole recipe file, run on "
                f"the machine that has its folder: autocompress export {self.attachment.title} --trial {self.number} "
                f"-o recipe-{self.number}.yaml",
                "asking",
            )
            return
        self._tell("reading the whole recipe file…")
        self._reading = self.run_worker(self._read(folder), exclusive=True)

    async def _read(self, folder: Path) -> None:
        try:
            self.text = await output_of("export", str(folder), "--trial", str(self.number), "-o", "-")
        except CommandFailed as failure:
            self._why_not = f"The recipe file cannot be made: {failure}"
        while_it_stands(self, self._show_what_was_read)

    def _show_what_was_read(self) -> None:
        self._end_loading()
        if not self.text:
            self._tell(self._why_not, "wrong")
            return
        self.query_one("#yaml", Static).update(yaml_lines(self.glyphs.plain(self.text)))
        self._tell("")

    def _end_loading(self) -> None:
        self.query_one("#loading").display = False

    def _tell(self, text: str, kind: str = "") -> None:
        told = self.query_one("#told", Static)
        told.update(Content(self.glyphs.plain(text)))
        told.set_classes(kind)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_write()

    @on(Input.Changed)
    def _changed(self) -> None:
        if self._agreed is not None:
            self._agreed = None
            self._tell("")

    def action_write(self) -> None:
        """Write the file; one that exists is only overwritten when that is asked for twice."""
        if self.text is None:
            self._tell(f"Nothing was written. {self._why_not}", "asking")
            return
        written = self.query_one("#path", Input).value.strip()
        if not written:
            self._tell("Write where the file should go.", "wrong")
            return
        path = Path(written).expanduser()
        try:
            self._write(path, self.text)
        except OSError as problem:
            self._tell(f"{path} cannot be written: {problem.strerror or problem}", "wrong")

    def _write(self, path: Path, text: str) -> None:
        if path.is_dir():
            self._tell(f"{path} is a folder; add a file name.", "wrong")
            return
        if path.exists() and self._agreed != path:
            self._agreed = path
            self._tell(f"{path} exists. Press enter again to overwrite it, or change the name.", "asking")
            return
        if path.exists():
            fresh = path.with_name(f".{path.name}.writing")
            fresh.write_text(text, encoding="utf-8", newline="\n")
            fresh.replace(path)
        else:
            with path.open("x", encoding="utf-8", newline="\n") as stream:  # what came up meanwhile is kept
                stream.write(text)
        self._agreed = None
        self._tell(f"{self.glyphs.done} written to {path.resolve()}", "done")

    def action_copy(self) -> None:
        """Copy the YAML."""
        if self.text is None:
            self._tell(f"Nothing was copied. {self._why_not}", "asking")
            return
        self.app.copy_to_clipboard(self.text)
        self._tell(f"{self.glyphs.done} copied, if the terminal lets programs set its clipboard (OSC 52)", "done")

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one("#preview").scroll_relative(y=by, animate=False)
