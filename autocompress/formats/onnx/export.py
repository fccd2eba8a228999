"""A compressed model into the files to deploy: template, weights, precision, integer arithmetic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from autocompress.encodings import Dense, FloatArray
from autocompress.formats.onnx.exporter import GENERATING_TASKS, generation_settings
from autocompress.formats.onnx.graph_editor import GraphEditor
from autocompress.formats.onnx.half_precision import to_float16
from autocompress.formats.onnx.int8_dynamic import quantize_dynamic
from autocompress.formats.onnx.int8_static import quantize_static
from autocompress.formats.onnx.integer_storage import CodedWeight, coded_weights
from autocompress.formats.onnx.packing import write_weight
from autocompress.formats.onnx.runner import DECODER
from autocompress.formats.onnx.smoothing import divide_inputs, is_smoothable
from autocompress.formats.onnx.template import PARTS, Place, Template, float_template, matrix_of, with_part

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, StepContext, Weight
    from autocompress.recipe import Step


def export(model: CompressibleModel, folder: Path, context: StepContext) -> str:
    """Write the graphs of ``model`` into ``folder``; gives in words what computes the weights."""
    template = float_template(model, context)
    folder.mkdir(parents=True, exist_ok=True)
    words: dict[str, None] = {}
    for source in sorted(template.folder.glob("*.onnx")):
        if model.activation_step is None:
            editor, kernels = _with_weights(model, template, source)
        else:
            editor, kernels = _with_integer_kernels(model, template, source, model.activation_step, context)
        words |= dict.fromkeys(with_part(kernels, model, source.name))
        editor.save(folder / source.name)
    if context.task in GENERATING_TASKS:
        settings = json.dumps(generation_settings(model.module).plain(), indent=1)
        (folder / "generation.json").write_text(settings + "\n", encoding="utf-8")
    return "; ".join(words)


def _with_weights(model: CompressibleModel, template: Template, source: Path) -> tuple[GraphEditor, list[str]]:
    """One graph of the template with the model's own weights in it, and what computes them, encoded ones first."""
    proto = onnx.load(source)
    if model.precision_of(PARTS[source.name]) == "float16":
        proto = to_float16(proto)
    editor = GraphEditor(proto)
    packed: dict[str, None] = {}
    plain: dict[str, None] = {}
    for weight, places in _placed(model, template, source):
        encoding = model.encodings.get(weight.name) or Dense(matrix_of(weight))
        words = write_weight(editor, encoding, places, weight.name)
        (plain if isinstance(encoding, Dense) else packed)[words] = None
    return editor, list(packed or plain)


def _with_integer_kernels(
    model: CompressibleModel, template: Template, source: Path, step: Step, context: StepContext
) -> tuple[GraphEditor, list[str]]:
    """One graph with int8 kernels: codes are made of the decoded values, and stored as an earlier step coded them."""
    editor = GraphEditor(onnx.load(source))
    coded: dict[str, CodedWeight] = {}
    in_float: dict[str, CodedWeight] = {}  # the same of layers that stay in float
    factors: dict[str, FloatArray] = {}
    for weight, places in _placed(model, template, source):
        matrix, encoding = matrix_of(weight), model.encodings.get(weight.name)
        smoothing = None if weight.name in model.float_layers else model.smoothing.get(weight.name)
        if smoothing is not None and is_smoothable(editor, places):
            factors[places[0].initializer] = smoothing
            matrix = matrix * smoothing
        write_weight(editor, Dense(matrix), places, weight.name)
        by_initializer = coded_weights(
            weight.name, encoding or Dense(matrix), places, factors.get(places[0].initializer)
        )
        if weight.name in model.float_layers:
            in_float |= by_initializer
        elif encoding is not None:
            coded |= by_initializer
    divide_inputs(editor, factors)
    if step.tag == "int8_dynamic" or source.name == DECODER:
        per_channel = bool(getattr(step, "per_channel", False))
        words = quantize_dynamic(editor, per_channel=per_channel, coded=coded, in_float=in_float.keys())
    else:
        samples = list(context.calibration())[: getattr(step, "n_calibration_samples", None)]
        editor, words = quantize_static(editor, step, samples, coded, in_float.keys())
    for kept in in_float.values():
        if len(kept.places) == 1:
            write_weight(editor, kept.encoding, kept.places, kept.name)
    n_float = len({kept.name for kept in in_float.values()})
    return editor, [*words, *([f"layers in float: {n_float}"] if n_float else [])]


def _placed(model: CompressibleModel, template: Template, source: Path) -> Iterator[tuple[Weight, list[Place]]]:
    """The weights that stand in one graph, with their places there."""
    for weight in model.weights():
        places = [place for place in template.places.get(weight.name, ()) if place.graph == source.name]
        if places:
            yield weight, places
