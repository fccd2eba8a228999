"""In words: what computes a weight once OpenVINO has loaded it."""

from __future__ import annotations

from collections.abc import Collection

from autocompress.encodings import GroupedIntegers
from autocompress.formats.openvino.stored_weight import StoredWeight
from autocompress.formats.openvino.weight_nodes import SIGNED, is_native


def words(weight: StoredWeight, readers: Collection[str], activations: str) -> str:
    """What computes a coded weight; ``readers`` are node types, ``activations`` what integers are multiplied with."""
    form = weight.runtime_form
    stored = weight.encoding.words
    if isinstance(form, GroupedIntegers) and is_native(form):
        kept = stored if weight.is_native else f"{stored} unpacked to int{form.bits} at load"
        if "MatMul" in readers:
            return f"{kept} × {activations} activations, FullyConnected"
        if set(readers) == {"Gather"} and form.bits in SIGNED:
            return f"{kept}, Gather"
    return f"{stored}, float after unpacking at load"
