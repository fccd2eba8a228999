"""How large the ONNX files of a model of given shapes will be; nothing of ONNX is loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autocompress.encodings import CodebookForm, DenseForm, Form, IntegersForm, SparseForm, form_bytes
from autocompress.encodings.forms import FLOAT32_BYTES
from autocompress.formats.foresight import FileSize, GraphShape, graph_shape, has_zero_points
from autocompress.formats.onnx.kernels import kernels_take

if TYPE_CHECKING:
    from autocompress.outline import Outline, TensorGroup, WeightGroup

FEWEST_ELEMENTS = 1024
"""Smaller tables are not worth the nodes of int8 kernels."""
SMALLEST_SAVING_BYTES = 1000
"""Less than this is not worth the nodes that make integers out of fewer bits."""
FACTOR_BYTES = 4
"""Of a row's factor, where a batch norm was folded into a weight that is decoded at load."""
STATIC_ROW_BYTES = 5
"""Scale and zero point of a row."""
STATIC_NORMED_BYTES = 8
"""A convolution's bias as integers, and the scale of each."""

# Bytes of nodes, names and small constants, found by least squares on what the exporter and the kernels' writers gave
# for the seven models at hand and for small ones of nine architectures.
FLOAT_GRAPH: dict[str, float] = {
    "embeddings": 3262.3,
    "kernels": 585.0,
    "attentions": 4960.8,
    "norms": 1716.7,
    "root_mean_squares": 7564.2,
    "tables": 1198.0,
}
DYNAMIC: dict[str, float] = {
    "graphs": 478.8,
    "linears": 219.3,
    "embeddings": 389.8,
    "attentions": 1230.1,
    "named_linears": 8.7,
    "named_kernels": 9.8,
}
STATIC: dict[str, float] = {
    "graphs": 736.9,
    "embeddings": 610.6,
    "kernels": 1622.1,
    "caches": 1621.6,
    "named_linears": 14.7,
    "named_kernels": 14.1,
    "named_attentions": 223.0,
}
CODED: dict[str, tuple[float, float]] = {
    "int8": (690.3, 3.5),
    "kernel": (225.8, 2.5),
    "lookup": (1069.6, 0.0),
    "sparse int8": (337.8, 2.6),
    "codebook": (25.5, 12.0),
    "integers in groups": (639.9, 8.6),
    "integers in rows": (0.0, 10.7),
    "sparse": (0.0, 22.7),
    "sparse kernel": (1049.8, 6.1),
}
ZERO_POINTS = 127.8


def foreseen_size(outline: Outline) -> FileSize:
    """Bytes of the graphs, and by how much they may be off."""
    values = sum(weight_bytes(outline, group) for group in outline.weights)
    values += sum(tensor_bytes(outline, group) for group in outline.tensors)
    return FileSize(values + graph_bytes(outline), outline.error)


def weight_bytes(outline: Outline, group: WeightGroup) -> float:
    """Bytes of what stands for the weights of a group, names and nodes not counted."""
    step = outline.activation_step
    dense = group.fact.n_elements * (2 if outline.is_half(group.part) else 4)
    if step is None:
        return group.count * (dense if isinstance(group.form, DenseForm) else _stored(group))
    in_float = dense if isinstance(group.form, DenseForm) else _stored(group)
    per_row = bool(getattr(step, "per_channel", False))
    integers = _integers(group, in_float, per_row=per_row, is_static=_is_static(outline, group.part))
    return (group.count - group.n_float) * integers + group.n_float * in_float


def tensor_bytes(outline: Outline, group: TensorGroup) -> float:
    """Bytes of the tensors of a group that are in the graph."""
    if not group.is_float or group.kind == "factor":
        return 0.0
    n_values = group.n_elements * group.count
    if group.kind == "batch norm":  # of a norm's four vectors only a bias is left
        n_values = n_values / 4 if group.n_elements > 1 else 0.0
    if group.kind == "kernel" and outline.activation_step is not None:
        return n_values
    if group.kind == "batch norm" and _is_static(outline, group.part):
        return n_values * STATIC_NORMED_BYTES
    return n_values * (2 if outline.is_half(group.part) else 4)


def graph_bytes(outline: Outline) -> float:
    """Bytes of all else: nodes, names, shapes, small constants."""
    shape = graph_shape(outline)
    total = shape.bytes_at(FLOAT_GRAPH)
    if outline.activation_step is not None:
        static, dynamic = _by_kernels(outline, shape)
        total += static.bytes_at(STATIC) + dynamic.bytes_at(DYNAMIC)
    for group in outline.weights:
        if not isinstance(group.form, DenseForm):
            fixed, named = CODED[coded_kind(outline, group)]
            total += group.count * (fixed + named * group.name_bytes + ZERO_POINTS * has_zero_points(group.form))
    return total


def coded_kind(outline: Outline, group: WeightGroup) -> str:
    """What kind of nodes coded weights take, beside those of the graph that holds them as floats or int8."""
    form = group.form
    is_sparse = isinstance(form, SparseForm)
    values = form.values if isinstance(form, SparseForm) else form
    if outline.activation_step is not None and group.fact.kind != "embedding":
        return "sparse int8" if is_sparse else "int8"
    if isinstance(values, IntegersForm) and _fits_kernels(group, values):
        return "sparse kernel" if is_sparse else "kernel"
    if group.fact.kind == "embedding":
        return "lookup"
    if is_sparse or isinstance(values, CodebookForm):
        return "sparse" if is_sparse else "codebook"
    return "integers in rows" if isinstance(values, IntegersForm) and values.n_groups == 1 else "integers in groups"


def _by_kernels(outline: Outline, shape: GraphShape) -> tuple[GraphShape, GraphShape]:
    """The graphs with static and with dynamic int8 kernels; a decoder has dynamic ones in any case."""
    none = graph_shape(replace(outline, weights=(), tensors=()))
    if getattr(outline.activation_step, "tag", "") != "int8_static":
        return none, shape
    if all(group.part == "model" for group in outline.weights):
        return shape, none
    encoder = replace(
        outline,
        weights=tuple(group for group in outline.weights if group.part == "encoder"),
        tensors=tuple(group for group in outline.tensors if group.part == "encoder"),
    )
    decoder = replace(
        outline,
        weights=tuple(group for group in outline.weights if group.part != "encoder"),
        tensors=tuple(group for group in outline.tensors if group.part != "encoder"),
    )
    return graph_shape(encoder), graph_shape(decoder)


def _is_static(outline: Outline, part: str) -> bool:
    return getattr(outline.activation_step, "tag", "") == "int8_static" and part != "decoder"


def _fits_kernels(group: WeightGroup, form: IntegersForm) -> bool:
    if group.fact.kind == "convolution" or not kernels_take(round(form.bits), form.group_size, form.n_groups):
        return False
    whole = group.fact.in_features % form.group_size == 0 and not form.input_scale_bytes
    return whole or group.fact.kind == "linear"


def _stored(group: WeightGroup) -> float:
    """Bytes of one coded weight that kernels multiply with, or that is decoded at load."""
    form = group.form
    if isinstance(form, IntegersForm):
        is_padded = _fits_kernels(group, form) or form.n_groups > 1
        padded = form.n_groups * form.group_size if is_padded else group.fact.in_features
        factors = FACTOR_BYTES * group.fact.out_features if group.is_normed else 0
        return form_bytes(form) + group.fact.out_features * (padded - group.fact.in_features) * form.bits / 8 + factors
    return form_bytes(form) + (FACTOR_BYTES * group.fact.out_features if group.is_normed else 0)


def _integers(group: WeightGroup, in_float: float, *, per_row: bool, is_static: bool) -> float:
    """Bytes of one weight for int8 kernels."""
    n_elements, rows = group.fact.n_elements, group.fact.out_features
    is_multiplied = group.fact.kind == "linear" or (is_static and group.fact.kind == "convolution")
    is_added = group.fact.kind == "embedding" and group.part == "encoder"  # positions, not looked up
    if is_added or (is_static and group.fact.is_shared):  # the quantizer leaves what is looked up as well as multiplied
        return n_elements * FLOAT32_BYTES
    if n_elements < FEWEST_ELEMENTS and not (is_static and is_multiplied):
        return in_float
    scales = rows if per_row or not is_multiplied else 1
    shared = scales * (STATIC_ROW_BYTES if is_static and is_multiplied else 4)
    coded = _coded_bytes(group.form)
    if coded is None or coded + SMALLEST_SAVING_BYTES >= n_elements:
        return n_elements + shared
    keeps = not is_multiplied  # looked up or convolved as it is coded, without int8
    return coded if keeps else coded + shared


def _coded_bytes(form: Form) -> float | None:
    if isinstance(form, SparseForm) and isinstance(form.values, DenseForm):  # kept codes of int8 among zeros
        return form.n_kept + form.shape[0] * form.shape[1] / 8
    return None if isinstance(form, DenseForm) else form_bytes(form)
