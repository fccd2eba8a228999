"""How far Huffman coding will shrink codes before there are any: what it does to those of weights as they usually are.

The usual weights are normal within a row, and rows differ in scale. Over the models at hand codes of the methods then
take what is expected to within two percent; what a model's own take, only its values tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
import numpy.typing as npt

from autocompress.encodings.bits import pack_bits
from autocompress.encodings.entropy import huffman_coded
from autocompress.encodings.forms import CodebookForm, Form, IntegersForm, SparseForm

N_VALUES = 2**15
"""Values that the coding is tried on."""
SPREAD_OF_ROWS = 0.26
"""Standard deviation of the logarithm of the rows' scales."""
TAILS = 32
"""Degrees of freedom of the t-distribution within a row, which is nearly normal."""
SYMBOLS_OF_A_TABLE = 2**15
"""zlib makes fresh codes after so many symbols, which are bytes or somewhat less."""
N_REFINEMENTS = 150

Floats = npt.NDArray[np.float64]


@lru_cache(maxsize=65_536)
def expected_part_bytes(form: Form, name: str) -> float:
    """Bytes of a part, Huffman-coded where it is packed and that is expected to be shorter."""
    part = form.parts[name]
    if not part.is_packed:
        return part.n_bytes
    coded = _coding_of(form, name)
    if coded is None:
        return part.n_bytes
    return min(part.n_bytes, coded.share * part.n_bytes + coded.table_bytes * ceil(part.n_bytes / SYMBOLS_OF_A_TABLE))


@dataclass(frozen=True)
class Coding:
    """What Huffman coding does: the share of the bytes that is left, and what a table of codes takes."""

    share: float
    table_bytes: float


def _coding_of(form: Form, name: str) -> Coding | None:
    own = name.rpartition(".")[2]
    kept = 1.0
    if isinstance(form, SparseForm):
        kept = form.n_kept / max(1, form.shape[0] * form.shape[1])
        if own == "mask":
            return _of_mask(round(kept, 2))
        form = form.values
    if own == "codes" and isinstance(form, IntegersForm):
        columns = form.shape[1]
        return _of_integers(round(form.bits), _near(min(form.group_size, columns)), form.has_zero_points)
    if own == "indices" and isinstance(form, CodebookForm):
        return _of_indices(form.n_centroids, round(kept, 1))
    return None


def _near(length: int) -> int:
    """A length of few digits: how the codes lie hardly depends on it."""
    return int(2 ** (round(2 * np.log2(max(length, 1))) / 2))


@lru_cache
def _usual(n_columns: int) -> Floats:
    """Usual weights, shape (n_rows, n_columns)."""
    random = np.random.default_rng(0)
    n_rows = max(4, N_VALUES // n_columns)
    scales = np.exp(SPREAD_OF_ROWS * random.normal(size=(n_rows, 1)))
    values: Floats = random.standard_t(TAILS, size=(n_rows, n_columns)) * scales
    return values


@lru_cache
def _of_integers(bits: int, columns: int, has_zero_points: bool) -> Coding | None:
    values = _usual(columns)
    if has_zero_points:
        low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
        codes = np.rint((values - low) * (2**bits - 1) / (high - low))
    else:
        extreme = np.take_along_axis(values, np.abs(values).argmax(axis=1)[:, None], axis=1)
        codes = np.rint(values * -(2 ** (bits - 1)) / extreme) + 2 ** (bits - 1)
    return _tried(codes.clip(0, 2**bits - 1), bits)


@lru_cache
def _of_indices(n_centroids: int, kept: float) -> Coding | None:
    usual = _usual(256).ravel()
    usual = usual[np.abs(usual) >= np.quantile(np.abs(usual), 1 - kept)]
    values = np.sort(usual)
    # Where the density's cube root says: Panter & Dite 1951, for a normal density one of three times its variance.
    centroids = np.unique(np.sqrt(3) * np.quantile(values, (np.arange(n_centroids) + 0.5) / n_centroids))
    for _ in range(N_REFINEMENTS):
        bounds = np.searchsorted(values, (centroids[1:] + centroids[:-1]) / 2)
        runs = [run for run in np.split(values, bounds) if len(run)]
        centroids = np.array([run.mean() for run in runs])
    codes = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, usual)
    return _tried(codes, max(1, (n_centroids - 1).bit_length()))


@lru_cache
def _of_mask(kept: float) -> Coding | None:
    return _tried(np.random.default_rng(0).random(8 * N_VALUES) < kept, 1)


def _tried(codes: npt.NDArray[np.generic], bits: int) -> Coding | None:
    """The coding of half of the codes and of all tells what a table takes and what the rest does."""
    packed = pack_bits(codes.astype(np.uint8).ravel()[: N_VALUES // 8 * 8], bits)
    half = len(packed) // 2
    whole, first = huffman_coded(packed), huffman_coded(packed[:half])
    if whole is None or first is None:
        return None
    share = (len(whole) - len(first)) / (len(packed) - half)
    return Coding(share, len(first) - share * half)
