"""Plug-ins by entry point, at three grains: list the names, load one, load all."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from autocompress.errors import UsageError

Family = Literal["methods", "formats", "tasks"]


@cache
def _entry_points(family: Family) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"autocompress.{family}")}


def names(family: Family) -> tuple[str, ...]:
    """The names of all installed plug-ins of a family, without importing any."""
    return tuple(sorted(_entry_points(family)))


@cache
def load(family: Family, name: str) -> Any:
    """The plug-in's class.

    Raises:
        UsageError: there is no such plug-in; the message names the nearest one.
    """
    known = _entry_points(family)
    if name not in known:
        raise UsageError(f"there is no {family.removesuffix('s')} named {name!r}", remedy=suggestion(name, known))
    return known[name].load()


def load_all(family: Family) -> dict[str, Any]:
    """Every plug-in's class by name."""
    return {name: load(family, name) for name in names(family)}


def suggestion(word: str, known: Any) -> str:
    """A "did you mean" sentence for a word that is not among the known ones."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
