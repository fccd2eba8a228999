"""A compressed model into the files to deploy: template, weights, precision, integer arithmetic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from autocompress.encodings import Dense
from autocompress.errors import Unsupported
from autocompress.formats.onnx.exporter import GENERATING_TASKS, generation_settings
from autocompress.formats.onnx.graph_editor import GraphEditor
from autocompress.formats.onnx.half_precision import to_float16
from autocompress.formats.onnx.int8_dynamic import quantize_dynamic
from autocompress.formats.onnx.int8_static import quantize_static
from autocompress.formats.onnx.integer_storage import CodedWeight, coded_weights
from autocompress.formats.onnx.packing import write_weight
from autocompress.formats.onnx.template import Place, Template, float_template, matrix_of

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
        words |= dict.fromkeys(kernels)
        editor.save(folder / source.name)
    if context.task in GENERATING_TASKS:
        settings = json.dumps(generation_settings(model.module).plain(), indent=1)
        (folder / "generation.json").write_text(settings + "\n", encoding="utf-8")
    return "; ".join(words)


def _with_weights(model: CompressibleModel, template: Template, source: Path) -> tuple[GraphEditor, list[str]]:
    """One graph of the template with the model's own weights in it, and what computes them, encoded ones first."""
    proto = onnx.load(source)
    if model.precision == "float16":
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
    for weight, places in _placed(model, template, source):
        write_weight(editor, Dense(matrix_of(weight)), places, weight.name)
        if weight.name in model.encodings:
            coded |= coded_weights(weight.name, model.encodings[weight.name], places)
    if step.tag == "int8_dynamic":
        return editor, quantize_dynamic(editor, per_channel=bool(getattr(step, "per_channel", False)), coded=coded)
    if context.task == "speech-seq2seq":
        raise Unsupported(
            "static int8 of an encoder-decoder would need calibrated decoding", remedy="Use int8_dynamic."
        )
    samples = list(context.calibration())[: getattr(step, "n_calibration_samples", None)]
    return quantize_static(editor, step, samples, coded)


def _placed(model: CompressibleModel, template: Template, source: Path) -> Iterator[tuple[Weight, list[Place]]]:
    """The weights that stand in one graph, with their places there."""
    for weight in model.weights():
        places = [place for place in template.places.get(weight.name, ()) if place.graph == source.name]
        if places:
            yield weight, places
