"""Options that several commands share, and how they become a spec."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autocompress.errors import SpecError

if TYPE_CHECKING:  # pydantic's models take a tenth of a second, which `--help` can do without
    from autocompress.spec import SearchSpec

_LIMITS = "Limits"
_BUDGET = "Budget"
_SPACE = "Space"
_MODEL = "Model and data"

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Local folder, or hub id.", rich_help_panel=_MODEL)
]
RevisionOption = Annotated[
    str | None, typer.Option("--revision", help="Branch, tag or commit of a hub id.", rich_help_panel=_MODEL)
]
TaskOption = Annotated[
    str | None, typer.Option("--task", help="Found from the model when not given.", rich_help_panel=_MODEL)
]
TaskFileOption = Annotated[
    Path | None,
    typer.Option("--task-file", help="Your Python file for the task 'own'. It is run.", rich_help_panel=_MODEL),
]
DataOption = Annotated[
    str | None,
    typer.Option("--data", "-d", help="File, folder, or hub dataset id.", rich_help_panel=_MODEL),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", help="ROLE=NAME, e.g. text=review; may be repeated.", rich_help_panel=_MODEL),
]
HoldoutOption = Annotated[
    str | None, typer.Option("--holdout", help="Data of its own for the last judgement.", rich_help_panel=_MODEL)
]
CalibrationOption = Annotated[
    str | None, typer.Option("--calibration", help="Data of its own to calibrate with.", rich_help_panel=_MODEL)
]
TrainingOption = Annotated[
    str | None, typer.Option("--training", help="Data of its own to train on.", rich_help_panel=_MODEL)
]
TrustOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.", rich_help_panel=_MODEL)
]
PickleOption = Annotated[
    bool, typer.Option("--allow-pickle", help="Load pickled weights, which can run code.", rich_help_panel=_MODEL)
]
DropOption = Annotated[str | None, typer.Option(help="1% (relative), 1pp or 0.01 (absolute).", rich_help_panel=_LIMITS)]
SizeOption = Annotated[str | None, typer.Option(help="25MB, or 0.3x of the original.", rich_help_panel=_LIMITS)]
LatencyOption = Annotated[str | None, typer.Option(help="20ms, or 0.5x of the original.", rich_help_panel=_LIMITS)]
RamOption = Annotated[str | None, typer.Option(help="2GB, or 0.5x of the original.", rich_help_panel=_LIMITS)]
VramOption = Annotated[str | None, typer.Option(help="2GB, or 0.5x of the original.", rich_help_panel=_LIMITS)]
TrialsOption = Annotated[
    int | None, typer.Option(help="Recipes to try, the original included.", rich_help_panel=_BUDGET)
]
TimeoutOption = Annotated[str | None, typer.Option(help="90s, 15m or 2h.", rich_help_panel=_BUDGET)]
TrialTimeoutOption = Annotated[str | None, typer.Option(help="Longest time of one trial.", rich_help_panel=_BUDGET)]
TrialMemoryOption = Annotated[str | None, typer.Option(help="Most memory of one trial.", rich_help_panel=_BUDGET)]
ParallelOption = Annotated[
    int | None,
    typer.Option(help="Trials at a time; by default what the machine has room for.", rich_help_panel=_BUDGET),
]
MethodsOption = Annotated[
    str | None, typer.Option(help="Only these, comma-separated; see `methods`.", rich_help_panel=_SPACE)
]
FormatsOption = Annotated[
    str | None, typer.Option(help="Only these, comma-separated; see `formats`.", rich_help_panel=_SPACE)
]
TrainOption = Annotated[
    bool,
    typer.Option("--train", help="Also try methods that train: minutes a trial.", rich_help_panel=_SPACE),
]
PreferOption = Annotated[
    str | None, typer.Option(help="Which feasible point is best: balanced, size, latency, quality.")
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu or cuda.")]
ThreadsOption = Annotated[int | None, typer.Option(help="Threads of the timed runtime.")]
SeedOption = Annotated[int | None, typer.Option(help="Of everything random.")]
NameOption = Annotated[str | None, typer.Option("--name", "-n", help="Of the run; from the model when not given.")]
StorageOption = Annotated[str | None, typer.Option(help="Optuna storage URL; SQLite in the run folder when not given.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def merged_spec(given: SearchSpec | None, options: dict[str, dict[str, Any]]) -> SearchSpec:
    """The spec file's content with the command line's options over it.

    Args:
        given: what the file says, if there is one.
        options: section of the spec (``""`` for its top) to the options of that section; None means not given.

    Raises:
        SpecError: an option is wrong, or no model is given.
    """
    from autocompress.spec import SearchSpec
    from autocompress.strict import validate

    plain: dict[str, Any] = given.model_dump(mode="json", exclude_unset=True) if given else {}
    for section, values in options.items():
        told = {name: value for name, value in values.items() if value is not None and value is not False}
        if section and told:
            plain[section] = {**(plain.get(section) or {}), **told}
        else:
            plain |= told
    if not plain.get("model", {}).get("path") and not plain.get("model", {}).get("task_file"):
        raise SpecError("no model is given", remedy="Give --model PATH, or a spec file; try `autocompress demo`.")
    try:
        return validate(SearchSpec, plain, error=SpecError)
    except SpecError as problem:
        raise SpecError(problem.what, where=_option_at(problem.where, options), remedy=problem.remedy) from None


_OPTIONS = {
    "model.path": "--model",
    "data.path": "--data",
    "data.columns": "--column",
    "constraints.quality_drop": "--max-quality-drop",
    "constraints.size": "--max-size",
    "constraints.latency": "--max-latency",
    "constraints.ram": "--max-ram",
    "constraints.vram": "--max-vram",
    "space.training": "--train",
}
"""Options whose names are not those of their keys in a specification."""


def _option_at(where: str | None, options: dict[str, dict[str, Any]]) -> str | None:
    """The option that gave the value at a place of the specification, or the place where the file gave it."""
    for section, values in options.items():
        for name, value in values.items():
            key = f"{section}.{name}" if section else name
            given = value is not None and value is not False
            if given and where is not None and re.fullmatch(rf"{re.escape(key)}([.\[].*)?", where):
                return _OPTIONS.get(key, f"--{name.replace('_', '-')}")
    return where


def model_options(
    given: SearchSpec | None,
    *,
    model: str | None,
    task: str | None,
    task_file: Path | None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """The section ``model``: a task's file alone says which model it is, and that the task is one's own."""
    file = str(task_file) if task_file else None
    return {
        "path": model or (file if given is None else None),
        "revision": revision,
        "task": task or ("own" if file else None),
        "task_file": file,
        "trust_remote_code": trust_remote_code,
        "allow_pickle": allow_pickle,
    }


def read_spec_file(path: Path | None) -> SearchSpec | None:
    """The spec in a YAML file, if one is given.

    Raises:
        SpecError: it cannot be read or is wrong.
    """
    if path is None:
        return None
    from autocompress.spec_file import read_spec

    return read_spec(path)


def columns_of(pairs: list[str] | None) -> dict[str, str] | None:
    """``["text=review"]`` as ``{"text": "review"}``.

    Raises:
        SpecError: a pair has no ``=``.
    """
    if not pairs:
        return None
    split = [pair.partition("=") for pair in pairs]
    for pair, (role, sign, name) in zip(pairs, split, strict=True):
        if not (role and sign and name):
            raise SpecError(f"{pair!r} is not ROLE=NAME", where="--column", remedy="Write for example text=review.")
    return {role: name for role, _, name in split}


def names_of(text: str | None) -> tuple[str, ...] | None:
    """Comma-separated names."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else None
