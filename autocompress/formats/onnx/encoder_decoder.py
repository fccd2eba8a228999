"""Encoder-decoder models in two graphs: every weight once, cross-attention's keys and values computed once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import helper, numpy_helper

from autocompress.errors import Unsupported

HIDDEN_STATES = "encoder_hidden_states"
HEADS_FIRST = [0, 2, 1, 3]


def export_encoder_decoder(module: Any, make_config: Callable[..., Any], folder: Path) -> None:
    """Write ``encoder_model.onnx``, which gives ``present.*.encoder.*``, and ``decoder_model.onnx``.

    Optimum exports an encoder, a first-step decoder that computes the cross-attention cache from the encoder's hidden
    states, and a decoder for the steps after that. The cross-attention projections are moved from the first-step
    decoder to the end of the encoder; the other decoder then serves every step, the first one with an empty cache.
    """
    from optimum.exporters.onnx import export
    from optimum.exporters.utils import get_encoder_decoder_models_for_export

    config = make_config(module.config, use_past=True)
    shapes = {}
    if hasattr(module.config, "max_source_positions"):  # Whisper: the encoder halves the frames
        shapes["nb_max_frames"] = 2 * module.config.max_source_positions
    parts = get_encoder_decoder_models_for_export(module, config)
    with tempfile.TemporaryDirectory() as exported:
        graphs = {}
        for name, (part, part_config) in parts.items():
            path = Path(exported) / f"{name}.onnx"
            export(part, part_config, path, opset=18, input_shapes=_with_default_shapes(shapes))
            graphs[name] = onnx.load(path)
    encoder = with_cross_attention(graphs["encoder_model"], graphs["decoder_model"])
    onnx.save(encoder, folder / "encoder_model.onnx")
    onnx.save(graphs["decoder_with_past_model"], folder / "decoder_model.onnx")


def _with_default_shapes(shapes: dict[str, int]) -> dict[str, int]:
    from optimum.utils import DEFAULT_DUMMY_SHAPES

    return {**DEFAULT_DUMMY_SHAPES, **shapes}


def with_cross_attention(encoder: onnx.ModelProto, first_decoder: onnx.ModelProto) -> onnx.ModelProto:
    """The encoder with the first-step decoder's cross-attention projections behind it; it gives only the cache.

    Raises:
        Unsupported: the keys and values don't come from the encoder's hidden states alone.
    """
    source = first_decoder.graph
    producer = {output: node for node in source.node for output in node.output}
    initializers = {tensor.name: tensor for tensor in source.initializer}
    hidden = encoder.graph.output[0].name
    outputs, moved = [], set()
    for output in source.output:
        if ".encoder." not in output.name:
            continue
        transpose = producer[output.name]
        reshape = producer[transpose.input[0]]
        if (transpose.op_type, reshape.op_type) != ("Transpose", "Reshape"):
            raise Unsupported(f"cannot find how the decoder computes {output.name}")
        for node in _upstream(reshape.input[0], producer, initializers):
            if node.output[0] in moved:
                continue
            moved.add(node.output[0])
            inputs = [hidden if name == HIDDEN_STATES else f"cross.{name}" for name in node.input]
            encoder.graph.initializer.extend(
                numpy_helper.from_array(numpy_helper.to_array(initializers[name]), f"cross.{name}")
                for name in node.input
                if name in initializers
            )
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            del copied.input[:], copied.output[:]
            copied.input.extend(inputs)
            copied.output.extend(f"cross.{name}" for name in node.output)
            encoder.graph.node.append(copied)
        heads, size = (output.type.tensor_type.shape.dim[axis].dim_value for axis in (1, 3))
        shape, split = f"{output.name}.shape", f"{output.name}.split"
        encoder.graph.initializer.append(helper.make_tensor(shape, onnx.TensorProto.INT64, [4], [0, 0, heads, size]))
        encoder.graph.node.extend(
            [
                helper.make_node("Reshape", [f"cross.{reshape.input[0]}", shape], [split], name=split),
                helper.make_node("Transpose", [split], [output.name], name=output.name, perm=HEADS_FIRST),
            ]
        )
        outputs.append(output)
    del encoder.graph.output[:]
    encoder.graph.output.extend(outputs)
    return encoder


def _upstream(
    name: str, producer: dict[str, onnx.NodeProto], initializers: dict[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """The nodes that compute a value from the encoder's hidden states, in order."""
    if name == HIDDEN_STATES or name in initializers:
        return []
    if name not in producer:
        raise Unsupported(f"cross-attention depends on the decoder's input {name!r}, not only on the encoder")
    node = producer[name]
    return [*(before for used in node.input for before in _upstream(used, producer, initializers)), node]
