"""Audio files as mono waveforms at a wanted sampling rate."""

from __future__ import annotations

import io
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autocompress.errors import DataError


def read_audio(stored: Any, sampling_rate: int, where: str) -> npt.NDArray[np.float32]:
    """A path's (or encoded bytes') waveform, shape (n_samples,), channels averaged, resampled to ``sampling_rate`` Hz.

    An array is taken as a waveform that already has that rate.

    Raises:
        DataError: not audio, empty, or not finite; names the file, or ``where`` for bytes.
    """
    if isinstance(stored, np.ndarray):
        waveform, rate = stored.astype(np.float32), sampling_rate
    else:
        waveform, rate, where = *_decode(stored, where), str(stored) if isinstance(stored, Path) else where
    if waveform.ndim == 2:
        waveform = waveform.mean(axis=1)
    if waveform.ndim != 1 or not len(waveform):
        raise DataError("the audio holds no samples", where=where)
    if not np.isfinite(waveform).all():
        raise DataError("the audio holds inf or nan", where=where)
    if rate != sampling_rate:
        from scipy.signal import resample_poly

        common = gcd(rate, sampling_rate)
        waveform = resample_poly(waveform, sampling_rate // common, rate // common).astype(np.float32)
    return waveform


def _decode(stored: Any, where: str) -> tuple[npt.NDArray[np.float32], int]:
    import soundfile

    place = str(stored) if isinstance(stored, Path) else where
    try:
        waveform, rate = soundfile.read(io.BytesIO(stored) if isinstance(stored, bytes) else stored, dtype="float32")
    except (soundfile.LibsndfileError, OSError, TypeError):
        raise DataError("unreadable audio", where=place, remedy="Remove it or convert it to WAV or FLAC.") from None
    return waveform, int(rate)
