"""How large a checkpoint for other software will be."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from autocompress.encodings import IntegersForm, SparseForm
from autocompress.formats.checkpoints.checkpoint_format import is_packed
from autocompress.formats.foresight import Entry, FileSize, safetensors_bytes

if TYPE_CHECKING:
    from collections.abc import Collection

    from autocompress.outline import Outline, WeightGroup

SETTINGS_BYTES = 400
"""What readers look for in the configuration, and in a file of their own."""
HALF_BYTES, WORD_BYTES = 2, 4


def foreseen_size(outline: Outline, parts: Collection[str]) -> FileSize:
    """Bytes of weights and settings, and by how much they may be off.

    Args:
        outline: the model's shapes.
        parts: names of the tensors that stand for a packed layer.
    """
    entries: list[Entry] = []
    for group in outline.weights:
        form = group.form.values if isinstance(group.form, SparseForm) else group.form
        if isinstance(form, IntegersForm) and is_packed(group.fact):
            entries += _packed(group, form, parts)
        else:
            shape = (group.fact.out_features, group.fact.in_features)
            entries.append(Entry(group.count, group.name_bytes, shape, group.fact.n_elements * HALF_BYTES))
    for tensor in outline.tensors:
        itemsize = HALF_BYTES if tensor.is_float else tensor.itemsize
        entries.append(Entry(tensor.count, tensor.name_bytes, (tensor.n_elements,), tensor.n_elements * itemsize))
    settings = outline.facts.settings_bytes + SETTINGS_BYTES
    return FileSize(safetensors_bytes(entries) + settings, outline.error)


def _packed(group: WeightGroup, form: IntegersForm, parts: Collection[str]) -> list[Entry]:
    rows, columns = group.fact.out_features, group.fact.in_features
    sizes = {
        "qweight": ceil(rows * columns * form.bits / 32) * WORD_BYTES,
        "qzeros": form.n_groups * ceil(rows * form.bits / 32) * WORD_BYTES,
        "scales": form.n_groups * rows * HALF_BYTES,
        "g_idx": columns * WORD_BYTES,
    }
    layer_bytes = group.name_bytes - len(".weight")
    return [Entry(group.count, layer_bytes + 1 + len(part), (columns, rows), sizes[part]) for part in parts]
