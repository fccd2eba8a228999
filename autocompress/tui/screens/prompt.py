"""A question that is answered by a line of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


def anything(_: str) -> str | None:
    """Takes every text."""
    return None


class PromptScreen(ModalScreen[str | None]):
    """Asks for a line of text; gives it, or None where it was called off.

    Args:
        question: what is asked.
        initial: what stands in the line at first.
        validate: says in a sentence why a text cannot be taken, None where it can. It is asked while one types, and
            `enter` is only taken once it has nothing to say.
        hint: how an answer is written, shown while nothing is wrong.
        is_suggestion: what stands in the line at first is replaced by what is typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "call_off", "Back")]
    SCOPED_CSS = False  # the class that asks for ASCII is on the app
    CSS = """
    PromptScreen { align: center middle; background: $background 60%; }
    PromptScreen > Vertical {
        width: 76; max-width: 100%; height: auto; border: round $primary; background: $surface; padding: 0 1;
    }
    .-ascii PromptScreen > Vertical { border: ascii $primary; }
    PromptScreen Static { height: auto; }
    PromptScreen .question { text-style: bold; }
    PromptScreen Input { margin: 1 0 0 0; }
    PromptScreen .hint { color: $quiet; min-height: 1; }
    PromptScreen .wrong { color: $error; }
    PromptScreen .keys { color: $quiet; text-align: right; }
    """

    def __init__(
        self,
        question: str,
        initial: str = "",
        validate: Callable[[str], str | None] = anything,
        *,
        hint: str = "",
        is_suggestion: bool = False,
    ) -> None:
        super().__init__()
        self.is_suggestion = is_suggestion
        self.question = question
        self.initial = initial
        self.problem_of = validate
        self.hint = hint

    def compose(self) -> ComposeResult:
        """The question, the line, and what is wrong with it."""
        with Vertical():
            yield Static(self.question, classes="question", markup=False)
            yield Input(self.initial, compact=True, select_on_focus=self.is_suggestion)
            yield Static(self.hint, classes="hint", markup=False)
            yield Static("enter takes it   esc back", classes="keys", markup=False)

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        self._tell(self.problem_of(event.value) if event.value else None)

    def _tell(self, problem: str | None) -> None:
        line = self.query_one(".hint", Static)
        line.update(problem or self.hint)
        line.set_class(problem is not None, "wrong")

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        problem = self.problem_of(event.value)
        if problem is None:
            self.dismiss(event.value)
        else:
            self._tell(problem)

    def action_call_off(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)
