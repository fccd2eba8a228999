"""How large the artifact of a recipe will be: told by the shapes of the model, without a weight."""

from __future__ import annotations

from autocompress import registry
from autocompress.facts import ModelFacts
from autocompress.formats.base import Format
from autocompress.formats.foresight import FileSize
from autocompress.jobs import ORIGINAL_FORMAT
from autocompress.outline import Outline, outline_of
from autocompress.recipe import Recipe, Step


class SizeForecast:
    """Sizes of recipes on one model; each is worked out once, and what recipes begin with in common, too.

    Args:
        facts: the model's shapes.
    """

    def __init__(self, facts: ModelFacts) -> None:
        self._formats: dict[str, Format] = {}
        self._outlines: dict[tuple[Step, ...], Outline] = {(): outline_of(facts)}
        self._sizes: dict[tuple[tuple[Step, ...], str], FileSize] = {}

    @property
    def original(self) -> FileSize:
        """The size of the model as it is."""
        return self.of(Recipe(format=ORIGINAL_FORMAT))

    def of(self, recipe: Recipe) -> FileSize:
        """The size of a recipe's artifact, and by how much it may be off."""
        key = recipe.steps, recipe.format
        if key not in self._sizes:
            is_original = not recipe.steps and recipe.format == ORIGINAL_FORMAT
            outline = self._outline(recipe.steps)
            self._sizes[key] = self._format(recipe.format).foresee(outline, is_original=is_original)
        return self._sizes[key]

    def _format(self, name: str) -> Format:
        if name not in self._formats:
            self._formats[name] = registry.load("formats", name)()
        return self._formats[name]

    def _outline(self, steps: tuple[Step, ...]) -> Outline:
        if steps not in self._outlines:
            self._outlines[steps] = steps[-1].foresee(self._outline(steps[:-1]))
        return self._outlines[steps]
