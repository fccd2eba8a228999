"""From a path, or a hub dataset's id, to a table of raw columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from autocompress.data import delimited
from autocompress.data.folders import read_folder
from autocompress.data.hub_dataset import read_hub_dataset
from autocompress.data.npz import read_npz
from autocompress.data.parquet import read_parquet
from autocompress.data.plain_text import read_plain_text
from autocompress.data.rows import Rows
from autocompress.errors import DataError
from autocompress.hub import is_hub_id

if TYPE_CHECKING:
    from autocompress.spec import DataSpec

READERS: dict[str, Callable[[Path], Rows]] = {
    **delimited.READERS,
    ".parquet": read_parquet,
    ".npz": read_npz,
    ".txt": read_plain_text,
    ".text": read_plain_text,
    ".md": read_plain_text,
}
"""Suffix to reader."""


def read_source(source: str, spec: DataSpec) -> Rows:
    """All columns of a file, a folder or a hub dataset, under their own names.

    Raises:
        DataError: not found, of no known kind, or damaged.
        EnvironmentProblem: the package that reads it is missing.
    """
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if path.is_dir():
        return read_folder(path)
    if path.exists():
        if suffix not in READERS:
            known = ", ".join(sorted(READERS))
            raise DataError(f"files named *{suffix} cannot be read", where=source, remedy=f"Known: {known}.")
        if path.stat().st_size == 0:
            raise DataError("the file is empty", where=source)
        return READERS[suffix](path)
    if suffix in READERS or not is_hub_id(source):
        raise DataError("there is no such file or folder", where=source, remedy="Check the path.")
    return read_hub_dataset(source, spec)
