"""Settings of a task as the user gave them in ``model.options``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocompress.errors import SpecError

if TYPE_CHECKING:
    from autocompress.spec import ModelSpec


def whole_option(model: ModelSpec, name: str, default: int) -> int:
    """A positive whole number.

    Raises:
        SpecError: something else was given.
    """
    value = model.options.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SpecError(f"must be a positive whole number (got {value!r})", where=f"model.options.{name}")
    return value
