"""The search space: which recipes are valid on a model, and recipe <-> named parameters both ways."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from autocompress.facts import ModelFacts
from autocompress.formats.base import Format
from autocompress.recipe import Phase, Range, Recipe, Step

NONE = "none"
LARGEST_GRID = 4096


class Suggests(Protocol):
    """What a sampler's trial offers; Optuna's ``Trial`` fits."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float:
        """A value of low, low + step, …, high."""


class SearchSpace:
    """All valid recipes over the given methods and formats on one model.

    A choice is offered only where it leads to a valid recipe, so that nothing that is refused is ever proposed. The
    parameter of a phase carries its options in its name where they are fewer than all, because a sampler wants the
    same name to mean the same distribution.
    """

    def __init__(
        self,
        methods: Mapping[str, type[Step]],
        formats: Mapping[str, Format],
        facts: ModelFacts,
        device: str,
        seed: int,
    ) -> None:
        self.formats = dict(formats)
        self.facts = facts
        self.device = device
        self.seed = seed
        self._valid_steps = {tag: self._valid_grid(kind) for tag, kind in methods.items()}
        self.methods = {tag: kind for tag, kind in methods.items() if self._valid_steps[tag]}
        self._fitting: dict[tuple[str, tuple[Step, ...], str], bool] = {}
        self._valid_values = {
            tag: {name: {getattr(step, name) for step in steps} for name in kind.model_fields if kind.searched(name)}
            for tag, kind in self.methods.items()
            if (steps := self._valid_steps[tag])
        }
        self._phases = {
            phase: [tag for tag, kind in sorted(self.methods.items()) if kind.phase is phase] for phase in Phase
        }

    def refusal(self, recipe: Recipe) -> str | None:
        """Why the recipe cannot be done on this model, or None. Nothing is computed."""
        return recipe_refusal(recipe, self.formats, self.facts, self.device)

    def why_not(self, kind: type[Step]) -> str | None:
        """Why no recipe can hold this method here, or None."""
        if kind.tag not in self.methods:
            return kind().refuses(self.facts) or "every way to do it is refused for this model"
        # Some methods only follow another one: distillation needs a model that was made smaller.
        earlier = [tag for tag, other in self.methods.items() if other.phase < kind.phase]
        beginnings: list[tuple[Step, ...]] = [(), *((self._valid_steps[tag][0],) for tag in earlier)]
        if any(self._fits(kind.tag, steps, name) for steps in beginnings for name in self.formats):
            return None
        reasons = (format_.refuses((kind(),), self.facts, self.device) for format_ in self.formats.values())
        return next((reason for reason in reasons if reason), "no format here can hold it")

    def propose(self, trial: Suggests) -> Recipe:
        """A valid recipe from a sampler's suggestions.

        Only the interplay of several knobs can still be refused (see `refusal`); single options never are.
        """
        format_name = str(trial.suggest_categorical("format", sorted(self.formats)))
        steps: list[Step] = []
        for phase, tags in self._phases.items():
            options = [tag for tag in tags if self._fits(tag, steps, format_name)]
            if not options:
                continue
            name = phase.name.lower() if options == tags else f"{phase.name.lower()}[{'|'.join(options)}]"
            tag = str(trial.suggest_categorical(name, [NONE, *options]))
            if tag != NONE:
                steps.append(self._propose_step(tag, trial))
        return Recipe(steps=tuple(steps), format=format_name, seed=self.seed).canonical()

    def parameters(self, recipe: Recipe) -> dict[str, Any]:
        """The parameters with which `propose` gives this recipe, knobs that the search leaves alone not among them."""
        replay = _Replay(recipe)
        self.propose(replay)
        return replay.parameters

    def contains(self, recipe: Recipe) -> bool:
        """Whether `propose` can give exactly this recipe."""
        try:
            return self.propose(_Replay(recipe)).digest == recipe.digest and self.refusal(recipe) is None
        except KeyError:
            return False

    def known_good(self) -> list[Recipe]:
        """The formats' float twins, then the formats' known-good recipes in turn, those that fit this model."""
        twins = [Recipe(format=name, seed=self.seed) for name in sorted(self.formats)]
        listed = [
            [Recipe(steps=steps, format=name, seed=self.seed) for steps in format_.known_good()]
            for name, format_ in sorted(self.formats.items())
        ]
        in_turn = [recipe for row in itertools.zip_longest(*listed) for recipe in row if recipe is not None]
        valid_twins = [recipe for recipe in twins if self.refusal(recipe) is None]
        return valid_twins + [recipe for recipe in in_turn if self.contains(recipe)]

    def _valid_grid(self, kind: type[Step]) -> list[Step]:
        """The steps over the grid of searched knobs that are not refused on this model."""
        searched = {name: mark.options for name in kind.model_fields if (mark := kind.searched(name))}
        points = itertools.islice(itertools.product(*searched.values()), LARGEST_GRID)
        steps = (kind(**dict(zip(searched, point, strict=True))) for point in points)
        return [step for step in steps if step.refuses(self.facts) is None]

    def _fits(self, tag: str, earlier: Sequence[Step], format_name: str) -> bool:
        asked = (tag, tuple(earlier), format_name)
        if asked not in self._fitting:
            chosen = self.formats[format_name]
            self._fitting[asked] = any(
                step.refuses_after(earlier, self.facts) is None
                and chosen.refuses((*earlier, step), self.facts, self.device) is None
                for step in self._valid_steps[tag]
            )
        return self._fitting[asked]

    def _propose_step(self, tag: str, trial: Suggests) -> Step:
        kind = self.methods[tag]
        knobs: dict[str, Any] = {}
        for name, field in kind.model_fields.items():
            mark = kind.searched(name)
            active = all(knobs.get(when.knob) == when.value for when in kind.conditions(name))
            if mark is None or not active:
                knobs[name] = field.default
            elif isinstance(mark, Range):
                value = trial.suggest_float(f"{tag}.{name}", mark.low, mark.high, step=mark.step)
                knobs[name] = mark.nearest(value)
            else:
                options = [option for option in mark.options if option in self._valid_values[tag][name]]
                knobs[name] = trial.suggest_categorical(f"{tag}.{name}", options)
        return kind(**knobs)


def recipe_refusal(recipe: Recipe, formats: Mapping[str, Format], facts: ModelFacts, device: str) -> str | None:
    """Why the recipe cannot be done on this model and device, or None. Nothing is computed."""
    for index, step in enumerate(recipe.steps):
        reason = step.refuses(facts) or step.refuses_after(recipe.steps[:index], facts)
        if reason:
            return f"{step.tag}: {reason}"
    chosen = formats[recipe.format]
    reason = chosen.refuses(recipe.steps, facts, device) or chosen.lacks(recipe.steps)
    return f"{recipe.format}: {reason}" if reason else None


class _Replay:
    """Answers a space's questions from a given recipe, and keeps the answers."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.parameters: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        value = self._answer(name)
        if value not in choices:
            raise KeyError(f"{name}={value} is not offered")
        self.parameters[name] = value
        return value

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float:
        value = float(self._answer(name))
        on_grid = abs((value - low) / step - round((value - low) / step)) < 1e-6
        if not (low <= value <= high and on_grid):
            raise KeyError(f"{name}={value} is not offered")
        self.parameters[name] = value
        return value

    def _answer(self, name: str) -> Any:
        if name == "format":
            return self.recipe.format
        tag, dot, knob = name.partition(".")
        if dot and "[" not in tag:
            step = self.recipe.step(tag)
            return getattr(step, knob) if step else None
        phase = Phase[name.partition("[")[0].upper()]
        tags = [step.tag for step in self.recipe.steps if step.phase is phase]
        if len(tags) > 1:
            raise KeyError(f"{' and '.join(tags)} are not proposed together")
        return tags[0] if tags else NONE
