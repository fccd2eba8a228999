"""Asking a running search for something, and hearing its answer."""

from __future__ import annotations

from typing import Any

from autocompress.tui.model.run_state import PAUSED, STOPPING, Said
from autocompress.tui.model.trial import Trial
from autocompress.tui.screens.confirm import ConfirmScreen
from autocompress.tui.screens.prompt import PromptScreen
from autocompress.tui.screens.run_screen import RunScreen

MOST_NEW_TRIALS = 100_000


class Steering(RunScreen):
    """What screens over a run can ask of its search; `tell` shows what became of it."""

    @property
    def why_not_steered(self) -> str | None:
        """Why nobody would read a request; None where a search would."""
        attachment = self.attachment
        if attachment.can_be_steered:
            return None
        if self.state.ending is not None:
            return "the search has ended: there is nothing left to steer"
        if attachment.is_recording:
            return "this is a recording: it can be paused with p, but not steered"
        if attachment.folder is None:
            return "this run lies in a shared storage: it can be watched from here, but not steered"
        return "no search works in this run now: nobody would read it"

    def ask(self, action: str, told: str, **details: Any) -> None:
        """Ask the search for something.

        Args:
            action: one of `autocompress.control.ACTIONS`.
            told: what is asked, in words.
            details: what the action needs.
        """
        why_not = self.why_not_steered
        if why_not is not None:
            self.tell(why_not, accepted=False)
            return
        try:
            self.attachment.ask(action, **details)
        except OSError as error:
            self.tell(f"the request could not be written: {error}", accepted=False)
            return
        self.tell(f"asked: {told}")

    def answer_text(self, said: Said) -> str:
        """A note, or an answer, as one line."""
        return " ".join(said.text.split())

    # What is asked for ----------------------------------------------------------------------------------------------

    def ask_for_pause(self) -> None:
        """Pause, or go on; so with a playback."""
        if self.attachment.toggle_playback():
            return
        if self.state.activity == PAUSED:
            self.ask("resume", "go on")
        else:
            self.ask("pause", "pause after this trial")

    def ask_for_stop(self) -> None:
        """Stop after the running trial, once that was confirmed."""
        why_not = self.why_not_steered
        if why_not is not None:
            self.tell(why_not, accepted=False)
            return
        if self.state.activity == STOPPING:
            self.tell("the search is stopping already", accepted=False)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask("stop", "stop after this trial")

        question = (
            "Stop the search after this trial?\n\nWhat it found is kept, and it can be resumed later. "
            "To leave it running and only close this screen, answer no and press q."
        )
        self.app.push_screen(ConfirmScreen(question, yes="Stop it", no="No"), answered)

    def ask_to_cancel(self) -> None:
        """Cancel the running trial, once that was confirmed."""
        running, why_not = self.state.running, self.why_not_steered
        if why_not is not None or running is None or not running.is_trial:
            self.tell(why_not or "no trial runs now", accepted=False)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask("cancel_trial", f"cancel trial #{running.number}", number=running.number)

        question = (
            f"Cancel trial #{running.number}?\n\n{self.glyphs.plain(running.label)}\nThe search goes on with the next."
        )
        self.app.push_screen(ConfirmScreen(question, yes="Cancel it", no="No"), answered)

    def ask_for_trials(self) -> None:
        """Ask for more trials, so many as is typed."""
        why_not = self.why_not_steered
        if why_not is not None:
            self.tell(why_not, accepted=False)
            return

        def answered(text: str | None) -> None:
            if text is not None:
                self.ask("add_trials", f"{int(text)} more trials", trials=int(text))

        per_trial = self.state.seconds_per_trial
        hint = f"one takes about {per_trial:.0f} s" if per_trial else ""
        prompt = PromptScreen("How many more trials?", "50", number_mistake, hint=hint, is_suggestion=True)
        self.app.push_screen(prompt, answered)

    def ask_for_note(self, trial: Trial | None) -> None:
        """Write something about a trial, while the search goes on or when it is over."""
        why_not = None if self.attachment.can_be_noted else self.why_not_steered
        if why_not is not None or trial is None:
            self.tell(why_not or "there is no trial to write about", accepted=False)
            return

        def answered(text: str | None) -> None:
            if text and self.attachment.can_be_steered:
                self.ask("note", f"note on #{trial.number}", number=trial.number, text=text.strip())
            elif text:
                self.run_worker(self.keep_note(trial.number, text.strip()), group="note")

        self.app.push_screen(PromptScreen(f"A note on #{trial.number}", "", note_mistake), answered)

    def ask_to_try(self, trial: Trial | None) -> None:
        """Edit a recipe and ask for it to be tried next."""
        why_not = self.why_not_steered
        if why_not is not None or trial is None:
            self.tell(why_not or "there is no recipe to begin with", accepted=False)
            return
        from autocompress.tui.screens.try_recipe import TryRecipeScreen

        self.app.push_screen(TryRecipeScreen(trial.number))


def number_mistake(text: str) -> str | None:
    """Why a text is no number of trials."""
    if not text.strip().isdigit() or not 0 < int(text) <= MOST_NEW_TRIALS:
        return f"a whole number from 1 to {MOST_NEW_TRIALS}"
    return None


def note_mistake(text: str) -> str | None:
    """Why a text is no note."""
    return None if text.strip() else "a note has at least a word"
