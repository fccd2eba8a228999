"""The screen that leads through the steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Button, ContentSwitcher, Footer, Input, Static

from autocompress.tui.attachment import Attachment
from autocompress.tui.child import PROGRAM
from autocompress.tui.launch import Launch
from autocompress.tui.model.draft import Draft
from autocompress.tui.model.probe import Probe
from autocompress.tui.screens.wizard.data_step import DataStep
from autocompress.tui.screens.wizard.limits_step import LimitsStep
from autocompress.tui.screens.wizard.look_step import LookStep
from autocompress.tui.screens.wizard.model_step import ModelStep
from autocompress.tui.screens.wizard.space_step import SpaceStep
from autocompress.tui.screens.wizard.start_step import StartStep
from autocompress.tui.screens.wizard.step import Step
from autocompress.tui.screens.wizard.yaml_screen import YamlScreen

if TYPE_CHECKING:
    from autocompress.tui.app import AutocompressApp

SECONDS_BETWEEN_LOOKS = 0.2
STEP_OF_SECTION = {"model": 0, "data": 1, "constraints": 3, "space": 4}
"""Which step a refusal of the search leads back to, by the section of the spec that it names."""


class WizardScreen(Screen[None]):
    """From a model to a running search; going back keeps everything.

    Args:
        program: what `probe`, `demo` and `search` are commands of.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "Next", key_display="enter"),
        Binding("escape", "back", "Back"),
        Binding("ctrl+n", "next", "Next", show=False),
        Binding("ctrl+y", "yaml", "YAML"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    SCOPED_CSS = False  # the class -ascii is the app's
    CSS = """
    .-ascii WizardScreen Select .arrow { display: none; }
    .-ascii WizardScreen OptionList, .-ascii WizardScreen .cells { text-overflow: clip; }
    """
    DEFAULT_CSS = """
    WizardScreen > #steps { height: 1; background: $panel; padding: 0 1; margin-bottom: 1; }
    WizardScreen > ContentSwitcher { height: 1fr; }
    WizardScreen > #told { height: auto; min-height: 1; max-height: 4; padding: 0 1; color: $quiet; }
    WizardScreen > #told.wrong { color: $error; }
    WizardScreen > #bottom { height: 1; padding: 0 1; align-horizontal: right; }
    WizardScreen > #bottom > Button { margin-left: 1; min-width: 15; }
    WizardScreen > #bottom > #next { min-width: 20; }
    WizardScreen Button:focus { text-style: bold underline !important; }
    """

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        super().__init__()
        self.program = tuple(program)
        self.draft = Draft()
        self.probe = Probe()
        self.probed: dict[str, Any] | None = None
        self.suggested_name = ""
        self.at = 0
        self.launch: Launch | None = None
        self._launched = 0.0
        self._launch_timer: Timer | None = None
        self.steps: tuple[Step, ...] = (
            *(ModelStep(), DataStep(), LookStep()),
            *(LimitsStep(), SpaceStep(), StartStep()),
        )

    @property
    def owner(self) -> AutocompressApp:
        """The app, as what it is."""
        return cast("AutocompressApp", self.app)

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return self.steps[self.at]

    def compose(self) -> ComposeResult:
        """The steps' names, the step, what is to be said, and the ways on."""
        yield Static(id="steps")
        for number, step in enumerate(self.steps):
            step.id = f"step-{number}"
        with ContentSwitcher(initial="step-0"):
            yield from self.steps
        yield Static(id="told", markup=False)
        with Horizontal(id="bottom"):
            yield Button("Back (esc)", id="back", compact=True)
            yield Button("YAML (^y)", id="yaml", compact=True)
            yield Button("Next (enter)", id="next", compact=True, variant="primary")
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        self.go(0)

    def on_unmount(self) -> None:
        """Leave nothing running but the search."""
        if self._launch_timer is not None:
            self._launch_timer.stop()

    def go(self, number: int) -> None:
        """Show a step."""
        if number != self.at:
            self.step.leave()
        self.at = number
        self.query_one(ContentSwitcher).current = f"step-{number}"
        self.tell("")
        self._draw_steps()
        self.step.show()
        self.refresh_buttons()

    def action_go(self, number: int) -> None:
        """Go back to a step that was there before."""
        if number < self.at and self.launch is None:
            self.go(number)

    def action_next(self) -> None:
        """Go on, where nothing is in the way."""
        if self.launch is not None or not self.step.may_go_on():
            self.refresh_buttons()
            return
        if self.at + 1 < len(self.steps):
            self.go(self.at + 1)
        else:
            self.start()

    def action_back(self) -> None:
        """Go back, or end what runs."""
        step = self.step
        if self.launch is not None:
            self._call_off()
        elif isinstance(step, LookStep) and step.is_looking:
            step.cancel()
        elif self.at:
            self.go(self.at - 1)
        else:
            step.leave()
            self.dismiss()

    def action_yaml(self) -> None:
        """Show the spec."""
        if self.draft.model_problem():
            self.tell("There is nothing to show before there is a model.")
        else:
            self.app.push_screen(YamlScreen(self.draft.yaml(self.probe), self.draft.name.strip() or "search"))

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_next()

    @on(Button.Pressed, "#bottom Button")
    def _pressed(self, event: Button.Pressed) -> None:
        match event.button.id:
            case "next":
                self.action_next()
            case "back":
                self.action_back()
            case _:
                self.action_yaml()

    def tell(self, text: str, *, is_wrong: bool = False) -> None:
        """Say something below the step."""
        told = self.query_one("#told", Static)
        glyphs = self.owner.glyphs
        told.update(glyphs.plain(f"{glyphs.violates} {text}" if is_wrong and text else text))
        told.set_class(is_wrong, "wrong")

    def focus_next_button(self) -> None:
        """Where there is nothing to fill in, enter goes on."""
        self.query_one("#next", Button).focus()

    def refresh_buttons(self) -> None:
        """Say on the buttons what they do now."""
        step = self.step
        back, label, is_waiting = "Back", step.next_label, self.launch is not None
        if isinstance(step, LookStep):
            if step.is_looking:
                back, is_waiting = "Cancel", True
            elif step.is_outdated or (self.probe.problem and not self.probe.is_complete):
                label = "Look again"
        if self.launch is not None:
            back = "Cancel"
        self.query_one("#back", Button).label = f"{back} (esc)"
        go_on = self.query_one("#next", Button)
        go_on.label = f"{label} (enter)"
        go_on.disabled = is_waiting

    def _draw_steps(self) -> None:
        glyphs = self.owner.glyphs
        pieces: list[Content] = [Content.styled("New search  ", "bold")]
        for number, step in enumerate(self.steps):
            if number:
                pieces.append(Content.styled(f" {'>' if glyphs.is_ascii else '›'} ", "$quiet"))
            if number < self.at:
                name = f"{glyphs.done} {step.title}"
                pieces.append(Content.styled(name, f"$success @click=screen.go({number})"))
            elif number == self.at:
                pieces.append(Content.styled(f"{number + 1} {step.title}", "bold reverse"))
            else:
                pieces.append(Content.styled(f"{number + 1} {step.title}", "$quiet"))
        self.query_one("#steps", Static).update(Content("").join(pieces))

    def start(self) -> None:
        """Start the search, and wait until there is something to watch."""
        name = self.draft.name.strip()
        try:
            self.launch = Launch(name, self.draft.yaml(self.probe), self.owner.root, self.program)
        except OSError as problem:
            self.tell(f"{self.owner.root} cannot be written: {problem.strerror}. Set AUTOCOMPRESS_RUNS.", is_wrong=True)
            return
        self._launched = time.monotonic()
        self._launch_timer = self.set_interval(SECONDS_BETWEEN_LOOKS, self._watch_launch)
        self.refresh_buttons()
        self._watch_launch()

    def _watch_launch(self) -> None:
        launch = self.launch
        if launch is None or not self.is_current:
            return
        if launch.has_begun:
            self._end_watch()
            launch.hand_over()
            run, app = launch.run, self.owner
            app.pop_screen()
            app.open_run(Attachment(run.name, run.events, run.path))
        elif (failure := launch.failure) is not None:
            self._end_watch()
            launch.give_up()
            section = failure.partition(".")[0].partition(":")[0]
            self.go(STEP_OF_SECTION.get(section, self.at))
            self.tell(f"The search did not start: {failure}", is_wrong=True)
        else:
            seconds = f"{time.monotonic() - self._launched:.0f} s"
            last = launch.last_line
            self.tell(f"starting the search, {seconds}{f': {last}' if last else ''}")

    def _end_watch(self) -> None:
        if self._launch_timer is not None:
            self._launch_timer.stop()
            self._launch_timer = None
        self.launch = None

    def _call_off(self) -> None:
        launch = self.launch
        if launch is not None:
            self._end_watch()
            launch.call_off()
            self.refresh_buttons()
            self.tell("The start was called off.")
