"""What formats share that foretell how large their files will be."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING

from autocompress.encodings import Form, IntegersForm, SparseForm

if TYPE_CHECKING:
    from autocompress.outline import Outline, WeightGroup


@dataclass(frozen=True)
class FileSize:
    """Bytes of the files of an artifact, foretold.

    Attributes:
        n_bytes: of all files.
        error: by how much they may be off, as a share of them; infinite where nothing is known. Where not even that is
            sure, by how much they may be smaller: what is refused as too large is so.
    """

    n_bytes: float
    error: float


ENTRY_BYTES = len('"":{"dtype":"F32","shape":[,],"data_offsets":[,]},')
NEAR_ALL_DIGITS = 0.9
"""An offset has nearly as many digits as the last one."""


@dataclass(frozen=True)
class Entry:
    """So many tensors of a safetensors file that are alike; ``name_bytes`` is their names' mean length."""

    count: float
    name_bytes: float
    shape: tuple[int, ...]
    n_bytes: float


def safetensors_bytes(entries: Iterable[Entry]) -> float:
    """Bytes of a safetensors file: values, and a header that names every tensor with its shape and place."""
    listed = list(entries)
    values = sum(entry.count * entry.n_bytes for entry in listed)
    digits = 2 * (NEAR_ALL_DIGITS + log10(max(values, 1)))
    named = (
        entry.count * (ENTRY_BYTES - 1 + entry.name_bytes + len(",".join(map(str, entry.shape))) + digits)
        for entry in listed
    )
    return values + sum(named) + 40  # the header's length and the metadata


def entry_bytes(group: WeightGroup, header: dict[str, object]) -> float:
    """Bytes of what a manifest says of the weights of a group."""
    plain = json.dumps({"": {"encoding": group.form.header(), **header}}, separators=(",", ":"), sort_keys=True)
    return group.count * (len(plain) - 1 + group.name_bytes)


def part_entries(group: WeightGroup, part_bytes: dict[str, float]) -> list[Entry]:
    """The tensors that stand for coded weights."""
    return [
        Entry(group.count, group.name_bytes + 1 + len(name), (part.n_values,), part_bytes[name])
        for name, part in group.form.parts.items()
    ]


@dataclass(frozen=True)
class GraphShape:
    """What a runtime's graph of a model is made of, as counts and, by ``named``, counts times the names' lengths.

    Attributes:
        graphs: the model's parts that are graphs of their own.
        linears, embeddings, kernels: weights of each kind.
        attentions, caches: attention blocks, and those with a cache of keys and values.
        norms, root_mean_squares: of each kind.
        tables: other tensors.
    """

    graphs: float
    linears: float
    embeddings: float
    kernels: float
    attentions: float
    caches: float
    norms: float
    root_mean_squares: float
    tables: float
    named_linears: float
    named_kernels: float
    named_attentions: float

    def bytes_at(self, rates: dict[str, float]) -> float:
        """Bytes where each takes so many."""
        return sum(rate * float(getattr(self, name)) for name, rate in rates.items())


def graph_shape(outline: Outline) -> GraphShape:
    """Counts over a model's groups."""

    def linears(group: WeightGroup) -> bool:
        return group.fact.kind == "linear"

    weights, tensors = outline.weights, outline.tensors
    kernels = [group for group in weights if group.fact.kind == "convolution"]
    blocks = [group for group in weights if group.role == "heads out"]
    decodes = outline.facts.decodes
    return GraphShape(
        graphs=len({group.part for group in weights}),
        linears=sum(group.count for group in weights if linears(group)),
        embeddings=sum(group.count for group in weights if group.fact.kind == "embedding"),
        kernels=sum(group.count for group in kernels) + sum(one.count for one in tensors if one.kind == "kernel"),
        attentions=sum(group.count for group in blocks),
        caches=sum(group.count for group in blocks if decodes and group.part != "encoder"),
        norms=sum(one.count for one in tensors if one.kind == "norm"),
        root_mean_squares=sum(one.count for one in tensors if one.kind == "root mean square norm"),
        tables=sum(one.count for one in tensors if one.kind == "table"),
        named_linears=sum(group.count * group.name_bytes for group in weights if linears(group)),
        named_kernels=sum(group.count * group.name_bytes for group in kernels),
        named_attentions=sum(group.count * group.name_bytes for group in blocks),
    )


def has_zero_points(form: Form) -> bool:
    """Whether integers are stored with zero points."""
    values = form.values if isinstance(form, SparseForm) else form
    return isinstance(values, IntegersForm) and values.has_zero_points
