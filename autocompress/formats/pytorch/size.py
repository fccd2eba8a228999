"""How large the files of the PyTorch format will be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocompress.encodings import DenseForm
from autocompress.encodings.expectation import expected_part_bytes
from autocompress.formats.foresight import Entry, FileSize, entry_bytes, part_entries, safetensors_bytes
from autocompress.outline import EXPECTED_ERROR, itemsize_of

if TYPE_CHECKING:
    from autocompress.outline import Outline, TensorGroup, WeightGroup

MANIFEST_BYTES = 98
"""Of a manifest that lists nothing."""
RESIZED_BYTES = 75
"""What a manifest says of a module of another size, its path not counted."""
LISTED_BYTES = len('".indices",')


def foreseen_size(outline: Outline, is_original: bool) -> FileSize:
    """Bytes of weights, settings and manifest, and by how much they may be off.

    Args:
        outline: the model's shapes.
        is_original: whether it is stored as it is, in the types that it has.
    """
    coded = [group for group in outline.weights if group.is_coded]
    dense = [group for group in outline.weights if not group.is_coded]
    entries = [Entry(g.count, g.name_bytes, g.form.shape, _dense_bytes(outline, g, is_original)) for g in dense]
    entries += [_tensor_entry(outline, group, is_original) for group in outline.tensors]
    for group in coded:
        entries += part_entries(group, {name: expected_part_bytes(group.form, name) for name in group.form.parts})
    named = sum(entry_bytes(group, {"shape": list(group.form.shape)}) for group in coded)
    listed = sum(group.count * (group.name_bytes + LISTED_BYTES) for group in coded)
    resized = outline.in_manifest * (RESIZED_BYTES + _mean_name_bytes(outline))
    has_manifest = coded or outline.in_manifest or outline.facts.task == "own" or outline.half_part != "model"
    manifest = MANIFEST_BYTES + named + listed + resized if has_manifest else 0
    n_bytes = safetensors_bytes(entries) + outline.facts.settings_bytes + manifest
    return FileSize(n_bytes, max(outline.error, EXPECTED_ERROR) if coded else outline.error)


def _dense_bytes(outline: Outline, group: WeightGroup, is_original: bool) -> float:
    assert isinstance(group.form, DenseForm)
    if is_original:
        return group.fact.n_elements * itemsize_of(outline.facts.dtype)
    return group.fact.n_elements * (2 if outline.is_half(group.part) else group.form.itemsize)


def _tensor_entry(outline: Outline, group: TensorGroup, is_original: bool) -> Entry:
    itemsize = group.itemsize
    if group.is_float and not is_original:
        itemsize = 2 if outline.is_half(group.part) else 4
    return Entry(group.count, group.name_bytes, (group.n_elements,), group.n_elements * itemsize)


def _mean_name_bytes(outline: Outline) -> float:
    count = sum(group.count for group in outline.weights)
    return sum(group.count * group.name_bytes for group in outline.weights) / max(count, 1)
