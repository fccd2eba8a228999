"""In words: what computes a weight once OpenVINO has loaded it."""

from __future__ import annotations

from collections.abc import Collection

from autocompress.encodings import Codebook, Dense, Encoding, GroupedIntegers, Sparse, SparseIntegers
from autocompress.formats.openvino.stored_weight import StoredWeight
from autocompress.formats.openvino.weight_nodes import SIGNED, is_native


def words(weight: StoredWeight, readers: Collection[str], activations: str) -> str:
    """What computes a coded weight; ``readers`` are node types, ``activations`` what integers are multiplied with."""
    form = weight.runtime_form
    stored = _described(weight.encoding)
    if isinstance(form, GroupedIntegers) and is_native(form):
        kept = stored if weight.is_native else f"{stored} unpacked to int{form.bits} at load"
        if "MatMul" in readers:
            return f"{kept} × {activations} activations, FullyConnected"
        if set(readers) == {"Gather"} and form.bits in SIGNED:
            return f"{kept}, Gather"
    return f"{stored}, float after unpacking at load"


def _described(encoding: Encoding) -> str:
    if isinstance(encoding, GroupedIntegers):
        return f"int{encoding.bits} weights"
    if isinstance(encoding, Codebook):
        return f"{encoding.bits}-bit codebook indices"
    if isinstance(encoding, Sparse):
        return f"bit mask and kept values as {_described(encoding.values)}"
    if isinstance(encoding, SparseIntegers):
        return f"bit mask and kept values as {_described(encoding.integers)}"
    return "plain floats" if isinstance(encoding, Dense) else f"{encoding.kind} weights"
