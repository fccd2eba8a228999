"""Static int8 by ONNX Runtime's quantizer: ranges of activations calibrated, graph in QDQ form."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from autocompress.errors import Unsupported
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
    editor: GraphEditor, step: Step, samples: Sequence[Inputs], coded: Mapping[str, CodedWeight]
) -> tuple[GraphEditor, list[str]]:
    """Quantize convolutions and linear layers: activations uint8 per tensor, weights int8.

    uint8 activations because int8 ones are slower than float on x86. What is not multiplied is stored as int8.

    Args:
        editor: the float graph.
        step: the knobs of ``int8_static``.
        samples: batches of one.
        coded: by initializer the weights that an earlier step has coded, see `quantize_dynamic`.

    Returns:
        The quantized graph, and in words what computes.

    Raises:
        Unsupported: the quantizer cannot do this graph.
    """
    quantized = GraphEditor(_quantized(editor.to_model(), step, samples))
    storage = IntegerStorage(quantized, coded)
    for name, tensor in list(quantized.arrays.items()):
        initializer = name.removesuffix(QUANTIZED)
        if tensor.data_type == TensorProto.INT8 and name != initializer and len(tensor.dims) > 1:
            _store(quantized, storage, initializer)
    words = quantize_storage(quantized, coded)
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


def _quantized(model: onnx.ModelProto, step: Step, samples: Sequence[Inputs]) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as ort_quantize

    knobs: Any = step
    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    options: dict[str, Any] = {"DefaultTensorType": TensorProto.FLOAT}
    if knobs.calibration == "percentile":
        options["CalibPercentile"] = knobs.percentile
    with tempfile.TemporaryDirectory() as folder:
        plain, quantized = (Path(folder) / f"{name}.onnx" for name in ("plain", "quantized"))
        onnx.save(model, plain)
        try:
            ort_quantize(
                plain,
                quantized,
                _Reader(samples, model),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTIZED_OPS,
                per_channel=knobs.per_channel,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=methods[knobs.calibration],
                extra_options=options,
            )
        except (ValueError, RuntimeError, AssertionError) as problem:
            raise Unsupported(f"ONNX Runtime's static quantizer refused the graph: {problem}") from problem
        result: onnx.ModelProto = onnx.load(quantized)
    return result


class _Reader:
    """Calibration samples as the quantizer asks for them: one at a time, what the graph takes and nothing else."""

    def __init__(self, samples: Sequence[Inputs], model: onnx.ModelProto) -> None:
        self._inputs = list(model.graph.input)
        self._rest = iter(samples)

    def get_next(self) -> dict[str, Any] | None:
        """The next sample, or None at the end."""
        sample = next(self._rest, None)
        if sample is None:
            return None
        return {wanted.name: self._value(wanted, sample) for wanted in self._inputs}

    def _value(self, wanted: onnx.ValueInfoProto, sample: Inputs) -> npt.NDArray[Any]:
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
