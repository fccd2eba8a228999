"""A compressed model into the files to deploy: float graph, weights, precision, integer arithmetic."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import openvino as ov

from autocompress.encodings import Dense, GroupedIntegers
from autocompress.formats.onnx.exporter import GENERATING_TASKS, generation_settings
from autocompress.formats.onnx.graph_runner import GENERATION
from autocompress.formats.onnx.template import PARTS, Template, float_template, matrix_of, with_part
from autocompress.formats.openvino.half_precision import store_half
from autocompress.formats.openvino.int8_static import quantize_static
from autocompress.formats.openvino.open_graph import OpenGraph
from autocompress.formats.openvino.precision import HINT, can_compute_in
from autocompress.formats.openvino.serialization import save
from autocompress.formats.openvino.stored_weight import StoredWeight, write_packed
from autocompress.formats.openvino.weight_nodes import for_runtime, int8_rows, is_native
from autocompress.formats.openvino.weight_writer import readers, write_weight
from autocompress.formats.openvino.words import words

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, Precision, StepContext, Weight
    from autocompress.recipe import Step

ACTIVATION_GROUP = 32
"""Activations share a scale in runs of this length: what the kernels take with weights in groups of any usual size."""
HALF = {"float16": ov.Type.f16, "bfloat16": ov.Type.bf16}


def export(model: CompressibleModel, folder: Path, context: StepContext) -> str:
    """Write the graphs of ``model`` into ``folder``; gives in words what computes the weights."""
    template = float_template(model, context)
    folder.mkdir(parents=True, exist_ok=True)
    packed: dict[str, StoredWeight] = {}
    told: dict[str, None] = {}
    for source in sorted(template.folder.glob("*.onnx")):
        precision = model.precision_of(PARTS[source.name])
        filled = _with_weights(model, template, source)
        graph = filled.graph
        if model.activation_step is not None and model.activation_step.tag == "int8_static":
            graph = _with_integer_kernels(filled, model.activation_step, context)
        elif precision != "float32":
            store_half(graph, HALF[precision])
        save(graph, folder / f"{source.stem}.xml", _options(model, precision))
        packed |= filled.packed
        told |= dict.fromkeys(with_part(filled.words, model, source.name))
    write_packed(packed, folder)
    if context.task in GENERATING_TASKS:
        settings = json.dumps(generation_settings(model.module).plain(), indent=1)
        (folder / GENERATION).write_text(settings + "\n", encoding="utf-8")
    return "; ".join(told)


@dataclass(frozen=True)
class FilledGraph:
    """One graph with the model's own weights in it.

    Attributes:
        graph: OpenVINO's model.
        packed: the weights that are kept beside it.
        in_float: names of the nodes whose layers are to compute in float.
        words: what computes the weights.
    """

    graph: ov.Model
    packed: dict[str, StoredWeight]
    in_float: tuple[str, ...]
    words: tuple[str, ...]


def _with_weights(model: CompressibleModel, template: Template, source: Path) -> FilledGraph:
    found = {
        name: [place for place in places if place.graph == source.name] for name, places in template.places.items()
    }
    graph = OpenGraph(source, {place.initializer for places in found.values() for place in places})
    stored: dict[str, StoredWeight] = {}
    told: dict[str, None] = {}
    in_float: list[str] = []
    activations = "int8" if _is(model.activation_step, "int8_dynamic") else "float"
    for weight in model.weights():
        places = found.get(weight.name)
        if not places:
            continue
        read_by = readers(graph, places)
        if weight.name in model.float_layers:
            in_float += [node.get_friendly_name() for node in read_by]
        written = write_weight(graph, _stored(model, weight), places, weight.name)
        stored[weight.name] = written
        if not isinstance(written.encoding, Dense):
            told[words(written, {node.get_type_name() for node in read_by}, activations)] = None
    return FilledGraph(
        graph.model,
        {name: weight for name, weight in stored.items() if not weight.is_native},
        tuple(in_float),
        _words(model, model.precision_of(PARTS[source.name]), told, len(in_float)),
    )


def _words(model: CompressibleModel, precision: Precision, coded: Collection[str], n_float: int) -> tuple[str, ...]:
    if _is(model.activation_step, "int8_static"):
        return ("int8 (static, NNCF)", *([f"layers in float: {n_float}"] if n_float else []))
    if coded:
        return tuple(coded)
    if precision == "float32" or can_compute_in(HINT[precision]):
        return (precision,)
    return (f"{precision} widened to float32 at load",)


def _stored(model: CompressibleModel, weight: Weight) -> StoredWeight:
    """How a weight is stored: by its encoding; where activations become int8 at run time, as integers in any case."""
    if _is(model.activation_step, "int8_static"):
        return StoredWeight(Dense(matrix_of(weight)))
    encoding = model.encodings.get(weight.name) or Dense(matrix_of(weight))
    form = for_runtime(encoding)
    if not _is(model.activation_step, "int8_dynamic") or (isinstance(form, GroupedIntegers) and is_native(form)):
        return StoredWeight(encoding)
    per_channel = bool(getattr(model.activation_step, "per_channel", False))
    if isinstance(encoding, Dense):
        return StoredWeight(int8_rows(encoding.decode(), per_channel))
    if weight.kind == "convolution":  # no kernel takes its integers
        return StoredWeight(encoding)
    return StoredWeight(encoding, int8="row" if per_channel else "whole")


def _with_integer_kernels(filled: FilledGraph, step: Step, context: StepContext) -> ov.Model:
    samples = list(context.calibration())[: getattr(step, "n_calibration_samples", None)]
    is_transformer = context.facts.share("linear") > context.facts.share("convolution")
    return quantize_static(filled.graph, step, samples, is_transformer, filled.in_float)


def _options(model: CompressibleModel, precision: Precision) -> dict[str, str]:
    group = ACTIVATION_GROUP if _is(model.activation_step, "int8_dynamic") else 0
    return {"DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group), "INFERENCE_PRECISION_HINT": HINT[precision]}


def _is(step: Step | None, tag: str) -> bool:
    return step is not None and step.tag == tag
