"""Images as arrays of three channels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompress.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def read_image(stored: Any, where: str) -> Image:
    """A path, encoded bytes, or an array of shape (height, width), (…, 1) or (…, 3), uint8, as an RGB image.

    Grey images have their channel repeated.

    Raises:
        DataError: not an image; names the file, or ``where`` for an array.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(stored, Path | bytes):
        try:
            with Image.open(io.BytesIO(stored) if isinstance(stored, bytes) else stored) as image:
                return image.convert("RGB")
        except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
            place = str(stored) if isinstance(stored, Path) else where
            raise DataError("unreadable image", where=place, remedy="Remove or replace it.") from None
    array = np.asarray(stored)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise DataError(
            f"an image must be an array of uint8 of shape (height, width[, 3]), not {array.dtype} {array.shape}",
            where=where,
        )
    return Image.fromarray(array).convert("RGB")
