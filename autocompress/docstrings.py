"""What each field of a record means, taken from where it is written down once: the class's docstring."""

from __future__ import annotations

import inspect
import re

from pydantic import BaseModel

_FIELDS_LINE = re.compile(r"^(?P<names>[a-z_0-9]+(?:, [a-z_0-9]+)*): (?P<text>.*)$")


def summary(kind: type[BaseModel]) -> str:
    """First paragraph of the class's docstring, on one line."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def field_descriptions(kind: type[BaseModel]) -> dict[str, str]:
    """Field name to its description: from ``Field(description=…)``, else the docstring's ``Attributes`` section."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, BaseModel) and base.__doc__:
            found |= _attributes(inspect.cleandoc(base.__doc__))
    told = {name: field.description for name, field in kind.model_fields.items() if field.description}
    return {name: text for name, text in (found | told).items() if name in kind.model_fields}


def _attributes(docstring: str) -> dict[str, str]:
    """The ``Attributes`` section of a Google docstring; a line may describe several names at once."""
    _, _, section = docstring.partition("\nAttributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):  # the next section
            break
        entry = _FIELDS_LINE.match(line.removeprefix("    "))
        if entry:
            names = entry["names"].split(", ")
            found |= dict.fromkeys(names, entry["text"])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
