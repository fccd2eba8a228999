"""What people ask of a running search: each request is checked, done or refused, and answered once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from autocompress.control import ACTIONS, Request, Tail
from autocompress.errors import AutocompressError, RecipeError, UsageError
from autocompress.events import ConstraintsChanged, ControlAnswered, StateChanged, TrialNoted, TrialsChanged
from autocompress.frozen import Frozen
from autocompress.recipe import Recipe
from autocompress.recipe_words import recipe_in_words
from autocompress.records import Status, TrialRecord
from autocompress.registry import suggestion
from autocompress.runs import RunFolder
from autocompress.search.interrupts import Interrupts
from autocompress.search.preflight import Checked, available_formats, check_limits
from autocompress.search.proposer import Proposer
from autocompress.search.study import Study
from autocompress.space import SearchSpace, recipe_refusal
from autocompress.spec import Constraints, SearchSpec
from autocompress.spec_file import write_spec
from autocompress.strict import validate

Emit = Callable[..., None]
"""Called with the event's class and its fields."""


class Pause(Frozen):
    """Finish the running trial, then wait."""

    action: Literal["pause"] = "pause"


class Resume(Frozen):
    """Go on after a pause."""

    action: Literal["resume"] = "resume"


class Stop(Frozen):
    """Finish the running trial, then judge the finalists and end."""

    action: Literal["stop"] = "stop"


class CancelTrial(Frozen):
    """End the trial of this number, if it still runs."""

    action: Literal["cancel_trial"] = "cancel_trial"
    number: int


class AddTrials(Frozen):
    """Try so many recipes more."""

    action: Literal["add_trials"] = "add_trials"
    trials: Annotated[int, Field(gt=0, le=1_000_000)]


class TryRecipe(Frozen):
    """Try this recipe next."""

    action: Literal["try_recipe"] = "try_recipe"
    recipe: dict[str, Any]


class SetConstraint(Frozen):
    """Change a limit, or lift it (None)."""

    action: Literal["set_constraint"] = "set_constraint"
    name: str
    value: str | int | float | None


class NoteTrial(Frozen):
    """Keep a text with a trial."""

    action: Literal["note"] = "note"
    number: int
    text: Annotated[str, Field(min_length=1, max_length=2_000)]


Action = Pause | Resume | Stop | CancelTrial | AddTrials | TryRecipe | SetConstraint | NoteTrial
_KINDS: dict[str, type[Action]] = {kind.model_fields["action"].default: kind for kind in Action.__args__}
assert tuple(_KINDS) == ACTIONS


def read_action(request: Request) -> Action:
    """What a request asks for.

    Raises:
        UsageError: an unknown action, or details that it does not have.
    """
    kind = _KINDS.get(request.action)
    if kind is None:
        raise UsageError(f"there is no action {request.action!r}", remedy=suggestion(request.action, ACTIONS))
    return validate(kind, dict(request.details))


class Steering:
    """The requests to one search, and what the search should do because of them.

    Args:
        run: the run that is searched.
        study: its record; a changed limit or number of trials is kept in it.
        checked: task and plug-ins.
        tail: where requests come from.
        interrupts: heeded with the requests.
        emit: writes an event.
        trials: how many recipes are to be tried in all.
    """

    def __init__(
        self,
        run: RunFolder,
        study: Study,
        checked: Checked,
        tail: Tail,
        interrupts: Interrupts,
        emit: Emit,
        trials: int,
    ) -> None:
        self.trials = trials
        self.is_pausing = False
        """Whether to wait before the next trial."""
        self.is_stopping = False
        """Whether to try no more recipes."""
        self._run = run
        self._study = study
        self._checked = checked
        self._tail = tail
        self._interrupts = interrupts
        self._emit = emit
        self._answered: set[str] = set()
        self._space: SearchSpace | None = None
        self._proposer: Proposer | None = None
        self._running: dict[int, TrialRecord] = {}
        self._cancelled: set[int] = set()
        self._ending: str | None = None

    def begin(self, space: SearchSpace, proposer: Proposer) -> None:
        """From now on recipes can be asked for."""
        self._space, self._proposer = space, proposer

    def end(self, reason: str) -> None:
        """From now on nothing more is tried."""
        self._ending = reason

    def begun(self, record: TrialRecord) -> None:
        """This trial runs now."""
        self._running[record.number] = record

    def ended(self, number: int) -> None:
        """It does no longer."""
        self._running.pop(number, None)
        self._cancelled.discard(number)

    @property
    def cancelled(self) -> frozenset[int]:
        """Running trials that were asked to be ended."""
        return frozenset(self._cancelled)

    def poll(self) -> None:
        """Do and answer what was asked since the last time.

        Raises:
            KeyboardInterrupt: a signal asked for the end.
        """
        self._interrupts.raise_if_any()
        for request in self._tail.new():
            if request.id in self._answered:
                continue
            self._answered.add(request.id)
            try:
                text, accepted = self._take(read_action(request)), True
            except AutocompressError as refusal:
                text, accepted = str(refusal), False
            self._emit(ControlAnswered, id=request.id, action=request.action, accepted=accepted, text=text)

    def _take(self, action: Action) -> str:
        """Do it, and tell what happens now.

        Raises:
            AutocompressError: it cannot be done; says why.
        """
        match action:
            case NoteTrial():
                return self._note(action)
            case _ if self._ending is not None:
                remedy = f"Go on with `autocompress resume {self._run.name}` once it has ended."
                raise UsageError(f"the search is ending: {self._ending}", remedy=remedy)
            case Pause():
                return self._pause()
            case Resume():
                return self._resume()
            case Stop():
                return self._stop()
            case CancelTrial():
                return self._cancel(action.number)
            case AddTrials():
                self._set_trials(self.trials + action.trials)
                return f"{self.trials} trials in all now"
            case TryRecipe():
                return self._try(action.recipe)
            case SetConstraint():
                return self._limit(action)

    # Pausing and ending ---------------------------------------------------------------------------------------------

    def _pause(self) -> str:
        if self.is_stopping:
            raise UsageError("the search stops already, after what runs now")
        self.is_pausing = True
        return f"pauses when {self._running_in_words('has', 'have')} ended" if self._running else "pauses now"

    def _resume(self) -> str:
        if not self.is_pausing:
            return "the search is not paused"
        self.is_pausing = False
        return "goes on"

    def _stop(self) -> str:
        after = f"{self._running_in_words('has', 'have')} ended" if self._running else "the finalists are judged"
        if not self.is_stopping:
            self.is_stopping, self.is_pausing = True, False
            self._emit(StateChanged, state="stopping", why="stop was asked for")
        return f"stops when {after}"

    def _cancel(self, number: int) -> str:
        running = self._running.get(number)
        if running is None:
            now = self._running_in_words("is", "are") if self._running else "none is"
            raise UsageError(f"trial {number} is not running ({now})")
        if running.origin == "baseline":
            raise UsageError("the original has to be measured: all others are compared with it")
        self._cancelled.add(number)
        return f"trial {number} is cancelled"

    def _running_in_words(self, one: str, several: str) -> str:
        """``trial 4 is``, ``trials 4 and 5 are``."""
        numbers = [str(number) for number in sorted(self._running)]
        if len(numbers) == 1:
            return f"trial {numbers[0]} {one}"
        return f"trials {', '.join(numbers[:-1])} and {numbers[-1]} {several}"

    # What is tried --------------------------------------------------------------------------------------------------

    def _set_trials(self, trials: int) -> None:
        if self.is_stopping:
            raise UsageError("the search stops already, after what runs now")
        self.trials = trials
        spec = self._study.spec
        self._keep(spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": trials})}))
        self._emit(TrialsChanged, trials=trials)

    def _try(self, plain: dict[str, Any]) -> str:
        if self._space is None or self._proposer is None:
            raise UsageError("the model is still being read", remedy="Ask again when the original was measured.")
        if self.is_stopping:
            raise UsageError("the search stops already, after what runs now")
        given = {"seed": self._study.spec.seed, **plain}
        recipe = validate(Recipe, given, where="recipe", error=RecipeError).canonical()
        self._require_possible(recipe, self._space)
        self._require_new(recipe, self._proposer)
        self._proposer.ask_for(recipe)
        tried = {record.recipe.digest for record in self._study.records()}
        needed = len(tried) + self._proposer.n_asked_for
        if needed > self.trials:
            self._set_trials(needed)
        return f"tried next: {recipe_in_words(recipe)}, as {recipe.format}"

    def _require_possible(self, recipe: Recipe, space: SearchSpace) -> None:
        formats = dict(space.formats)
        if recipe.format not in formats:
            found, _ = available_formats((recipe.format,), self._study.spec.device)
            formats |= found
        reason = recipe_refusal(recipe, formats, space.facts, space.device)
        if reason:
            raise RecipeError(f"cannot be done on this model: {reason}")

    def _require_new(self, recipe: Recipe, proposer: Proposer) -> None:
        if proposer.is_asked_for(recipe):
            raise RecipeError("is tried next already")
        for record in self._study.records():
            if record.recipe.digest != recipe.digest or record.status in (Status.CANCELLED, Status.CRASHED):
                continue
            did = "is running it" if record.status is Status.RUNNING else "was it already"
            raise RecipeError(f"trial {record.number} {did}")

    # Limits and notes -----------------------------------------------------------------------------------------------

    def _limit(self, action: SetConstraint) -> str:
        spec = self._study.spec
        limits = {**spec.constraints.model_dump(mode="json"), action.name: action.value}
        changed = validate(Constraints, limits, where="constraints")
        wanted = spec.model_copy(update={"constraints": changed})
        metric = self._checked.task.metric_of(spec.model)
        check_limits(wanted, metric.name, is_rate=metric.is_rate)
        name = action.name.replace("_", " ")
        told = getattr(changed, action.name)
        if changed != spec.constraints:
            self._keep(wanted)
            if self._proposer is not None:
                self._proposer.judge_by(changed)
            self._emit(ConstraintsChanged, constraints=changed)
        return f"{name} is limited to {told.written} now" if told else f"{name} is no longer limited"

    def _note(self, action: NoteTrial) -> str:
        self._study.add_note(action.number, action.text)
        self._emit(TrialNoted, number=action.number, text=action.text)
        return f"noted with trial {action.number}"

    def _keep(self, spec: SearchSpec) -> None:
        self._study.change_spec(spec)
        write_spec(spec, self._run.spec)
