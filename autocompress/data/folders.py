"""Folders of files: images by class, audio beside a table of transcripts."""

from __future__ import annotations

from pathlib import Path

from autocompress.data import delimited
from autocompress.data.rows import Rows
from autocompress.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


def read_folder(folder: Path) -> Rows:
    """A folder that holds a table (columns with paths are relative to it), or one folder of images per class.

    Raises:
        DataError: neither, or several tables.
    """
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in delimited.READERS)
    if len(tables) == 1:
        return delimited.READERS[tables[0].suffix.lower()](tables[0])
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise DataError(
            f"the folder holds several tables: {names}",
            where=str(folder),
            remedy="Name one file per part: calibration, search and holdout.",
        )
    return read_image_folder(folder)


def read_image_folder(folder: Path) -> Rows:
    """Columns ``image`` (paths) and ``label`` (the name of the folder that the image lies in).

    Raises:
        DataError: no images one folder deep.
    """
    images = sorted(
        path
        for class_folder in sorted(folder.iterdir())
        if class_folder.is_dir()
        for path in class_folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not images:
        raise DataError(
            "the folder holds neither a table nor folders of images by class",
            where=str(folder),
            remedy="Name a data file, or put the images into one folder per class.",
        )
    return Rows(str(folder), {"image": list(images), "label": [path.parent.name for path in images]})
