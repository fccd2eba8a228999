"""Hypothesis strategies for valid recipes, made of whatever methods and formats are installed."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import strategies as st

from autocompress import registry
from autocompress.recipe import Phase, Recipe, Step


@st.composite
def steps(draw: st.DrawFn) -> tuple[Step, ...]:
    """At most one step of each phase, each with knobs that the search would try."""
    chosen = []
    for phase in Phase:
        kinds = [kind for kind in registry.load_all("methods").values() if kind.phase is phase]
        kind = draw(st.sampled_from([None, *kinds]))
        if kind is not None:
            searched = {knob: kind.searched(knob) for knob in kind.model_fields}
            knobs = {knob: draw(st.sampled_from(mark.options)) for knob, mark in searched.items() if mark}
            chosen.append(kind(**knobs))
    return tuple(chosen)


def recipes(formats: Collection[str] = registry.names("formats")) -> st.SearchStrategy[Recipe]:
    """Whole recipes in these formats."""
    return st.builds(Recipe, steps=steps(), format=st.sampled_from(sorted(formats)), seed=st.integers(0, 2**32 - 1))
