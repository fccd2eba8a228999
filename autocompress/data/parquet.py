"""Parquet tables, through pyarrow."""

from __future__ import annotations

from pathlib import Path

from autocompress.data.rows import Rows
from autocompress.errors import DataError, EnvironmentProblem


def read_parquet(path: Path) -> Rows:
    """A Parquet file with all its columns.

    Raises:
        EnvironmentProblem: pyarrow is not installed.
        DataError: not a Parquet file.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise EnvironmentProblem(
            "reading Parquet needs the package pyarrow", where=str(path), remedy="pip install 'autocompress[parquet]'"
        ) from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError):
        raise DataError("not a readable Parquet file", where=str(path)) from None
    return Rows(str(path), {name: table.column(name).to_pylist() for name in table.column_names})
