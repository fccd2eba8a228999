"""How large the OpenVINO files of a model of given shapes will be; nothing of OpenVINO is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocompress.encodings import CodebookForm, DenseForm, Form, IntegersForm, SparseForm, form_bytes
from autocompress.formats.foresight import (
    FileSize,
    entry_bytes,
    graph_shape,
    has_zero_points,
    part_entries,
    safetensors_bytes,
)
from autocompress.formats.openvino.native_types import is_foldable, is_native_integers

if TYPE_CHECKING:
    from autocompress.outline import Outline, TensorGroup, WeightGroup

INT8_SCALE_BYTES = 4
FEWEST_HALF = 64
"""Shorter constants stay float32."""

# Bytes of the graphs' XML and of small constants, found as `onnx.size.FLOAT_GRAPH` was.
FLOAT_GRAPH: dict[str, float] = {
    "graphs": 1037.0,
    "embeddings": 8820.6,
    "kernels": 2394.9,
    "attentions": 17342.7,
    "norms": 2428.2,
    "root_mean_squares": 16846.8,
    "tables": 1830.4,
}
STATIC: dict[str, float] = {
    "graphs": 3027.2,
    "embeddings": 3977.9,
    "kernels": 3357.6,
    "attentions": 15450.7,
    "root_mean_squares": 4048.4,
}
CODED: dict[str, float] = {
    "codebook kernel": 3178.2,
    "codebook matrix": 2626.8,
    "int8 kernel": 2741.9,
    "int8 matrix": 1501.3,
    "integers in groups kernel": 3138.7,
    "integers in groups matrix": 2629.3,
    "integers in rows kernel": 2240.9,
    "integers in rows matrix": 1504.2,
    "packed kernel": 1461.9,
    "packed matrix": 527.6,
}
ZERO_POINTS = 1073.2


def foreseen_size(outline: Outline) -> FileSize:
    """Bytes of graphs, weights and packed weights, and by how much they may be off."""
    values = sum(weight_bytes(outline, group) for group in outline.weights)
    values += sum(_tensor_bytes(outline, group) for group in outline.tensors)
    return FileSize(values + packed_bytes(outline) + graph_bytes(outline), outline.error)


def weight_bytes(outline: Outline, group: WeightGroup) -> float:
    """Bytes of a group's weights that stand in the graph."""
    step, n_elements = outline.activation_step, group.fact.n_elements
    kind = coded_kind(outline, group)
    if kind == "packed":
        return 0.0
    dense = n_elements * (2 if outline.is_half(group.part) else 4)
    if kind == "float":
        return group.count * dense
    factors = 4 * group.fact.out_features if group.is_normed and step is None else 0
    stored = form_bytes(group.form)
    if kind == "int8":
        stored = n_elements + INT8_SCALE_BYTES * group.fact.out_features
    return (group.count - group.n_float) * (stored + factors) + group.n_float * dense


def packed_bytes(outline: Outline) -> float:
    """Bytes of the file with the weights that only our loader decodes."""
    packed = [group for group in outline.weights if coded_kind(outline, group) == "packed"]
    if not packed:
        return 0.0
    parts = (
        entry
        for group in packed
        for entry in part_entries(group, {name: part.n_bytes for name, part in group.form.parts.items()})
    )
    return safetensors_bytes(parts) + sum(entry_bytes(group, {"int8": None}) for group in packed) * ESCAPED


ESCAPED = 1.2
"""A manifest inside a file's metadata has its quotes escaped."""


def graph_bytes(outline: Outline) -> float:
    """Bytes of the XML and of small constants."""
    shape = graph_shape(outline)
    total = shape.bytes_at(FLOAT_GRAPH)
    if getattr(outline.activation_step, "tag", "") == "int8_static":
        return total + shape.bytes_at(STATIC)
    return total + sum(
        group.count
        * (CODED[f"{coded_kind(outline, group)} {_reader(group)}"] + ZERO_POINTS * has_zero_points(group.form))
        for group in outline.weights
        if coded_kind(outline, group) != "float"
    )


def coded_kind(outline: Outline, group: WeightGroup) -> str:
    """How the weights of a group stand in the graph: float, integers, codebook, int8, or packed beside it."""
    tag = getattr(outline.activation_step, "tag", "")
    form: Form = group.form
    if tag == "int8_static" or (tag == "int8_dynamic" and isinstance(form, DenseForm)):
        is_left = tag == "int8_static" and group.fact.is_shared  # looked up as well as multiplied
        return "float" if is_left else "int8"
    if isinstance(form, DenseForm):
        return "float"
    if isinstance(form, IntegersForm):
        whole = form.n_groups * form.group_size == form.shape[1]
        inputs = form.input_scale_bytes and group.fact.kind != "linear"
        if inputs or not is_native_integers(form.bits, form.n_groups, whole):
            return "packed"
        return "integers in rows" if form.n_groups == 1 else "integers in groups"
    if isinstance(form, CodebookForm) and tag != "int8_dynamic" and is_foldable(form.bits, form.group_size, form.shape):
        return "codebook"
    assert isinstance(form, CodebookForm | SparseForm)
    return "packed"


def _reader(group: WeightGroup) -> str:
    return "kernel" if group.fact.kind == "convolution" else "matrix"


def _tensor_bytes(outline: Outline, group: TensorGroup) -> float:
    if not group.is_float or group.kind == "factor":
        return 0.0
    n_values = group.n_elements * group.count
    if group.kind == "batch norm":  # of a norm's four vectors only a bias is left
        n_values = n_values / 4 if group.n_elements > 1 else 0.0
    if group.kind == "kernel" and getattr(outline.activation_step, "tag", "") == "int8_static":
        return n_values
    return n_values * (2 if outline.is_half(group.part) and group.n_elements >= FEWEST_HALF else 4)
