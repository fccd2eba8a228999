"""Static int8 by ONNX Runtime's quantizer: ranges of activations calibrated, graph in QDQ form."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from autocompress.errors import Unsupported
from autocompress.formats.onnx.calibration import Feeds, activation_ranges
from autocompress.formats.onnx.graph_editor import GraphEditor, attribute
from autocompress.formats.onnx.int8_dynamic import quantize_storage
from autocompress.formats.onnx.integer_storage import CodedWeight, IntegerStorage

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.recipe import Step

QUANTIZED_OPS = ["Conv", "MatMul", "Gemm"]
QUANTIZED = "_quantized"
"""What the quantizer appends to the name of a weight whose integers it stores."""


def quantize_static(
    editor: GraphEditor,
    step: Step,
    samples: Sequence[Inputs],
    coded: Mapping[str, CodedWeight],
    in_float: Collection[str],
) -> tuple[GraphEditor, list[str]]:
    """Quantize convolutions and linear layers: activations uint8 per tensor, weights int8.

    uint8 activations because int8 ones are slower than float on x86. What is not multiplied is stored as int8.

    Args:
        editor: the float graph.
        step: the knobs of ``int8_static``.
        samples: batches of one.
        coded: by initializer the weights that an earlier step has coded, see `quantize_dynamic`.
        in_float: the initializers whose readers compute in float.

    Returns:
        The quantized graph, and in words what computes.

    Raises:
        Unsupported: the quantizer cannot do this graph.
    """
    for index, node in enumerate(editor.nodes):
        node.name = f"{node.op_type}/{index}"
    excluded = [use.node.name for name in in_float for use in editor.uses(name)]
    quantized = GraphEditor(_quantized(editor.to_model(), step, samples, excluded))
    storage = IntegerStorage(quantized, coded)
    for name, tensor in list(quantized.arrays.items()):
        initializer = name.removesuffix(QUANTIZED)
        if tensor.data_type == TensorProto.INT8 and name != initializer and len(tensor.dims) > 1:
            _store(quantized, storage, initializer)
    words = quantize_storage(quantized, coded, in_float)
    return quantized, ["int8 (static, QDQ with uint8 activations)", *storage.words, *words]


def _store(editor: GraphEditor, storage: IntegerStorage, initializer: str) -> None:
    """Replace the integers of a weight by a smaller form of them, if there is one."""
    output, scale = f"{initializer}{QUANTIZED}", f"{initializer}_scale"
    codes = editor.array(output)
    reader = editor.uses(output)[0].node
    transposed = codes.ndim == 2 and attribute(reader, "axis", 0) == 1
    editor.drop(output)
    matrix = codes.T if transposed else codes.reshape(len(codes), -1)
    storage.put(output, matrix, scale, initializer, transposed=transposed, shape=codes.shape)


def _quantized(model: onnx.ModelProto, step: Step, samples: Sequence[Inputs], excluded: list[str]) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    knobs: Any = step
    feeds = partial(_feeds, list(model.graph.input), samples)
    ranges = activation_ranges(model, QUANTIZED_OPS, feeds, knobs.calibration, knobs.percentile)
    quantizer = QDQQuantizer(
        model,
        knobs.per_channel,
        False,  # the weights' whole range: AVX512-VNNI and ARM do not saturate
        QuantType.QInt8,
        QuantType.QUInt8,
        TensorsData(CalibrationMethod.MinMax, ranges),
        [],
        excluded,
        QUANTIZED_OPS,
        {"DefaultTensorType": TensorProto.FLOAT},
    )
    try:
        quantizer.quantize_model()
        quantizer.model.topological_sort()  # it appends its nodes at the end
    except (ValueError, RuntimeError, AssertionError) as problem:
        raise Unsupported(f"ONNX Runtime's static quantizer refused the graph: {problem}") from problem
    result: onnx.ModelProto = quantizer.model.model
    return result


def _feeds(wanted: Sequence[onnx.ValueInfoProto], samples: Sequence[Inputs]) -> Iterator[Feeds]:
    """Samples as the graph takes them: its inputs and nothing else."""
    for sample in samples:
        yield {value.name: _value(value, sample) for value in wanted}


def _value(wanted: onnx.ValueInfoProto, sample: Inputs) -> npt.NDArray[Any]:
    """A sample's own array; else what a text's first step has: all tokens attended, counted, nothing cached."""
    if wanted.name in sample:
        return sample[wanted.name]
    if wanted.name.startswith("past_key_values."):
        _, heads, _, size = (entry.dim_value for entry in wanted.type.tensor_type.shape.dim)
        return np.zeros((1, heads, 0, size), np.float32)
    ids = sample["input_ids"]
    if wanted.name == "position_ids":
        return np.arange(ids.shape[1], dtype=np.int64)[None, :]
    if wanted.name == "token_type_ids":
        return np.zeros_like(ids)
    raise Unsupported(f"the calibration samples lack the graph's input {wanted.name!r}")
