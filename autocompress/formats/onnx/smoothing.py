"""Smoothing in a float graph: activations divided, weights multiplied by the same factors, outputs unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from autocompress.formats.onnx.graph_editor import GraphEditor, Use, is_linear
from autocompress.formats.onnx.template import Place

Factors = npt.NDArray[np.float32]


def is_smoothable(editor: GraphEditor, places: Sequence[Place]) -> bool:
    """Whether a weight stands in one place, and only linear layers read it there."""
    uses = editor.uses(places[0].initializer)
    return len(places) == 1 and bool(uses) and all(is_linear(use, places[0].transposed) for use in uses)


def divide_inputs(editor: GraphEditor, factors: Mapping[str, Factors]) -> None:
    """Divide what the linear layers of these initializers read by the factors of shape (in_features,).

    Where only such layers read the output of a normalisation, its own scale and bias are divided, which costs nothing
    at run time; elsewhere a multiplication is put in, one for layers that read the same tensor.
    """
    groups: dict[tuple[str, bytes], list[Use]] = {}
    for initializer, factor in factors.items():
        for use in editor.uses(initializer):
            groups.setdefault((use.node.input[0], factor.tobytes()), []).append(use)
    for (tensor, content), uses in groups.items():
        inverse = np.reciprocal(np.frombuffer(content, np.float32))
        if not _divide_producer(editor, tensor, uses, inverse):
            _insert(editor, tensor, uses, inverse)


def _divide_producer(editor: GraphEditor, tensor: str, uses: Sequence[Use], inverse: Factors) -> bool:
    """Divide the scale and the bias of the normalisation that gives a tensor, if only these uses read it."""
    readers = sum(list(node.input).count(tensor) for node in editor.nodes)
    if readers != len(uses) or any(output.name == tensor for output in editor.model.graph.output):
        return False
    producer = next((node for node in editor.nodes if tensor in node.output), None)
    scaled = [] if producer is None else _per_feature(editor, producer, len(inverse))
    if producer is None or not scaled:
        return False
    for index in scaled:
        name = f"{tensor}.divided{index}"
        producer.input[index] = editor.put(name, editor.array(producer.input[index]) * inverse)
    return True


def _per_feature(editor: GraphEditor, node: NodeProto, n_features: int) -> list[int]:
    """The inputs of a node that its output is proportional to, feature by feature; none where there are no such."""
    if node.op_type == "LayerNormalization":
        candidates = list(range(1, len(node.input)))
    elif node.op_type == "Mul":
        candidates = [index for index, name in enumerate(node.input) if name in editor.arrays]
    else:
        return []
    fitting = [name in editor.arrays and list(editor.arrays[name].dims) == [n_features] for name in node.input]
    return candidates if all(fitting[index] for index in candidates) else []


def _insert(editor: GraphEditor, tensor: str, uses: Sequence[Use], inverse: Factors) -> None:
    divided = f"{uses[0].node.output[0]}.smoothed"
    factor = editor.put(f"{divided}_by", inverse)
    for use in uses:
        use.node.input[0] = divided
    first = next(node for node in editor.nodes if any(node is use.node for use in uses))
    multiply = helper.make_node("Mul", [tensor, factor], [divided], name=divided)
    editor.replace(first, [multiply, first])
