"""JSON Schemas of the files that people write, so that an editor completes them and underlines a typo."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel

from autocompress import registry
from autocompress.docstrings import field_descriptions, summary
from autocompress.recipe import Step
from autocompress.recipe_file import FORMAT_VERSIONS, RecipeFile
from autocompress.spec import SearchSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def recipe_schema() -> Schema:
    """The schema of a recipe file, with the knobs of every installed method.

    JSON Schema 2020-12: https://json-schema.org/draft/2020-12
    """
    schema = _schema_of(RecipeFile, title="autocompress recipe")
    properties = schema["properties"]
    properties["format_version"] |= {"enum": list(FORMAT_VERSIONS)}
    properties["steps"] = {
        "type": "array",
        "description": properties["steps"]["description"],
        "items": {"anyOf": [_step_schema(tag, kind) for tag, kind in registry.load_all("methods").items()]},
    }
    schema["required"] = ["format_version", *schema["required"]]
    _allow_only_installed(schema["$defs"]["Export"], "format", "formats")
    _allow_only_installed(schema["$defs"]["RecipeModel"], "task", "tasks")
    return schema


def spec_schema() -> Schema:
    """The schema of a search specification."""
    schema = _schema_of(SearchSpec, title="autocompress search specification")
    _allow_only_installed(schema["$defs"]["ModelSpec"], "task", "tasks")
    _allow_only_installed(schema["$defs"]["Space"], "methods", "methods")
    _allow_only_installed(schema["$defs"]["Space"], "formats", "formats")
    return schema


def _schema_of(kind: type[BaseModel], title: str) -> Schema:
    schema = kind.model_json_schema()
    schema.setdefault("$defs", {})
    _describe(schema, kind)
    for nested in _nested_models(kind):
        if (
            nested.__name__ in schema["$defs"]
        ):  # a limit is written as text, a step by its tag: neither has a schema here
            _describe(schema["$defs"][nested.__name__], nested)
    return {"$schema": DIALECT} | schema | {"title": title}


def _nested_models(kind: type[BaseModel]) -> set[type[BaseModel]]:
    """All models that fields of ``kind`` hold, at any depth."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [field.annotation for field in kind.model_fields.values()]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in found:
            found.add(annotation)
            waiting += [field.annotation for field in annotation.model_fields.values()]
        waiting += getattr(annotation, "__args__", ())
    return found


def _describe(schema: Schema, kind: type[BaseModel]) -> None:
    """Put the docstring's words where an editor shows them, in place of pydantic's generated titles."""
    schema["description"] = summary(kind)
    schema.pop("title", None)
    about = field_descriptions(kind)
    for name, entry in schema.get("properties", {}).items():
        entry.pop("title", None)
        if name in about:
            entry["description"] = about[name]


def _step_schema(tag: str, kind: type[Step]) -> Schema:
    """``{tag: {knob: value}}``, ``{tag: null}``, or the bare tag where all knobs keep their defaults."""
    knobs = kind.model_json_schema()
    _describe(knobs, kind)
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(kind.__doc__ or "").split("\n\n")]
    knobs["description"] = "\n\n".join([kind.summary, *paragraphs])
    for name, entry in knobs.get("properties", {}).items():
        searched = kind.searched(name)
        if searched:
            entry["examples"] = list(searched.options)
    written = {
        "type": "object",
        "description": kind.summary,
        "properties": {tag: {"anyOf": [knobs, {"type": "null"}]}},
        "required": [tag],
        "additionalProperties": False,
    }
    return {"anyOf": [written, {"const": tag, "description": kind.summary}]}


def _allow_only_installed(owner: Schema, name: str, family: registry.Family) -> None:
    """Narrow the strings of a field to the names of the installed plug-ins."""
    entry = owner["properties"][name]
    for branch in [entry, *entry.get("anyOf", ())]:
        texts = branch.get("items", branch)
        if texts.get("type") == "string":
            texts["enum"] = list(registry.names(family))
