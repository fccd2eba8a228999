"""Plain data from strangers into our types: every refusal names the place, the problem and the nearest right word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

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
        problem = invalid.errors(include_url=False)[0]
    loc = _written_place(plain, problem)
    spot = place(*((where,) if where else ()), *loc) or None
    match problem["type"]:
        case "extra_forbidden":
            owner = _owner(kind, loc[:-1])
            remedy = suggestion(str(loc[-1]), owner.model_fields) if owner else None
            raise error("unknown key", where=spot, remedy=remedy)
        case "missing":
            raise error("is required, but missing", where=spot)
        case "model_type":
            raise error("must be a mapping of keys to values", where=spot)
        case "string_type" if isinstance(problem["input"], int | float):
            raise error(f"must be text (got {problem['input']!r})", where=spot, remedy="Put it in quotes.")
    message = problem["msg"].removeprefix("Value error, ")
    told = isinstance(problem["input"], str | int | float) and repr(problem["input"]) not in message
    if told and problem["type"] != "value_error":
        message = f"{message} (got {problem['input']!r:.80})"
    raise error(message[0].lower() + message[1:], where=spot)


def _written_place(plain: Any, problem: ErrorDetails) -> tuple[str | int, ...]:
    """The keys and indices as they stand in the data: pydantic's place also names the branches of a union."""
    loc = problem["loc"]
    for depth, part in enumerate(loc):
        try:
            plain = plain[part]
        except (LookupError, TypeError):
            return loc[: depth + 1] if problem["type"] == "missing" else loc[:depth]
    return loc


def _owner(kind: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that holds the key at ``loc``, followed through nested models and lists of them."""
    owner: type[BaseModel] | None = kind
    for part in loc:
        if isinstance(part, int):
            continue
        field = owner.model_fields.get(part) if owner else None
        owner = next(_models_in(field.annotation), None) if field else None
    return owner


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


class _PlainLoader(yaml.SafeLoader):
    """YAML restricted to JSON's types: no tags, no anchors or aliases, no merge keys, no key twice.

    Plain words mean what they mean in YAML 1.2: only true and false are booleans, dates stay text, ``1:30`` is no
    number in base 60.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refusal("anchors and aliases are not allowed; write the value out", event)
        if getattr(event, "tag", None) is not None:
            raise _refusal(f"the tag {event.tag!r} is not allowed; write plain values", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        del deep  # the whole document is plain data, made at once
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag != "tag:yaml.org,2002:str":
                raise _refusal("a key must be text; put it in quotes", key_node)
            if key_node.value in seen:
                raise _refusal(f"the key {key_node.value!r} stands twice", key_node)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=True)


def _refusal(problem: str, at: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, at.start_mark)


# The core schema of YAML 1.2.2, section 10.3.2, less octal and hexadecimal numbers, which nobody means here.
CORE_WORDS: dict[str, re.Pattern[str]] = {
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"),
    "float": re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}
for _name, _pattern in CORE_WORDS.items():
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)


def read_yaml(path: Path, *, error: type[UsageError] = UsageError) -> dict[str, Any]:
    """A YAML file's top-level mapping, as plain data.

    Raises:
        UsageError: (of the class given by ``error``) unreadable, not YAML, tagged, aliased, too large, or no mapping.
    """
    try:
        with path.open("rb") as stream:  # never more than the limit, whatever the file turns out to be
            raw = stream.read(LARGEST_YAML_BYTES + 1)
    except OSError as problem:
        reason = (problem.strerror or "unknown reason").lower()
        raise error(f"cannot be read: {reason}", where=str(path), remedy="Check the path.") from None
    if len(raw) > LARGEST_YAML_BYTES:
        raise error(f"larger than {LARGEST_YAML_BYTES:,} bytes: not a file that people write", where=str(path))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise error("cannot be read: not UTF-8 text", where=str(path)) from None
    try:
        plain = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader, narrowed further
    except RecursionError:
        raise error("nested too deeply", where=str(path)) from None
    except ValueError:  # Python refuses to read integers of thousands of digits
        raise error("a number has too many digits", where=str(path)) from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        spot = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        reason = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        raise error(f"not valid YAML: {reason}", where=spot) from None
    if not isinstance(plain, dict):
        raise error("the file must hold a mapping of keys to values", where=str(path))
    return plain
