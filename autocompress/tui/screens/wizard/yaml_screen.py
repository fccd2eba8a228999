"""The search as YAML: the same as a headless search reads."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from autocompress.tui.screens.prompt import PromptScreen


class YamlScreen(ModalScreen[None]):
    """Shows a spec; copies it, or writes it to a file.

    Args:
        text: the YAML.
        name: of the run, for the file's name.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy"),
        Binding("w", "write", "Write"),
        Binding("escape,q,ctrl+y", "app.pop_screen", "Back"),
    ]
    SCOPED_CSS = False  # the class -ascii is the app's
    DEFAULT_CSS = """
    YamlScreen { align: center middle; background: $background 60%; }
    YamlScreen > Vertical {
        width: 90%; max-width: 100; height: auto; max-height: 90%; border: round $primary; background: $surface;
        padding: 0 1;
    }
    YamlScreen VerticalScroll { height: auto; max-height: 1fr; }
    YamlScreen Static { height: auto; }
    YamlScreen .heading { text-style: bold; margin-bottom: 1; }
    YamlScreen #said { color: $quiet; margin-top: 1; }
    .-ascii YamlScreen > Vertical { border: ascii $primary; }
    """

    def __init__(self, text: str, name: str) -> None:
        super().__init__()
        self.text = text
        self.run_name = name

    def compose(self) -> ComposeResult:
        """The text, and the keys."""
        with Vertical():
            yield Static("autocompress search SPEC.yaml runs the same search", classes="heading", markup=False)
            with VerticalScroll():
                yield Static(self.text, markup=False)
            yield Static("y copies   w writes it to a file   esc back", id="said", markup=False)

    def on_mount(self) -> None:
        """Arrow keys scroll."""
        self.query_one(VerticalScroll).focus()

    def action_copy(self) -> None:
        """Copy it."""
        self.app.copy_to_clipboard(self.text)
        self.query_one("#said", Static).update("copied   w writes it to a file   esc back")

    def action_write(self) -> None:
        """Ask where to, and write it."""
        self.app.push_screen(
            PromptScreen("Write the search to which file?", f"{self.run_name}.yaml", why_not_written), self._write
        )

    def _write(self, file: str | None) -> None:
        if file is None:
            return
        path = Path(file).expanduser()
        said = self.query_one("#said", Static)
        try:
            path.write_text(self.text, encoding="utf-8")
        except OSError as problem:
            said.update(f"not written: {problem.strerror or problem}")
        else:
            said.update(f"written. Run it with: autocompress search {path}")


def why_not_written(file: str) -> str | None:
    """Why nothing can be written there."""
    path = Path(file.strip()).expanduser()
    if not file.strip():
        return "Name a file."
    if path.is_dir():
        return f"{file} is a folder. Name a file in it."
    if path.exists():
        return f"There is a {file} already. Choose another name."
    return None if path.parent.is_dir() else f"There is no folder {path.parent}."
