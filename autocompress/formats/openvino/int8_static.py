"""Static int8 by NNCF: ranges of activations calibrated, SmoothQuant where attention is."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autocompress.errors import Unsupported

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.recipe import Step


def quantize_static(model: Any, step: Step, samples: Sequence[Inputs], is_transformer: bool) -> Any:
    """Quantize what NNCF finds to pay: weights int8, activations as its mixed preset says. ``samples``: batches of one.

    In a transformer scales move from activations to weights first.

    Source: Xiao et al. 2023, SmoothQuant, arXiv:2211.10438, section 4, by NNCF.

    Raises:
        Unsupported: NNCF cannot do this graph, or there is no calibration data.
    """
    os.environ.setdefault("NNCF_CI", "1")  # else importing it sends usage figures to its makers
    import nncf

    nncf.set_log_level(logging.ERROR)
    if not samples:
        raise Unsupported("int8_static needs calibration data, and there is none")
    feeds = [_feeds(model, sample) for sample in samples]
    try:
        return nncf.quantize(
            model,
            nncf.Dataset(feeds),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
            subset_size=len(feeds),
            advanced_parameters=_advanced(step),
        )
    except (nncf.ValidationError, nncf.InternalError, nncf.UnsupportedModelError, RuntimeError) as problem:
        raise Unsupported(f"NNCF refused the graph: {problem}") from problem


def _advanced(step: Step) -> Any:
    from nncf import quantization as _  # noqa: F401 - registers the parameters' module
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        QuantizationParameters,
    )
    from nncf.quantization.range_estimator import (
        AggregatorType,
        RangeEstimatorParameters,
        StatisticsCollectorParameters,
        StatisticsType,
    )

    knobs: Any = step
    advanced = AdvancedQuantizationParameters(
        weights_quantization_params=QuantizationParameters(per_channel=knobs.per_channel)
    )
    if knobs.calibration == "percentile":
        outside = 1 - knobs.percentile / 100
        low, high = (
            StatisticsCollectorParameters(
                statistics_type=StatisticsType.QUANTILE,
                aggregator_type=AggregatorType.MEAN,
                quantile_outlier_prob=outside,
            )
            for _ in range(2)
        )
        advanced.activations_range_estimator_params = RangeEstimatorParameters(min=low, max=high)
    return advanced


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
