"""Recipes in words: a step as a phrase and as a label, whatever method it is of."""

from __future__ import annotations

from typing import Any

from autocompress.recipe import Phase, Recipe, Step
from autocompress.rounding import percent

NOUNS = {Phase.PRUNE: " pruning", Phase.CLUSTER: " clustering"}
SMALLEST_PERCENT = 0.001
"""Smaller values of knobs (learning rates) are no shares."""

_MAIN_KNOBS = ("sparsity", "effective_bits", "bits", "n_centroids", "keep")
"""The knobs that say how strong a method is: a label tells the first of them that matters."""
_PLACE_KNOBS = ("scope", "part")


def step_in_words(step: Step) -> str:
    """``30 % magnitude pruning``, ``4-bit rtn (group size 64)``: knobs at their defaults are left out."""
    knobs = step.model_dump()
    lead = ""
    if "sparsity" in knobs:
        sparsity = knobs.pop("sparsity")
        lead = f"{percent(sparsity) if step.is_active('sparsity') else knobs.pop('pattern')} "
    elif knobs.get("effective_bits"):
        lead = f"mixed {knobs.pop('effective_bits'):g}-bit "
    elif "bits" in knobs:
        lead = f"{knobs.pop('bits')}-bit "
    fields = type(step).model_fields
    told = [
        _knob_in_words(name, value)
        for name, value in knobs.items()
        if step.is_active(name) and (value != fields[name].default or (name.startswith("n_") and step.searched(name)))
    ]
    tail = f" ({', '.join(told)})" if told else ""
    return f"{lead}{step.tag.replace('_', ' ')}{NOUNS.get(step.phase, '')}{tail}"


def _knob_in_words(name: str, value: Any) -> str:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"not {words}"
    if isinstance(value, float) and 0 < value < 1:
        return f"{words} {percent(value) if value >= SMALLEST_PERCENT else f'{value:g}'}"
    return f"{value} {words[2:]}" if name.startswith("n_") else f"{words} {value}"


def recipe_in_words(recipe: Recipe) -> str:
    """The steps in order: ``30 % magnitude pruning, then int8 dynamic``."""
    return ", then ".join(step_in_words(step) for step in recipe.steps) or "no compression"


def step_label(step: Step) -> str:
    """A step in a narrow column: ``gptq 4``, ``gptq ~3.25``, ``magnitude 30%``, ``kmeans 16 attention``, ``ffn 75%``.

    Method and strength, and the part of the model where that is not the usual one. What is left out, `step_in_words`
    tells.
    """
    name = step.tag.replace("_", "-").removesuffix("-width")
    return " ".join([name, *_strength(step), *_place(step)])


def _strength(step: Step) -> list[str]:
    fields = type(step).model_fields
    for name in _MAIN_KNOBS:
        value = getattr(step, name, None)
        if name not in fields or value is None:
            continue
        if not step.is_active(name):
            inert_by = next(when.knob for when in step.conditions(name))
            return [str(getattr(step, inert_by))]
        return [f"~{value:g}" if name == "effective_bits" else _number(value)]
    first = next((name for name in fields if step.searched(name)), None)
    value = getattr(step, first) if first else None
    if first and isinstance(value, int | float) and not isinstance(value, bool) and value != fields[first].default:
        return [_number(value)]
    return []


def _number(value: float) -> str:
    return f"{value * 100:g}%" if isinstance(value, float) and SMALLEST_PERCENT <= value < 1 else f"{value:g}"


def _place(step: Step) -> list[str]:
    fields = type(step).model_fields
    return [
        str(getattr(step, name))
        for name in _PLACE_KNOBS
        if name in fields and getattr(step, name) != fields[name].default
    ]
