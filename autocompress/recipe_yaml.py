"""The text of a recipe file: YAML in a fixed order, with comments that say what each part is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from autocompress.docstrings import field_descriptions
from autocompress.frozen import Frozen
from autocompress.recipe import Step
from autocompress.recipe_file import Measured, RecipeFile
from autocompress.records import Estimate
from autocompress.strict import CORE_WORDS

FIGURES = ("size_bytes", "size_ratio", "latency", "quality", "ram_bytes", "vram_bytes")

LINE_WIDTH = 120


def write_recipe(document: RecipeFile, path: Path) -> None:
    """Write `recipe_yaml` to a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.writing")
    fresh.write_text(recipe_yaml(document), encoding="utf-8", newline="\n")
    fresh.replace(path)


def recipe_yaml(document: RecipeFile) -> str:
    """The document as YAML in a fixed order, with comments that say what each part is; `read_recipe` reads it back."""
    lines = [
        "# An autocompress recipe: how one model becomes a smaller one. Keep it beside the code that uses the model.",
        "#   autocompress apply THIS_FILE -o FOLDER     makes the compressed model",
        "#   autocompress verify FOLDER                 measures it again and compares with the figures below",
    ]
    about = field_descriptions(RecipeFile)
    for name in RecipeFile.model_fields:
        value = getattr(document, name)
        if value is None or value == {}:
            continue
        lines += ["", *(f"# {line}" for line in textwrap.wrap(about[name], LINE_WIDTH - 2))]
        lines += _step_lines(value) if name == "steps" else _entry_lines(name, value, indent="", comment=None)
    return "\n".join(lines) + "\n"


def _step_lines(steps: tuple[Step, ...]) -> Iterator[str]:
    yield "steps:" if steps else "steps: []  # none: only the export"
    for step in steps:
        about, knobs = field_descriptions(type(step)), step.model_dump(mode="json")
        yield f"  - {step.tag}:{'' if knobs else ' {}'}  # {' '.join(step.summary.split())}"
        for name, value in knobs.items():
            yield from _entry_lines(name, value, indent=" " * 6, comment=about.get(name))


def _entry_lines(name: str, value: Any, *, indent: str, comment: str | None) -> Iterator[str]:
    """One key with its value: nested records and mappings as blocks, everything else on the key's own line."""
    head = f"{indent}{_inline(name)}:"
    tail = f"  # {comment.removesuffix('.')}" if comment else ""
    if isinstance(value, Frozen) and not isinstance(value, Estimate):
        yield head + tail
        about = field_descriptions(type(value))
        for field in type(value).model_fields:
            inner = getattr(value, field)
            if _worth_writing(value, field):
                yield from _entry_lines(field, inner, indent=indent + "  ", comment=about.get(field))
    elif isinstance(value, dict) and value:
        yield head + tail
        for key, inner in value.items():
            yield from _entry_lines(key, inner, indent=indent + "  ", comment=None)
    elif isinstance(value, tuple) and any(isinstance(item, Frozen) for item in value):
        yield head + tail
        for item in value:
            first, *rest = [line for key, part in item for line in _entry_lines(key, part, indent="", comment=None)]
            yield from (f"{indent}  - {first}", *(f"{indent}    {line}" for line in rest))
    elif value is None:
        yield f"{head} null{tail}"
    else:
        yield f"{head} {_inline(value)}{tail}"


def _worth_writing(owner: Frozen, field: str) -> bool:
    """Figures are always written, so that a missing one is seen; other fields only where they say something."""
    is_figure = isinstance(owner, Measured) and field in FIGURES
    return is_figure or getattr(owner, field) != type(owner).model_fields[field].default


class _PlainDumper(yaml.SafeDumper):
    """Quotes whatever YAML 1.1 or 1.2 would take for something other than text, and keeps text on one line."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """A string; with escapes where it holds line breaks or what cannot be seen."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_PlainDumper.add_representer(str, _PlainDumper.represent_text)

for _name, _pattern in CORE_WORDS.items():
    _PlainDumper.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)


def _inline(value: Any) -> str:
    """A value on one line."""
    plain = value.model_dump(mode="json") if isinstance(value, Frozen) else value
    plain = list(plain) if isinstance(plain, tuple) else plain
    text = yaml.dump(
        plain, Dumper=_PlainDumper, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")
