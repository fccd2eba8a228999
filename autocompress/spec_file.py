"""Reading a search specification from YAML."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from autocompress.errors import EnvironmentProblem, SpecError
from autocompress.spec import SearchSpec
from autocompress.strict import place, read_yaml, validate

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_spec(path: Path) -> SearchSpec:
    """The specification in a YAML file: ``${NAME}`` replaced from the environment, paths taken from the file's folder.

    Raises:
        SpecError: unreadable, an unknown key, a wrong value, or a variable that is not set; names the file and the
            place in it.
    """
    plain = read_yaml(path, error=SpecError)
    if "format_version" in plain and "steps" in plain:
        remedy = f"`autocompress apply {path} -o FOLDER` carries it out; a search is told what to search."
        raise SpecError("is a recipe, not the specification of a search", where=str(path), remedy=remedy)
    try:
        spec = validate(SearchSpec, expand_environment(plain, where=""), error=SpecError)
    except SpecError as problem:
        where = f"{path}: {problem.where}" if problem.where else str(path)
        raise SpecError(problem.what, where=where, remedy=problem.remedy) from None
    return spec.resolved_against(path.resolve().parent)


def spec_yaml(spec: SearchSpec) -> str:
    """The text of a specification: what was given, and nothing that is left at its default."""
    plain = spec.model_dump(mode="json", exclude_unset=True)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def write_spec(spec: SearchSpec, path: Path) -> None:
    """Keep a run's specification, in one move; the file's date stays that of the run's beginning.

    Raises:
        EnvironmentProblem: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(f"# The search that this run carries out.\n{spec_yaml(spec)}", encoding="utf-8")
        if path.exists():
            before = path.stat()
            os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
        fresh.replace(path)
    except OSError as problem:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise EnvironmentProblem(f"cannot be written: {problem.strerror}", where=str(path)) from problem


def expand_environment(plain: Any, where: str) -> Any:
    """Plain data with each ``${NAME}`` in a text value replaced by the environment variable of that name.

    Raises:
        SpecError: the variable is not set; names the place.
    """
    if isinstance(plain, dict):
        return {key: expand_environment(value, place(*filter(None, (where, key)))) for key, value in plain.items()}
    if isinstance(plain, list):
        return [expand_environment(value, f"{where}[{index}]") for index, value in enumerate(plain)]
    if not isinstance(plain, str):
        return plain

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise SpecError(
                f"the environment variable {match[1]} is not set", where=where, remedy=f"export {match[1]}=…"
            )
        return os.environ[match[1]]

    return _VARIABLE.sub(value_of, plain)
