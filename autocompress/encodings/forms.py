"""What an encoding is made of, without its values: enough to tell its size before there is a weight to encode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, prod
from typing import Any

FLOAT16_BYTES, FLOAT32_BYTES = 2, 4


@dataclass(frozen=True)
class Part:
    """One stored array of an encoding.

    Attributes:
        n_values: how many values it holds.
        bits: of each.
        is_packed: whether they are codes packed to whole bytes, which a format may code further.
    """

    n_values: int
    bits: float
    is_packed: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes."""
        return ceil(self.n_values * self.bits / 8)


@dataclass(frozen=True)
class DenseForm:
    """Plain values of ``itemsize`` bytes."""

    shape: tuple[int, int]
    itemsize: int = FLOAT32_BYTES

    @property
    def parts(self) -> dict[str, Part]:
        """What `Encoding.parts` gives, without values."""
        return {"values": Part(prod(self.shape), 8 * self.itemsize)}

    def header(self) -> dict[str, Any]:
        """See `Encoding.header`."""
        return {"kind": "dense"}

    def with_float16(self) -> DenseForm:
        """See `Encoding.with_float16`."""
        return replace(self, itemsize=FLOAT16_BYTES)


@dataclass(frozen=True)
class IntegersForm:
    """Codes in groups that share a scale, and a zero point unless symmetric; see `GroupedIntegers`.

    ``bits`` is a fraction where it is a mean over weights of several widths.
    """

    shape: tuple[int, int]
    bits: float
    group_size: int
    scale_bytes: int = FLOAT16_BYTES
    has_zero_points: bool = False
    input_scale_bytes: int = 0

    @property
    def n_groups(self) -> int:
        """Groups of a row."""
        return -(-self.shape[1] // self.group_size)

    @property
    def parts(self) -> dict[str, Part]:
        """What `Encoding.parts` gives, without values."""
        return {"codes": Part(prod(self.shape), self.bits, True), **self.shared}

    @property
    def shared(self) -> dict[str, Part]:
        """What the codes share."""
        n_scales = self.shape[0] * self.n_groups
        parts = {"scales": Part(n_scales, 8 * self.scale_bytes)}
        if self.has_zero_points:
            parts["zero_points"] = Part(n_scales, self.bits, True)
        if self.input_scale_bytes:
            parts["input_scales"] = Part(self.shape[1], 8 * self.input_scale_bytes)
        return parts

    def header(self) -> dict[str, Any]:
        """See `Encoding.header`."""
        return {
            "kind": "grouped_integers",
            "shape": list(self.shape),
            "bits": self.bits,
            "group_size": self.group_size,
        }

    def with_float16(self) -> IntegersForm:
        """See `Encoding.with_float16`."""
        return replace(self, scale_bytes=FLOAT16_BYTES, input_scale_bytes=min(self.input_scale_bytes, FLOAT16_BYTES))


@dataclass(frozen=True)
class CodebookForm:
    """Indices into codebooks, one for every ``group_size`` of them; see `Codebook`."""

    shape: tuple[int, int]
    n_centroids: int
    group_size: int | None = None
    centroid_bytes: int = FLOAT32_BYTES
    scale_bytes: int = 0

    @property
    def n_books(self) -> int:
        """How many codebooks there are."""
        return 1 if self.group_size is None else -(-prod(self.shape) // self.group_size)

    @property
    def bits(self) -> int:
        """Bits of an index."""
        return max(1, (self.n_centroids - 1).bit_length())

    @property
    def parts(self) -> dict[str, Part]:
        """What `Encoding.parts` gives, without values."""
        parts = {
            "indices": Part(prod(self.shape), self.bits, True),
            "centroids": Part(self.n_books * self.n_centroids, 8 * self.centroid_bytes),
        }
        return parts | ({"scales": Part(self.n_books, 8 * self.scale_bytes)} if self.scale_bytes else {})

    def header(self) -> dict[str, Any]:
        """See `Encoding.header`."""
        header: dict[str, Any] = {"kind": "codebook", "shape": list(self.shape)}
        return header if self.group_size is None else header | {"group_size": self.group_size}

    def with_float16(self) -> CodebookForm:
        """See `Encoding.with_float16`."""
        if self.scale_bytes:
            return replace(self, scale_bytes=FLOAT16_BYTES)
        return replace(self, centroid_bytes=FLOAT16_BYTES)


@dataclass(frozen=True)
class SparseForm:
    """A bit for each weight, and ``n_kept`` values: those of ``values`` alone, or the codes among shared scales."""

    shape: tuple[int, int]
    n_kept: int
    values: DenseForm | CodebookForm | IntegersForm

    @property
    def parts(self) -> dict[str, Part]:
        """What `Encoding.parts` gives, without values."""
        mask = {"mask": Part(prod(self.shape), 1, True)}
        if isinstance(self.values, IntegersForm):
            kept = {"codes": Part(self.n_kept, self.values.bits, True), **self.values.shared}
            return mask | {f"integers.{name}": part for name, part in kept.items()}
        return mask | {f"values.{name}": part for name, part in self.values.parts.items()}

    def header(self) -> dict[str, Any]:
        """See `Encoding.header`."""
        is_whole = isinstance(self.values, IntegersForm)
        kind, values = ("sparse_integers", "integers") if is_whole else ("sparse", "values")
        return {"kind": kind, "shape": list(self.shape), values: self.values.header()}

    def with_float16(self) -> SparseForm:
        """See `Encoding.with_float16`."""
        return replace(self, values=self.values.with_float16())


Form = DenseForm | IntegersForm | CodebookForm | SparseForm


@lru_cache(maxsize=65_536)
def form_bytes(form: Form) -> int:
    """Bytes of all parts."""
    return sum(part.n_bytes for part in form.parts.values())


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The shape of an array as rows and all else."""
    return shape[0], prod(shape[1:])
