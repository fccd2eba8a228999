"""A compressed model into the files to deploy: template, weights, precision, integer arithmetic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from autocompress.encodings import Dense
from autocompress.formats.onnx.exporter import GENERATING_TASKS, generation_settings
from autocompress.formats.onnx.graph_editor import GraphEditor
from autocompress.formats.onnx.half_precision import to_float16
from autocompress.formats.onnx.int8_dynamic import quantize_dynamic
from autocompress.formats.onnx.packing import write_weight
from autocompress.formats.onnx.template import Template, float_template, matrix_of

if TYPE_CHECKING:
    from autocompress.compressible import CompressibleModel, StepContext


def export(model: CompressibleModel, folder: Path, context: StepContext) -> str:
    """Write the graphs of ``model`` into ``folder``; gives in words what computes the weights."""
    template = float_template(model, context)
    folder.mkdir(parents=True, exist_ok=True)
    words: dict[str, None] = {}
    for source in sorted(template.folder.glob("*.onnx")):
        editor, kernels = _with_weights(model, template, source)
        words |= dict.fromkeys(kernels)
        step = model.activation_step
        if step is not None and step.tag == "int8_dynamic":
            words = {quantize_dynamic(editor, per_channel=bool(getattr(step, "per_channel", True))): None}
        editor.save(folder / source.name)
    if context.task in GENERATING_TASKS:
        settings = json.dumps(generation_settings(model.module).plain(), indent=1)
        (folder / "generation.json").write_text(settings + "\n", encoding="utf-8")
    return "; ".join(words)


def _with_weights(model: CompressibleModel, template: Template, source: Path) -> tuple[GraphEditor, list[str]]:
    """One graph of the template with the model's own weights in it, and what computes those that are encoded."""
    proto = onnx.load(source)
    if model.precision == "float16":
        proto = to_float16(proto)
    editor = GraphEditor(proto)
    kernels: dict[str, None] = {}
    for weight in model.weights():
        places = [place for place in template.places.get(weight.name, ()) if place.graph == source.name]
        if places:
            encoding = model.encodings.get(weight.name) or Dense(matrix_of(weight))
            kernels[write_weight(editor, encoding, places, weight.name)] = None
    packed = [words for words in kernels if not words.startswith("float")]
    return editor, packed or list(kernels)
