"""A copy of a trial's recipe, edited, for the search to try next."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Static, TextArea

from autocompress.tui.model.answers import answer_to
from autocompress.tui.screens.run_screen import RunScreen
from autocompress.tui.screens.trial import plain_yaml

SECONDS_OF_PATIENCE = 10
ALLOWED = ("steps", "format", "seed")


class RecipeMistake(ValueError):
    """The text is no recipe; says why in a sentence."""


def read_recipe(text: str) -> dict[str, Any]:
    """The recipe that a YAML text holds, as plain data; the search itself checks what the steps are.

    Raises:
        RecipeMistake: it holds none.
    """
    import yaml

    try:
        plain = yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise RecipeMistake(f"{where}{problem.problem or 'this is no YAML'}") from None
    except yaml.YAMLError as problem:
        raise RecipeMistake(str(problem).splitlines()[0]) from None
    if not isinstance(plain, dict):
        raise RecipeMistake("a recipe has steps: and format:")
    unknown = [str(key) for key in plain if key not in ALLOWED]
    if unknown:
        raise RecipeMistake(f"a recipe has no {unknown[0]}:, only steps:, format: and seed:")
    steps = plain.get("steps")
    plain["steps"] = steps = [] if steps is None else steps
    if not isinstance(steps, list):
        raise RecipeMistake("steps: is a list; begin each step with a dash")
    for index, step in enumerate(steps):
        if isinstance(step, str):
            steps[index] = {step: {}}
        elif not (isinstance(step, dict) and len(step) == 1):
            raise RecipeMistake(f"steps[{index}] is no step; write - method: with its knobs below, indented")
        elif next(iter(step.values())) is None:
            steps[index] = {next(iter(step)): {}}
    if not isinstance(plain.get("format"), str):
        raise RecipeMistake("format: is missing; it names what is exported, such as onnx")
    return plain


class TryRecipeScreen(RunScreen):
    """Edits a copy of a recipe and asks the search to try it next.

    Args:
        number: of the trial that is copied.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", key_display="esc", priority=True),
        Binding("ctrl+s", "send", "Let the search try it", key_display="^s", priority=True),
    ]
    SCOPED_CSS = False
    CSS = """
    TryRecipeScreen #title { height: auto; padding: 0 1; background: $panel; }
    TryRecipeScreen TextArea { height: 1fr; border: round $primary 60%; padding: 0 1; }
    .-ascii TryRecipeScreen TextArea { border: ascii $primary 60%; }
    TryRecipeScreen #told { height: auto; min-height: 2; padding: 0 2; color: $quiet; }
    TryRecipeScreen #told.wrong { color: $error; }
    TryRecipeScreen #told.done { color: $success; }
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self._asked: str | None = None
        self._waited = 0

    def compose(self) -> ComposeResult:
        """The text, and what the search says to it."""
        yield Static(id="title")
        yield TextArea(id="text", show_line_numbers=True, tab_behavior="indent", soft_wrap=False)
        yield Static(id="told", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Copy the recipe into the text."""
        self.query_one("#title", Static).update(
            Content.assemble(
                (f"A copy of #{self.number}", "bold"), ("  edit it, then ^s lets the search try it", "$quiet")
            )
        )
        trial = self.state.trials.get(self.number)
        area = self.query_one("#text", TextArea)
        area.text = plain_yaml(self.attachment.record(trial)) if trial is not None else "steps: []\nformat: onnx\n"
        area.focus()
        if not self.attachment.can_be_steered:
            self._tell("The search is over or out of reach, so nothing can be tried now.", "wrong")

    def _tell(self, text: str, kind: str = "") -> None:
        told = self.query_one("#told", Static)
        told.update(self.glyphs.plain(text))
        told.set_classes(kind)

    def action_send(self) -> None:
        """Ask the search to try what is written."""
        try:
            recipe = read_recipe(self.query_one("#text", TextArea).text)
        except RecipeMistake as mistake:
            self._tell(f"Not sent: {mistake}", "wrong")
            return
        if not self.attachment.can_be_steered:
            self._tell("Not sent: the search is over or out of reach.", "wrong")
            return
        self._asked, self._waited = self.attachment.ask("try_recipe", recipe=recipe), 0
        self._tell("Sent; waiting for the search's answer…")
        self.refresh_run()

    def refresh_run(self) -> None:
        """Show the answer once it is there."""
        answer = answer_to(self.state, self._asked) if self._asked else None
        if answer is None:
            return
        self._asked = None
        if answer.accepted:
            self._tell(f"{self.glyphs.done} {answer.text}", "done")
        else:
            self._tell(f"Refused: {answer.text}", "wrong")

    def refresh_clock(self) -> None:
        """Say so when no answer comes."""
        if self._asked is None:
            return
        self._waited += 1
        if self._waited == SECONDS_OF_PATIENCE:
            self._tell("Sent, but no answer yet: the search looks twice a second, unless it is busy or gone.")

    def action_leave(self) -> None:
        """Go back."""
        self.app.pop_screen()
