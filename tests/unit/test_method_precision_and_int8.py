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
from autocompress.methods.fake_integers import rounded_to_int8, rounded_to_uint8
from autocompress.methods.fp16 import Float16
from autocompress.methods.int8_dynamic import Int8Dynamic
from autocompress.methods.int8_static import Int8Static
from autocompress.model_state import facts_of, restore_state, save_state


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


def texts(n: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"input_ids": rng.integers(5, 300, (1, 6 + index % 3))} for index in range(n)]


def inputs_of(module: torch.nn.Module, name: str, calls: list[dict[str, np.ndarray]]) -> torch.Tensor:
    """All that went into a layer, shape (n, in_features)."""
    seen: list[torch.Tensor] = []
    layer = module.get_submodule(name.removesuffix(".weight"))
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, -2)))
    with torch.inference_mode():
        for call in calls:
            module(**{key: torch.from_numpy(value) for key, value in call.items()})
    handle.remove()
    return torch.cat(seen)


def test_smoothing_factors_balance_inputs_and_weights(tmp_path: Path) -> None:
    calls = texts(6)
    model = compressed(bert(), tmp_path, Int8Static(smoothing=0.75), calibration=calls)
    attention = "bert.encoder.layer.0.attention.self"
    names = [f"{attention}.{part}.weight" for part in ("query", "key", "value")]
    largest_inputs = inputs_of(bert(), names[0], calls).abs().amax(dim=0).numpy()
    parameters = dict(bert().named_parameters())
    largest_weights = np.max([as_numpy(parameters[name].abs().amax(dim=0)) for name in names], axis=0)
    expected = largest_inputs**0.75 / largest_weights**0.25
    for name in names:
        np.testing.assert_allclose(model.smoothing[name], expected, rtol=1e-4)
    assert set(model.smoothing) == {weight.name for weight in model.weights("linear")}


class TwoReaders(torch.nn.Module):
    """Two equal layers side by side; only the first reads a feature far out of the others' range, to no effect."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.outlying, self.even = torch.nn.Linear(16, 4), torch.nn.Linear(16, 4)
        with torch.no_grad():
            self.outlying.weight[:, 0] = 0

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        far = torch.cat([x[:, :1] * 1000, x[:, 1:]], dim=1)
        return {"y": self.outlying(far) + self.even(x)}


def test_the_layer_that_rounding_hurts_most_stays_in_float(tmp_path: Path) -> None:
    calls = [{"x": np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)} for _ in range(6)]
    model = compressed(TwoReaders().eval(), tmp_path, Int8Static(keep_float=1), calibration=calls)
    assert model.float_layers == ("outlying.weight",)
    smoothed = compressed(TwoReaders().eval(), tmp_path, Int8Static(keep_float=1, smoothing=0.5), calibration=calls)
    for weight in model.weights():  # measuring has changed nothing
        assert torch.equal(weight.parameter, dict(TwoReaders().named_parameters())[weight.name])
    assert len(smoothed.float_layers) == 1


def test_fake_integers_are_as_fine_as_their_bits() -> None:
    values = torch.linspace(-1, 3, 1000)
    rounded = rounded_to_uint8(values, -1, 3)
    assert float((rounded - values).abs().max()) <= 4 / 255 * 0.501
    assert rounded.unique().numel() == 256
    matrix = torch.randn(8, 50, generator=torch.Generator().manual_seed(0))
    steps = matrix.abs().amax(dim=1, keepdim=True) / 127
    assert bool(((rounded_to_int8(matrix) - matrix).abs() <= steps * 0.501).all())


def test_leaving_every_layer_in_float_is_refused() -> None:
    facts = facts_of(bert(), "any")
    assert "keep_float" in Int8Static(keep_float=100).refuses(facts)
    assert Int8Static(keep_float=4).refuses(facts) is None


def test_float_layers_and_smoothing_are_kept_between_steps(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, Int8Static(smoothing=0.5, keep_float=2), calibration=texts(4))
    save_state(model, tmp_path)
    again = restore_state(tmp_path, bert)
    assert again.float_layers == model.float_layers
    assert again.smoothing.keys() == model.smoothing.keys()
    assert all(np.array_equal(again.smoothing[name], model.smoothing[name]) for name in model.smoothing)


def test_percentile_is_inert_without_percentile_calibration() -> None:
    assert Int8Static(percentile=99.9).canonical() == Int8Static()
    assert Int8Static(calibration="percentile", percentile=99.9).canonical().percentile == 99.9


def test_dynamic_int8_is_refused_where_convolutions_hold_the_weights() -> None:
    assert "int8_static" in Int8Dynamic().refuses(facts_of(resnet(), "any"))
    assert Int8Dynamic().refuses(facts_of(bert(), "any")) is None
