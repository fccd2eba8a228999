"""A search that is being put together: what was typed so far, what is wrong with it, and the spec that it makes."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from autocompress.hub import is_hub_id
from autocompress.limits import LIMIT_NAMES, parse_duration
from autocompress.tui.model.limit_words import limit_problem
from autocompress.tui.model.path_completion import DATA_SUFFIXES, TABLE_SUFFIXES
from autocompress.tui.model.probe import Offer, Probe

OWN_TASK_SUFFIX = ".py"
PREFERENCES = {
    "balanced": "the largest product of size reduction and speed-up",
    "size": "the fewest bytes on disk",
    "latency": "the fastest single call",
    "quality": "the least lost quality",
}
"""What the best of all recipes that keep the limits is chosen by."""

BESIDE_RECIPES = ("name", "budget", "prefer")
"""Sections of a spec that no recipe's figures depend on."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(slots=True)
class Draft:
    """What a person has chosen; texts are as typed, empty where nothing is.

    ``model_base`` and ``data_base`` are sections of a spec that was taken over (of a recent run, of the demo): what
    they say beyond the path, and ``base_name``, stays in force while the path is theirs.
    ``methods`` and ``formats`` are chosen by name; None is what a search takes by itself.
    """

    model: str = ""
    data: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    threads: str = "1"
    limits: dict[str, str] = field(default_factory=lambda: dict.fromkeys(LIMIT_NAMES, ""))
    edited_limits: set[str] = field(default_factory=set)
    prefer: str = "balanced"
    methods: frozenset[str] | None = None
    formats: frozenset[str] | None = None
    trials: str = "30"
    timeout: str = ""
    name: str = ""
    permissions: set[str] = field(default_factory=set)
    model_base: dict[str, Any] = field(default_factory=dict)
    data_base: dict[str, Any] = field(default_factory=dict)
    base_name: str = ""

    def adopt(self, spec: Mapping[str, Any], name: str = "") -> None:
        """Take over the model and the data of a search, and what they are measured on.

        Args:
            spec: of that search.
            name: what a run over this model is called, if not after its path.
        """
        self.base_name = name
        self.model_base = copy.deepcopy(dict(spec.get("model") or {}))
        self.data_base = copy.deepcopy(dict(spec.get("data") or {}))
        self.model = str(self.model_base.get("path") or "")
        self.data = str(self.data_base.get("path") or "")
        self.columns = {}
        self.device = str(spec.get("device") or "cpu")
        self.threads = str(spec.get("threads") or 1)
        self.permissions = set()

    def suggest(self, probe: Probe) -> None:
        """Fill in the limits that nobody wrote."""
        for name in LIMIT_NAMES:
            if name not in self.edited_limits:
                self.limits[name] = probe.suggested.get(name, "")

    @property
    def stem(self) -> str:
        """What a run is called after."""
        if self.base_name and self.model == self.model_base.get("path"):
            return self.base_name
        return Path(self.model.strip().rstrip("/")).stem

    @property
    def data_parts(self) -> dict[str, str]:
        """Parts of the data with paths of their own, taken over with it."""
        parts = ("training", "calibration", "search", "holdout")
        return {part: self.data_base[part] for part in parts if self._keeps_data and self.data_base.get(part)}

    @property
    def brings_its_data(self) -> bool:
        """Whether the model is a Python file that loads the data itself."""
        return self.model_section.get("task") == "own"

    @property
    def _keeps_data(self) -> bool:
        return bool(self.data_base) and self.data.strip() == str(self.data_base.get("path") or "")

    @property
    def model_section(self) -> dict[str, Any]:
        """``model`` of the spec."""
        path = spec_path(self.model)
        if self.model_base and self.model.strip() == self.model_base.get("path"):
            section = copy.deepcopy(self.model_base)
        elif path.endswith(OWN_TASK_SUFFIX):
            section = {"path": path, "task": "own", "task_file": path}
        else:
            section = {"path": path}
        return section | dict.fromkeys(sorted(self.permissions), True)

    @property
    def data_section(self) -> dict[str, Any] | None:
        """``data`` of the spec; None where there is none."""
        section = copy.deepcopy(self.data_base) if self._keeps_data else {}
        if not self._keeps_data and self.data.strip():
            section["path"] = spec_path(self.data)
        if self.columns and section:
            section["columns"] = {**section.get("columns", {}), **self.columns}
        return section or None

    def subject(self) -> dict[str, Any]:
        """The part of the spec that a first look needs; another one needs another look."""
        plain: dict[str, Any] = {"model": self.model_section}
        data = self.data_section
        if data:
            plain["data"] = data
        return plain | self._machine()

    def _machine(self) -> dict[str, Any]:
        machine: dict[str, Any] = {}
        if self.device != "cpu":
            machine["device"] = self.device
        if self.threads.strip() not in ("", "1"):
            machine["threads"] = _number(self.threads)
        return machine

    def plain(self, probe: Probe) -> dict[str, Any]:
        """The spec as plain data: what was chosen, and nothing that is left at its default."""
        plain: dict[str, Any] = {"name": self.name.strip()} if self.name.strip() else {}
        plain |= {section: value for section, value in self.subject().items() if section in ("model", "data")}
        limits = {name: text.strip() for name in LIMIT_NAMES if (text := self.limits.get(name, "")).strip()}
        if limits:
            plain["constraints"] = limits
        budget: dict[str, Any] = {"trials": _number(self.trials)}
        if self.timeout.strip():
            budget["timeout"] = self.timeout.strip()
        plain["budget"] = budget
        space = self._space(probe)
        if space:
            plain["space"] = space
        if self.prefer != "balanced":
            plain["prefer"] = self.prefer
        return plain | self._machine()

    def outline(self, probe: Probe) -> dict[str, Any]:
        """The part of the spec that what is foretold of recipes depends on."""
        return {section: value for section, value in self.plain(probe).items() if section not in BESIDE_RECIPES}

    def trial_count(self) -> int | None:
        """How many recipes are tried; None where none can be read."""
        return None if self.trials_problem() else _number(self.trials)

    def yaml(self, probe: Probe) -> str:
        """The spec as `autocompress search` reads it."""
        return yaml.safe_dump(self.plain(probe), sort_keys=False, allow_unicode=True)

    def _space(self, probe: Probe) -> dict[str, Any]:
        space: dict[str, Any] = {}
        methods = self.chosen(probe.methods, self.methods)
        usable = [offer for offer in probe.methods if offer.available]
        if self.methods is not None and methods != default_names(probe.methods):
            if methods == {offer.name for offer in usable}:
                space["training"] = True
            else:
                space["methods"] = [offer.name for offer in usable if offer.name in methods]
        formats = self.chosen(probe.formats, self.formats)
        if self.formats is not None and formats != default_names(probe.formats):
            space["formats"] = [offer.name for offer in probe.formats if offer.name in formats]
        return space

    @staticmethod
    def chosen(offers: Sequence[Offer], names: Collection[str] | None) -> set[str]:
        """The names that are chosen and can be used here."""
        if names is None:
            return default_names(offers)
        return {offer.name for offer in offers if offer.available and offer.name in names}

    def training_methods(self, probe: Probe) -> list[str]:
        """Chosen methods that train."""
        chosen = self.chosen(probe.methods, self.methods)
        return [offer.name for offer in probe.methods if offer.trains and offer.name in chosen]

    def estimated_seconds(self, probe: Probe) -> float | None:
        """What the search takes if every trial takes as long as the original did; None where that is not known."""
        if probe.seconds_per_trial is None or self.trials_problem():
            return None
        return probe.seconds_per_trial * _number(self.trials)

    def timeout_seconds(self) -> float | None:
        """When the search is stopped; None for never."""
        return parse_duration(self.timeout) if self.timeout.strip() and not self.timeout_problem() else None

    def model_problem(self) -> str | None:
        """Why the model cannot be used, as far as its files tell."""
        text = self.model.strip()
        if not text:
            return "Choose one of the list, or write a folder or a hub id."
        if self.model_section.get("task_file"):
            file = Path(str(self.model_section["task_file"])).expanduser()
            return None if file.is_file() else f"There is no file {file}. Check the path."
        path = Path(text).expanduser()
        if path.is_dir():
            return None if (path / "config.json").is_file() else _not_a_model(path)
        if path.exists():
            return f"{path.name} is a file. Name the folder it lies in, or a .py file for a model of your own."
        if not may_be_hub_id(text):
            return f"There is no {text}. Check the path; a hub id is written owner/name."
        return None

    def data_problem(self) -> str | None:
        """Why the data cannot be used, as far as the path tells."""
        text = self.data.strip()
        if not text:
            if self.brings_its_data or self.data_parts:
                return None
            return "Give a file (CSV, TSV, JSON lines, Parquet, NPZ, text), a folder, or a hub dataset's id."
        path = Path(text).expanduser()
        if path.is_dir():
            return _tables_problem(path)
        if path.exists():
            return "The file is empty." if path.is_file() and path.stat().st_size == 0 else None
        if path.suffix in DATA_SUFFIXES or not may_be_hub_id(text):
            return f"There is no {text}. Check the path."
        return None

    def threads_problem(self) -> str | None:
        """Why the number of threads is none."""
        return _count_problem(self.threads, "1")

    def limit_problem(self, name: str, probe: Probe) -> str | None:
        """Why a limit cannot be set so."""
        return limit_problem(name, self.limits.get(name, ""), probe.baseline, self.device)

    def space_problem(self, probe: Probe) -> str | None:
        """Why nothing can be tried with what is chosen."""
        if probe.formats and not self.chosen(probe.formats, self.formats):
            return "Choose at least one format: a recipe ends in one."
        if probe.methods and not self.chosen(probe.methods, self.methods):
            return "Choose at least one method: formats alone do not make a model smaller."
        return None

    def trials_problem(self) -> str | None:
        """Why the number of trials is none."""
        return _count_problem(self.trials, "30")

    def timeout_problem(self) -> str | None:
        """Why the timeout is none."""
        if not self.timeout.strip():
            return None
        try:
            seconds = parse_duration(self.timeout)
        except ValueError as problem:
            return f"{problem}."
        return None if seconds > 0 else "It must be longer than nothing; leave it empty for no limit."

    def name_problem(self, root: Path) -> str | None:
        """Why a run cannot be called so."""
        name = self.name.strip()
        if not name:
            return "The run needs a name."
        if not _NAME.fullmatch(name):
            return "Use letters, digits, dots, dashes and underscores."
        if (root / name).exists():
            return f"There is a run named {name} already. Choose another name."
        return None


def default_names(offers: Sequence[Offer]) -> set[str]:
    """What a search takes by itself."""
    return {offer.name for offer in offers if offer.available and offer.by_default}


def spec_path(text: str) -> str:
    """A path so that it holds wherever the spec lies; a hub's id as it is."""
    text = text.strip()
    path = os.path.expanduser(text)
    if os.path.exists(path) or text.startswith((".", "/", "~")):
        return os.path.abspath(path)
    return text


def may_be_hub_id(text: str) -> bool:
    """Whether a path that is not there can be meant as a hub's id: not where its beginning is a folder here."""
    owner, slash, _ = text.partition("/")
    return is_hub_id(text) and not (slash and os.path.isdir(owner))


def _number(text: str) -> int:
    return int(text.strip()) if text.strip().isdecimal() else 0


def _count_problem(text: str, example: str) -> str | None:
    return None if _number(text) > 0 else f"Write a whole number of at least 1, such as {example}."


def _tables_problem(folder: Path) -> str | None:
    try:
        tables = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
    except OSError:
        return None
    if len(tables) < 2:
        return None
    names = ", ".join(tables[:3]) + (", …" if len(tables) > 3 else "")
    return f"It holds several tables: {names}. Name one here; a YAML file can name one for each part."


def _not_a_model(folder: Path) -> str:
    try:
        inside = sorted(path.parent.name for path in folder.glob("*/config.json"))
    except OSError:
        inside = []
    near = f" It holds {', '.join(inside[:3])}." if inside else ""
    return f"There is no config.json in {folder.name or folder}; name the folder of one model.{near}"
