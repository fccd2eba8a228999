"""A compressed model into the files to deploy: float graph, weights, precision, integer arithmetic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import openvino as ov

from autocompress.encodings import Dense, GroupedIntegers
from autocompress.formats.onnx.exporter import GENERATING_TASKS, generation_settings
from autocompress.formats.onnx.graph_runner import GENERATION
from autocompress.formats.onnx.template import Template, float_template, matrix_of
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
    from autocompress.compressible import CompressibleModel, StepContext, Weight
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
        graph, kernels, out_of_graph = _with_weights(model, template, source)
        result = graph.model
        if model.activation_step is not None and model.activation_step.tag == "int8_static":
            result = _with_integer_kernels(result, model.activation_step, context)
            kernels = {"int8 (static, NNCF)": None}
        elif model.precision != "float32":
            store_half(result, HALF[model.precision])
        save(result, folder / f"{source.stem}.xml", _options(model))
        packed |= out_of_graph
        told |= kernels
    write_packed(packed, folder)
    if context.task in GENERATING_TASKS:
        settings = json.dumps(generation_settings(model.module).plain(), indent=1)
        (folder / GENERATION).write_text(settings + "\n", encoding="utf-8")
    return "; ".join(told)


def _with_weights(
    model: CompressibleModel, template: Template, source: Path
) -> tuple[OpenGraph, dict[str, None], dict[str, StoredWeight]]:
    """One graph with the model's own weights in it, what computes them, and those that are kept beside it."""
    found = {
        name: [place for place in places if place.graph == source.name] for name, places in template.places.items()
    }
    graph = OpenGraph(source, {place.initializer for places in found.values() for place in places})
    coded: dict[str, None] = {}
    plain: dict[str, None] = {}
    packed: dict[str, StoredWeight] = {}
    activations = "int8" if _is(model.activation_step, "int8_dynamic") else "float"
    for weight in model.weights():
        places = found.get(weight.name)
        if not places:
            continue
        read_by = readers(graph, places)
        stored = write_weight(graph, _stored(model, weight), places, weight.name)
        if not stored.is_native:
            packed[weight.name] = stored
        told = words(stored, read_by, activations)
        (plain if isinstance(stored.encoding, Dense) else coded)[told] = None
    if plain and model.precision != "float32":
        plain = {_half_words(model.precision): None}
    return graph, coded or plain, packed


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


def _with_integer_kernels(graph: ov.Model, step: Step, context: StepContext) -> ov.Model:
    samples = list(context.calibration())[: getattr(step, "n_calibration_samples", None)]
    is_transformer = context.facts.share("linear") > context.facts.share("convolution")
    return quantize_static(graph, step, samples, is_transformer)


def _options(model: CompressibleModel) -> dict[str, str]:
    group = ACTIVATION_GROUP if _is(model.activation_step, "int8_dynamic") else 0
    return {"DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group), "INFERENCE_PRECISION_HINT": HINT[model.precision]}


def _half_words(precision: str) -> str:
    computed = can_compute_in(ov.Core(), HINT[precision])
    return precision if computed else f"{precision} widened to float32 at load"


def _is(step: Step | None, tag: str) -> bool:
    return step is not None and step.tag == tag
