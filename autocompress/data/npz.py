"""Arrays in NumPy's NPZ files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from autocompress.data.rows import Rows
from autocompress.errors import DataError


def read_npz(path: Path) -> Rows:
    """All arrays of an NPZ file, whatever their lengths; the first axis counts the rows. Pickled objects are refused.

    Raises:
        DataError: not an NPZ file, or one that holds pickled objects.
    """
    if not zipfile.is_zipfile(path):  # np.load would take it for a pickle
        raise DataError("not a readable NPZ file", where=str(path))
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Rows(str(path), {name: stored[name] for name in stored.files})
    except ValueError as problem:
        if "pickle" in str(problem).lower():
            raise DataError(
                "holds pickled objects, which can run any code while loading",
                where=str(path),
                remedy="Save plain numeric or string arrays.",
            ) from None
        raise DataError(f"not a readable NPZ file: {problem}", where=str(path)) from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError):
        raise DataError("not a readable NPZ file", where=str(path)) from None
