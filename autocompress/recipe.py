"""A recipe: the steps that turn one model into a smaller one, and the format it is exported to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, PlainSerializer, PlainValidator
from pydantic.fields import FieldInfo

from autocompress import registry
from autocompress.errors import RecipeError
from autocompress.frozen import Frozen
from autocompress.strict import place, validate

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, StepContext
    from autocompress.facts import ModelFacts
    from autocompress.outline import Outline


class Phase(IntEnum):
    """Order of the steps. A recipe holds several steps of the phase STRUCTURE, and at most one of each other phase."""

    STRUCTURE = 1
    """Fewer layers, heads, channels or neurons, or factors of lower rank: the model becomes another, smaller one."""
    PRUNE = 2
    """Single weights become zero."""
    DISTIL = 3
    CLUSTER = 4
    QUANTIZE = 5
    """Weights become integers."""
    COMPUTE = 6
    """What the runtime computes in: half precision, or integers for the activations too."""


PHASE_ORDER = ", ".join(phase.name.lower() for phase in Phase)


class Choice:
    """The values of a knob that the search tries."""

    def __init__(self, *options: Any) -> None:
        self.options = options


class Range:
    """The values low, low + step, …, high of a knob that the search tries."""

    def __init__(self, low: float, high: float, step: float) -> None:
        self.low, self.high, self.step = low, high, step
        count = round((high - low) / step) + 1
        self.options = tuple(round(low + index * step, 10) for index in range(count))

    def nearest(self, value: float) -> float:
        """The value of the grid that is nearest: samplers give 0.30000000000000004 where people write 0.3."""
        return min(self.options, key=lambda option: abs(option - value))


class When:
    """The knob matters only while another knob has the given value; otherwise it is inert and keeps its default."""

    def __init__(self, knob: str, value: Any) -> None:
        self.knob = knob
        self.value = value


class Step(Frozen):
    """One compression method with its knobs; a subclass is a plug-in of the ``autocompress.methods`` group.

    Each knob's annotation says its type, hard bounds (pydantic), default and search range (``Choice``, ``Range``) at
    once; ``When`` marks a knob that is inert unless another one has a certain value.
    """

    tag: ClassVar[str]
    phase: ClassVar[Phase]
    summary: ClassVar[str]
    needs_calibration: ClassVar[bool] = False
    """Whether `apply` may call ``context.calibration``."""
    needs_training: ClassVar[bool] = False
    """Whether `apply` trains, by ``context.training``, which takes minutes: searches leave it out unless asked."""

    def __init_subclass__(cls, tag: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if tag is not None:
            cls.tag = tag

    @property
    def reads_calibration(self) -> bool:
        """Whether `apply` calls ``context.calibration`` with the knobs as they are; the result then depends on it."""
        return self.needs_calibration

    @property
    def reads_training(self) -> bool:
        """Whether `apply` calls ``context.training`` with the knobs as they are; the result then depends on it."""
        return self.needs_training

    def refuses(self, facts: ModelFacts) -> str | None:
        """Why this step cannot be done on such a model, or None. Reads shapes only; nothing is computed."""
        del facts
        return None

    def refuses_after(self, earlier: Sequence[Step], facts: ModelFacts) -> str | None:
        """Why this step cannot follow those in a recipe for such a model, or None. Nothing is computed."""
        del earlier, facts
        return None

    def foresee(self, outline: Outline) -> Outline:
        """What `apply` will make of a model of these shapes, for its size to be foretold; nothing is computed."""
        return outline.expected(math.inf)

    def apply(self, model: CompressibleModel, context: StepContext) -> None:
        """Compress ``model`` in place.

        Raises:
            Unsupported: found only now that it cannot be done.
            NonFiniteWeight: a weight holds inf or nan; the message names the parameter.
        """
        raise NotImplementedError

    def canonical(self) -> Step:
        """The same step with every inert knob at its default."""
        inert = {name: field.default for name, field in type(self).model_fields.items() if not self.is_active(name)}
        return self.model_copy(update=inert) if inert else self

    @classmethod
    def searched(cls, name: str) -> Choice | Range | None:
        """The values of a knob that the search tries, or None where it leaves the knob at its default."""
        field: FieldInfo = cls.model_fields[name]
        return next((mark for mark in field.metadata if isinstance(mark, Choice | Range)), None)

    @classmethod
    def conditions(cls, name: str) -> tuple[When, ...]:
        """What must hold for the knob to matter."""
        return tuple(mark for mark in cls.model_fields[name].metadata if isinstance(mark, When))

    def is_active(self, name: str) -> bool:
        """Whether the knob matters with the other knobs as they are."""
        return all(getattr(self, when.knob) == when.value for when in self.conditions(name))

    def plain(self) -> dict[str, Any]:
        """As written in a recipe: ``{tag: {knob: value}}``."""
        return {self.tag: self.model_dump(mode="json")}

    def __str__(self) -> str:
        fields = type(self).model_fields
        told = {name: value for name, value in self.model_dump(mode="json").items() if value != fields[name].default}
        told |= {name: getattr(self, name) for name in fields if self.searched(name) and self.is_active(name)}
        told = {name: value for name, value in told.items() if value is not None}
        knobs = " ".join(f"{name}={told[name]}" for name in fields if name in told)
        return f"{self.tag} {knobs}".strip()


def step_from_plain(plain: Any, where: str) -> Step:
    """Read ``{tag: {knob: value}}``, or a bare tag for all defaults.

    Raises:
        RecipeError: unknown tag or knob, or a value out of bounds; names the place.
    """
    if isinstance(plain, Step):
        return plain
    if isinstance(plain, str):
        plain = {plain: {}}
    if not isinstance(plain, dict) or len(plain) != 1:
        raise RecipeError("a step is one method with its knobs", where=where, remedy="Write `- rtn: {bits: 4}`.")
    ((tag, knobs),) = plain.items()
    if tag not in registry.names("methods"):
        remedy = registry.suggestion(str(tag), registry.names("methods"))
        raise RecipeError(f"there is no method named {tag!r}", where=where, remedy=remedy)
    kind: type[Step] = registry.load("methods", tag)
    return validate(kind, knobs or {}, where=f"{where}.{tag}", error=RecipeError)


def steps_from_plain(plain: Any, where: str = "steps") -> tuple[Step, ...]:
    """Read a list of steps, see `step_from_plain`; the steps must stand in the order of their phases.

    Raises:
        RecipeError: a step cannot be read, or the steps are out of order.
    """
    if not isinstance(plain, list | tuple):
        raise RecipeError("the steps must be a list", where=where)
    steps = tuple(step_from_plain(item, place(where, index)) for index, item in enumerate(plain))
    for index, (before, after) in enumerate(pairwise(steps)):
        again = before.phase is after.phase and (after.phase is not Phase.STRUCTURE or before.tag == after.tag)
        if before.phase > after.phase or again:
            raise RecipeError(
                f"{after.tag} ({after.phase.name.lower()}) cannot follow {before.tag} ({before.phase.name.lower()})",
                where=place(where, index + 1),
                remedy=f"The order is {PHASE_ORDER}; one step of each, but several of structure.",
            )
    return steps


def _plain_steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    return [step.plain() for step in steps]


Steps = Annotated[tuple[Step, ...], PlainValidator(steps_from_plain), PlainSerializer(_plain_steps)]


class Recipe(Frozen):
    """Steps in phase order, and the format to export to. Two recipes that do the same have the same digest."""

    steps: Steps = ()
    format: str
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    def canonical(self) -> Recipe:
        """The recipe with inert knobs at their defaults."""
        return Recipe(steps=tuple(step.canonical() for step in self.steps), format=self.format, seed=self.seed)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form as JSON with sorted keys."""
        plain = self.canonical().model_dump(mode="json")
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def step(self, tag: str) -> Step | None:
        """The step with this tag, if the recipe has it."""
        return next((step for step in self.steps if step.tag == tag), None)

    def __str__(self) -> str:
        chain = " → ".join(str(step) for step in self.steps)
        return f"{chain} → {self.format}" if chain else self.format
