"""Tables in text files: CSV, TSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autocompress.data.rows import Rows
from autocompress.errors import DataError

LARGEST_CELL_CHARACTERS = 10_000_000


def read_utf8(path: Path) -> str:
    """A file's text, without a byte-order mark.

    Raises:
        DataError: unreadable, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DataError(
            f"not UTF-8 text (byte {problem.start})", where=str(path), remedy="Save the file as UTF-8."
        ) from None
    except OSError as problem:
        raise DataError(f"cannot be read: {problem.strerror}", where=str(path)) from None


def read_delimited(path: Path) -> Rows:
    """A CSV or (by its suffix) TSV file with a header line; cells are text.

    Raises:
        DataError: empty, a column named twice, or a row with more or fewer cells than the header.
    """
    csv.field_size_limit(LARGEST_CELL_CHARACTERS)
    lines = io.StringIO(read_utf8(path))  # not str.splitlines, which also cuts at separators inside of a text
    if path.suffix.lower() == ".tsv":
        # Quotation marks in a TSV are part of the text: the format escapes tabs, it does not quote.
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines)
    try:
        header = next(reader, None)
        if not header:
            raise DataError("the file is empty", where=str(path))
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise DataError(f"the column {twice!r} stands twice in the header", where=str(path))
        columns: dict[str, list[str]] = {name: [] for name in header}
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{len(row)} cells, but the header names {len(header)} columns",
                    where=f"{path}:{reader.line_num}",
                    remedy="Quote cells that hold the separator, or repair the line.",
                )
            for name, cell in zip(header, row, strict=True):
                columns[name].append(cell)
    except csv.Error as problem:
        raise DataError(f"not a table: {problem}", where=f"{path}:{reader.line_num}") from None
    return Rows(str(path), columns)


def read_json_lines(path: Path) -> Rows:
    """A file with one JSON object a line, all with the same keys.

    Raises:
        DataError: a line is not an object, or its keys differ from those of the first.
    """
    columns: dict[str, list[Any]] = {}
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError("not a line of JSON", where=where) from None
        if not isinstance(record, dict):
            raise DataError('each line must be an object, such as {"text": …, "label": …}', where=where)
        if not columns:
            columns = {name: [] for name in record}
        if set(record) != set(columns):
            odd = ", ".join(sorted(set(record) ^ set(columns)))
            raise DataError(f"its keys differ from the first line's: {odd}", where=where)
        for name, value in record.items():
            columns[name].append(value)
    return Rows(str(path), columns)


READERS: dict[str, Callable[[Path], Rows]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}
"""Suffix to reader."""
