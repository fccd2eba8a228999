"""Static int8 by NNCF: ranges of activations calibrated, outliers of transformers smoothed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autocompress.errors import Unsupported

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.recipe import Step

SMOOTHING_OFF = -1


def quantize_static(
    model: Any, step: Step, samples: Sequence[Inputs], is_transformer: bool, in_float: Collection[str]
) -> Any:
    """Quantize what NNCF finds to pay: weights int8 and symmetric, activations asymmetric where that helps.

    Args:
        model: a float graph.
        step: the knobs of ``int8_static``; ``smoothing`` is left to NNCF, which does it for transformers only.
        samples: batches of one.
        is_transformer: whether NNCF looks for attention.
        in_float: names of the nodes that compute in float.

    Raises:
        Unsupported: NNCF cannot do this graph, or there is no calibration data.
    """
    import nncf

    nncf.set_log_level(logging.ERROR)
    if not samples:
        raise Unsupported("int8_static needs calibration data, and there is none")
    try:
        return nncf.quantize(
            model,
            nncf.Dataset([_feeds(model, sample) for sample in samples]),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
            subset_size=len(samples),
            ignored_scope=nncf.IgnoredScope(names=sorted(in_float)),
            advanced_parameters=_advanced(step),
        )
    except (nncf.ValidationError, nncf.InternalError, nncf.UnsupportedModelError, RuntimeError) as problem:
        raise Unsupported(f"NNCF refused the graph: {problem}") from problem


def _advanced(step: Step) -> Any:
    from nncf.quantization import advanced_parameters as advanced

    knobs: Any = step
    return advanced.AdvancedQuantizationParameters(
        weights_quantization_params=advanced.QuantizationParameters(per_channel=knobs.per_channel),
        smooth_quant_alphas=advanced.AdvancedSmoothQuantParameters(matmul=knobs.smoothing or SMOOTHING_OFF),
        activations_range_estimator_params=_percentile(knobs.percentile)
        if knobs.calibration == "percentile"
        else _extremes(),
    )


def _extremes() -> Any:
    """The least and the largest value of all samples; NNCF's own choice, their mean over the samples, cuts many off."""
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return RangeEstimatorParametersSet.MINMAX


def _percentile(percentile: float) -> Any:
    """The range that holds so many per cent of a sample's values, averaged over the samples."""
    from nncf.quantization import range_estimator as ranges

    bound = ranges.StatisticsCollectorParameters(
        statistics_type=ranges.StatisticsType.QUANTILE,
        aggregator_type=ranges.AggregatorType.MEAN,
        quantile_outlier_prob=1 - percentile / 100,
    )
    return ranges.RangeEstimatorParameters(min=bound, max=bound)


def _feeds(model: Any, sample: Inputs) -> dict[str, npt.NDArray[Any]]:
    return {wanted.get_any_name(): _value(wanted, sample) for wanted in model.inputs}


def _value(wanted: Any, sample: Inputs) -> npt.NDArray[Any]:
    """A sample's own array; else what a text's first step has: all tokens attended, counted, nothing cached."""
    name = wanted.get_any_name()
    if name in sample:
        return np.ascontiguousarray(sample[name])
    if name.startswith("past_key_values."):
        shape = wanted.get_partial_shape()
        return np.zeros((1, shape[1].get_length(), 0, shape[3].get_length()), np.float32)
    if name == "position_ids":
        return np.arange(sample["input_ids"].shape[1], dtype=np.int64)[None, :]
    if name in ("token_type_ids", "attention_mask"):
        fill = np.zeros_like if name == "token_type_ids" else np.ones_like
        return fill(sample["input_ids"])
    raise Unsupported(f"the calibration samples lack the graph's input {name!r}")
