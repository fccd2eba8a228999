"""A recipe as YAML, to be changed and tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Static, TextArea


class RecipeEditor(ModalScreen[dict[str, Any] | None]):
    """Gives the recipe as plain data, or None where it was called off; the search judges whether it can be run.

    Args:
        recipe: what stands there at first.
        question: the title.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "take", "Try it", priority=True),
        Binding("escape", "call_off", "Back", priority=True),
    ]
    SCOPED_CSS = False  # the class that asks for ASCII is on the app
    CSS = """
    RecipeEditor { align: center middle; background: $background 60%; }
    RecipeEditor > Vertical {
        width: 80; max-width: 100%; height: 22; max-height: 100%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    .-ascii RecipeEditor > Vertical { border: ascii $primary; }
    RecipeEditor .question { text-style: bold; height: 1; }
    RecipeEditor TextArea { height: 1fr; border: none; padding: 0; }
    RecipeEditor .hint { height: 2; color: $quiet; }
    RecipeEditor .wrong { color: $error; }
    """

    def __init__(self, recipe: Mapping[str, Any], question: str) -> None:
        super().__init__()
        self.recipe = recipe
        self.question = question

    def compose(self) -> ComposeResult:
        """Title, text, what is wrong with it."""
        import yaml

        with Vertical():
            yield Static(self.question, classes="question", markup=False)
            yield TextArea(yaml.safe_dump(dict(self.recipe), sort_keys=False), show_line_numbers=False)
            yield Static("The search checks it and says what it cannot take.", classes="hint", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Write at once."""
        self.query_one(TextArea).focus()

    def action_take(self) -> None:
        """Give the recipe, if it is one as far as can be told here."""
        recipe, mistake = read_recipe(self.query_one(TextArea).text)
        if recipe is not None:
            self.dismiss(recipe)
            return
        line = self.query_one(".hint", Static)
        line.update(mistake or "")
        line.add_class("wrong")

    def action_call_off(self) -> None:
        """Leave without one."""
        self.dismiss(None)


def read_recipe(text: str) -> tuple[dict[str, Any] | None, str | None]:
    """A recipe as plain data, or why it is none."""
    import yaml

    try:
        recipe = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        return None, f"this is no YAML{where}: {getattr(error, 'problem', None) or error}"
    if not isinstance(recipe, dict) or not isinstance(recipe.get("steps"), list) or "format" not in recipe:
        return None, "a recipe has a list of steps and a format"
    if not all(isinstance(step, dict) and len(step) == 1 for step in recipe["steps"]):
        return None, "each step is written as “- method: {knob: value}”"
    return recipe, None
