"""Plain data from strangers into our types: every refusal names the place, the problem and the nearest right word."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from autocompress.errors import UsageError
from autocompress.registry import suggestion

LARGEST_YAML_BYTES = 1_000_000

Model = TypeVar("Model", bound=BaseModel)


def place(*parts: str | int) -> str:
    """Join keys and indices as people write them: ``steps[2].group_size``."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def validate(kind: type[Model], plain: Any, *, where: str = "", error: type[UsageError] = UsageError) -> Model:
    """Build ``kind`` from plain data.

    Raises:
        UsageError: (of the class given by ``error``) the first problem, with its place.
    """
    try:
        return kind.model_validate(plain)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        loc = tuple(part for part in first["loc"] if isinstance(part, str | int))
        spot = place(*((where,) if where else ()), *loc)
        if first["type"] == "extra_forbidden":
            owner = _owner(kind, loc[:-1])
            remedy = suggestion(str(loc[-1]), owner.model_fields) if owner else None
            raise error("unknown key", where=spot, remedy=remedy) from None
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] != "missing" and isinstance(first["input"], str | int | float | bool):
            message = f"{message} (got {first['input']!r})"
        raise error(message[0].lower() + message[1:], where=spot or None) from None


def _owner(kind: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that holds the key at ``loc``, followed through plain nested models."""
    owner: Any = kind
    for part in loc:
        field = owner.model_fields.get(part) if isinstance(part, str) else None
        if field is None:
            return None
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        owner = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if owner is None:
            return None
    return owner  # type: ignore[no-any-return]


class _PlainLoader(yaml.SafeLoader):
    """YAML restricted to plain data: no tags, no anchors or aliases, no key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.constructor.ConstructorError(
                None, None, "anchors and aliases are not allowed; write the value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        del deep  # the whole document is plain data, made at once
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=True)


def read_yaml(path: Path, *, error: type[UsageError] = UsageError) -> dict[str, Any]:
    """A YAML file's top-level mapping, as plain data.

    Raises:
        UsageError: (of the class given by ``error``) unreadable, not YAML, tagged, aliased, too large, or no mapping.
    """
    try:
        if path.stat().st_size > LARGEST_YAML_BYTES:
            raise error(f"larger than {LARGEST_YAML_BYTES:,} bytes: not a file that people write", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not UTF-8 text"
        raise error(f"cannot be read: {reason.lower()}", where=str(path), remedy="Check the path.") from None
    try:
        plain = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader, narrowed further
    except RecursionError:
        raise error("nested too deeply", where=str(path)) from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        spot = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        reason = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        raise error(f"not valid YAML: {reason}", where=spot) from None
    if not isinstance(plain, dict):
        raise error("the file must hold a mapping of keys to values", where=str(path))
    return plain
