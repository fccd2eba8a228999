"""Which column of a table plays which role."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.data.rows import Rows
from autocompress.errors import DataError

if TYPE_CHECKING:
    from autocompress.tasks.base import Role

FILE_ROLES = frozenset({"audio", "image"})
"""Roles whose text cells are paths, relative to the table's folder."""
MOST_ROWS_NAMED = 5


def assign_roles(table: Rows, roles: Sequence[Role], given: Mapping[str, str]) -> Rows:
    """The columns that a task needs, keyed by role.

    A role's column is the one that ``given`` names; else the one with a usual name, in any case; else the only one
    that ends in a usual name, such as ``test_images``.

    Raises:
        DataError: no rows, no such column, unequal lengths, an empty cell, or a file that does not exist.
    """
    unknown = next((role for role in given if role not in {known.name for known in roles}), None)
    if unknown is not None:
        raise DataError(
            f"the task has no role {unknown!r}",
            where=f"data.columns.{unknown}",
            remedy=f"Its roles: {', '.join(role.name for role in roles)}.",
        )
    chosen = {role: table.columns[name] for role, name in column_names(table, roles, given).items()}
    lengths = {role: len(column) for role, column in chosen.items()}
    if not all(lengths.values()):
        raise DataError("there are no rows", where=table.source)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{role} {length}" for role, length in lengths.items())
        raise DataError(f"the columns differ in length: {told}", where=table.source)
    for role, column in chosen.items():
        _refuse_empty_cells(role, column, table.source)
    return Rows(table.source, {role: _with_paths(role, column, table.source) for role, column in chosen.items()})


def column_names(table: Rows, roles: Sequence[Role], given: Mapping[str, str]) -> dict[str, str]:
    """Role to the name of its column, see `assign_roles`.

    Raises:
        DataError: there is no such column, or there are several.
    """
    return {role.name: _column_of(role, table, given) for role in roles}


def _column_of(role: Role, table: Rows, given: Mapping[str, str]) -> str:
    found = list(table.columns)
    if role.name in given:
        name = given[role.name]
        if name not in found:
            raise DataError(
                f"there is no column {name!r} in {table.source}",
                where=f"data.columns.{role.name}",
                remedy=_found(name, found),
            )
        return name
    for usual in role.usual_names:
        match = next((name for name in found if name.lower() == usual), None)
        if match is not None:
            return match
    endings = tuple(f"_{usual}" for usual in role.usual_names)
    ending = [name for name in found if name.lower().endswith(endings)]
    if len(ending) == 1:
        return ending[0]
    raise DataError(
        f"several columns could be the {role.name}" if ending else f"no column for the {role.name}",
        where=table.source,
        remedy=f"Say which with data.columns.{role.name}. {_found(role.name, found)}",
    )


def _found(name: str, found: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, found, n=1, cutoff=0.55)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return f"{guess}Columns found: {', '.join(map(repr, found)) or 'none'}."


def _refuse_empty_cells(role: str, column: Sequence[Any], source: str) -> None:
    empty = [row for row, cell in enumerate(column, 1) if cell is None or (isinstance(cell, str) and not cell.strip())]
    if empty:
        rows = ", ".join(map(str, empty[:MOST_ROWS_NAMED])) + (" …" if len(empty) > MOST_ROWS_NAMED else "")
        raise DataError(
            f"the {role} is empty in {len(empty)} of {len(column)} rows (row {rows})",
            where=source,
            remedy="Fill in or remove these rows.",
        )


def _with_paths(role: str, column: Sequence[Any], source: str) -> Sequence[Any]:
    if role not in FILE_ROLES or not isinstance(column[0], str):
        return column
    folder = Path(source).parent
    paths = [folder / value for value in column]
    missing = next((row for row, path in enumerate(paths, 1) if not path.is_file()), None)
    if missing is not None:
        raise DataError(
            f"the {role} of row {missing} does not exist: {paths[missing - 1]}",
            where=source,
            remedy="Paths are relative to the table's folder.",
        )
    return paths
