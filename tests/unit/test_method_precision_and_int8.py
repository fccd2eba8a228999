"""fp16, bf16 and the int8 methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import bert, compressed, resnet

from autocompress.compressible import CompressibleModel, as_numpy
from autocompress.encodings import GroupedIntegers, Sparse
from autocompress.errors import Unsupported
from autocompress.methods.bf16 import BFloat16
from autocompress.methods.fp16 import Float16
from autocompress.methods.int8_dynamic import Int8Dynamic
from autocompress.methods.int8_static import Int8Static
from autocompress.model_state import facts_of


@pytest.mark.parametrize(("tag", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_every_parameter_is_rounded_to_the_nearest_half(tag: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, tag)
    assert model.precision == {"fp16": "float16", "bf16": "bfloat16"}[tag]
    for (name, original), now in zip(bert().named_parameters(), model.module.parameters(), strict=True):
        assert torch.equal(now, original.to(dtype)), name


@pytest.mark.parametrize("tag", ["fp16", "bf16"])
def test_the_module_holds_what_half_precision_encodings_decode_to(tag: str, tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"magnitude": {"sparsity": 0.5}}, "kmeans", tag)
    for weight in model.weights():
        if weight.name in model.encodings:
            expected = torch.from_numpy(model.encodings[weight.name].decode()).to(weight.parameter.dtype)
            assert torch.equal(weight.parameter.detach(), expected)


def test_fp16_halves_the_kept_values_of_a_pruned_weight(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, {"magnitude": {"sparsity": 0.5}}, "fp16")
    encoding = model.encodings["bert.encoder.layer.0.output.dense.weight"]
    assert isinstance(encoding, Sparse)
    assert encoding.packed_bytes == 64 * 128 // 8 + 64 * 128 // 2 * 2


def test_a_weight_beyond_float16_is_unsupported_in_fp16_only(tmp_path: Path) -> None:
    module = bert()
    with torch.no_grad():
        module.classifier.bias[0] = 70_000
    with pytest.raises(Unsupported, match=r"classifier\.bias"):
        compressed(module, tmp_path, "fp16")
    module = bert()
    with torch.no_grad():
        module.classifier.bias[0] = 70_000
    assert compressed(module, tmp_path, "bf16").precision == "bfloat16"


def test_a_model_stored_in_half_already_is_refused() -> None:
    facts = facts_of(bert().half(), "any")
    assert "already" in Float16().refuses(facts)
    assert "already" in BFloat16().refuses(facts)


def test_int8_weight_only_has_one_scale_per_row_and_errs_by_half_a_step(tmp_path: Path) -> None:
    before = {weight.name: as_numpy(weight.matrix) for weight in CompressibleModel(bert()).weights()}
    model = compressed(bert(), tmp_path, "int8_weight_only")
    assert set(model.encodings) == set(before)
    for name, encoding in model.encodings.items():
        assert isinstance(encoding, GroupedIntegers)
        rows, columns = before[name].shape
        assert encoding.packed_bytes == rows * columns + 4 * rows
        largest = np.abs(before[name]).max(axis=1)
        np.testing.assert_allclose(encoding.scales[:, 0], np.where(largest > 0, largest / 127, 1), rtol=1e-6)
        assert (np.abs(encoding.decode() - before[name]) <= encoding.scales * 0.5001).all()


@pytest.mark.parametrize("step", [Int8Dynamic(per_channel=True), Int8Static(calibration="entropy")])
def test_activation_steps_leave_the_weights_and_ask_the_format(step: Int8Dynamic | Int8Static, tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, step)
    assert model.activation_step == step
    assert not model.encodings
    for original, now in zip(bert().parameters(), model.module.parameters(), strict=True):
        assert torch.equal(original, now)


def test_percentile_is_inert_without_percentile_calibration() -> None:
    assert Int8Static(percentile=99.9).canonical() == Int8Static()
    assert Int8Static(calibration="percentile", percentile=99.9).canonical().percentile == 99.9


def test_dynamic_int8_is_refused_where_convolutions_hold_the_weights() -> None:
    assert "int8_static" in Int8Dynamic().refuses(facts_of(resnet(), "any"))
    assert Int8Dynamic().refuses(facts_of(bert(), "any")) is None
