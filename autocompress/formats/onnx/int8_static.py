"""Static int8 by ONNX Runtime's quantizer: ranges of activations calibrated, graph in QDQ form."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from autocompress.errors import Unsupported

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.recipe import Step

QUANTIZED_OPS = ["Conv", "MatMul", "Gemm"]


def quantize_static(model: onnx.ModelProto, step: Step, samples: Sequence[Inputs]) -> onnx.ModelProto:
    """Quantize convolutions and linear layers: activations uint8 per tensor, weights int8.

    uint8 activations because int8 ones are slower than float on x86. ``samples`` are batches of one.

    Raises:
        Unsupported: the quantizer cannot do this graph.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, shape_inference
    from onnxruntime.quantization import quantize_static as ort_quantize

    knobs: Any = step
    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    options: dict[str, Any] = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    if knobs.calibration == "percentile":
        options["CalibPercentile"] = knobs.percentile
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, quantized = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared", "quantized"))
        onnx.save(model, plain)
        # Symbolic shape inference fails on transformers' attention masks; plain inference is enough here.
        shape_inference.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        try:
            ort_quantize(
                prepared,
                quantized,
                _Reader(samples, onnx.load(prepared, load_external_data=False)),
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
