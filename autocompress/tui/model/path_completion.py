"""What a path that is being typed may become."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autocompress.tui.model.recent_models import architecture_of

Kind = Literal["model", "data", "file"]
MOST_LOOKED_AT = 2000
MOST_GIVEN = 50
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
"""Of which a folder holds one, or none and folders of images by class."""
DATA_SUFFIXES = TABLE_SUFFIXES | {".json", ".parquet", ".npz", ".txt", ".text", ".md"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path that what was typed may become; folders end in a slash. ``note`` says what it is."""

    text: str
    note: str = ""
    is_final: bool = False
    """Whether it may be the answer, rather than a folder on the way to it."""


def candidates(typed: str, kind: Kind) -> list[Candidate]:
    """The folders and files that begin as typed, folders first; hidden ones where a dot was typed."""
    head, _, stem = typed.rpartition("/")
    folder = Path(os.path.expanduser(f"{head}/" if "/" in typed else "."))
    prefix = f"{head}/" if "/" in typed else ""
    found: list[Candidate] = []
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count == MOST_LOOKED_AT:
                    break
                if _matches(entry.name, stem) and (candidate := _candidate(entry, prefix, kind)):
                    found.append(candidate)
    except OSError:
        return []
    return sorted(found, key=lambda each: (not each.text.endswith("/"), each.text.lower()))[:MOST_GIVEN]


def common_beginning(typed: str, among: list[Candidate]) -> str:
    """What is typed, made longer by all that the candidates agree on."""
    common = os.path.commonprefix([candidate.text for candidate in among])  # noqa: RUF071 - letters are meant
    return common if len(common) > len(typed) and common.startswith(typed) else typed


def is_model(typed: str) -> bool:
    """Whether what is typed is a model's folder already."""
    return typed.endswith("/") and architecture_of(Path(typed).expanduser()) is not None


def _matches(name: str, stem: str) -> bool:
    return name.startswith(stem) and (stem.startswith(".") or not name.startswith("."))


def _candidate(entry: os.DirEntry[str], prefix: str, kind: Kind) -> Candidate | None:
    try:
        is_folder = entry.is_dir()
    except OSError:
        return None
    text = f"{prefix}{entry.name}"
    if is_folder:
        architecture = architecture_of(Path(entry.path)) if kind == "model" else None
        return Candidate(f"{text}/", architecture or "", is_final=architecture is not None)
    suffix = os.path.splitext(entry.name)[1].lower()
    if kind == "model":
        return Candidate(text, "a model of your own", is_final=True) if suffix == ".py" else None
    if kind == "data" and suffix not in DATA_SUFFIXES:
        return None
    return Candidate(text, is_final=True)
