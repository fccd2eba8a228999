"""What GPTQ and AWQ have in common: what they take, in which order, and that rounding to nearest is never better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import MODELS, bert, llama, step_context, token_calls
from torch import nn

from autocompress.compressible import CompressibleModel, Inputs
from autocompress.encodings import Codebook, GroupedIntegers, SparseIntegers
from autocompress.errors import Unsupported
from autocompress.layer_inputs import observe
from autocompress.methods.awq import Awq
from autocompress.methods.calibrated_coding import CalibratedCoding
from autocompress.methods.gptq import Gptq
from autocompress.methods.integer_coding import round_to_nearest
from autocompress.recipe import steps_from_plain

METHODS = [Gptq, Awq]


class OneLayer(nn.Module):
    """A linear layer that is called with ``x``."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.linear.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def apply(module: nn.Module, folder: Path, calls: list[Inputs], *steps: object) -> CompressibleModel:
    model = CompressibleModel(module)
    for step in steps_from_plain(steps):
        step.apply(model, step_context(module, folder, calibration=calls))
    return model


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(METHODS),
    bits=st.sampled_from([2, 3, 4, 8]),
    symmetric=st.booleans(),
    shape=st.tuples(st.integers(1, 5), st.integers(16, 70)),
    n_rows=st.integers(1, 40),
    silent=st.floats(0, 1),
    size=st.sampled_from([1e-6, 1.0, 1e3]),
    seed=st.integers(0, 999),
)
def test_the_output_never_errs_more_than_rounded_to_nearest(
    kind, bits, symmetric, shape, n_rows, silent, size, seed, tmp_path_factory
) -> None:
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=random) * size
    strengths = torch.randn(shape[1], generator=random).exp()
    strengths[torch.rand(shape[1], generator=random) < silent] = 0
    x = (torch.randn(n_rows, shape[1], generator=random) * strengths).numpy()
    step = kind(bits=bits, group_size=16, symmetric=symmetric)
    model = apply(OneLayer(weight.clone()), tmp_path_factory.mktemp("x"), [{"x": x}], step)

    def error(values: np.ndarray) -> float:
        return float(np.square(x.astype(np.float64) @ (values - weight.numpy()).T).sum())

    encoding = model.encodings["linear.weight"]
    plain = round_to_nearest(weight, bits, 16, symmetric)
    assert isinstance(encoding, GroupedIntegers)
    assert (encoding.bits, encoding.group_size) == (bits, 16)
    assert (encoding.zero_points is None) == symmetric
    scale = float(np.square(x.astype(np.float64) @ weight.numpy().T).sum())
    assert error(encoding.decode()) <= error(plain.decode()) * 1.001 + 1e-9 * scale


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_is_taken_whole(kind: type[CalibratedCoding], name: str, tmp_path: Path) -> None:
    """Layers that calibration reaches, and those it does not: embeddings, grouped convolutions."""
    build, inputs = MODELS[name]
    model = apply(build({}), tmp_path, [inputs, inputs], kind(group_size=16))
    facts = step_context(build({}), tmp_path).facts
    assert set(model.encodings) == {weight.name for weight in facts.weights if weight.in_features >= 16}
    model.require_finite()


@pytest.mark.parametrize("kind", METHODS)
def test_embeddings_are_rounded_to_nearest_and_their_effect_is_seen(
    kind: type[CalibratedCoding], tmp_path: Path
) -> None:
    calls = token_calls(6)
    model = apply(bert(), tmp_path, calls, kind(bits=2, group_size=32))
    name = "bert.embeddings.word_embeddings.weight"
    original = dict(bert().named_parameters())[name]
    np.testing.assert_array_equal(model.encodings[name].decode(), round_to_nearest(original, 2, 32, True).decode())
    first = "bert.encoder.layer.0.attention.self.query.weight"
    alone = apply(bert(), tmp_path, calls, kind(bits=2, group_size=32, scope="layers"))
    assert name not in alone.encodings
    assert not np.array_equal(alone.encodings[first].decode(), model.encodings[first].decode())


@pytest.mark.parametrize("kind", METHODS)
def test_the_second_layer_sees_what_became_of_the_first(kind: type[CalibratedCoding], tmp_path: Path) -> None:
    """Its codes are those chosen by the inputs of a model whose first layer is coded already."""
    calls = token_calls(6)
    step = kind(bits=2, group_size=32, scope="layers")
    whole = apply(llama(), tmp_path, calls, step)
    module = llama()
    names = dict(module.named_parameters())
    for name in whole.encodings:
        if "layers.0." in name:
            names[name].data.copy_(torch.from_numpy(whole.encodings[name].decode()))
    second = [weight for weight in CompressibleModel(module).weights("linear") if "layers.1." in weight.name]
    inputs = observe(module, second, calls, "cpu")
    for weight in second:
        found = whole.encodings[weight.name].decode() - weight.matrix.numpy()
        plain = round_to_nearest(weight.matrix, 2, 32, True).decode() - weight.matrix.numpy()
        errors = [inputs[weight.name].output_error(torch.from_numpy(difference)) for difference in (found, plain)]
        assert errors[0] <= errors[1]


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_zeros_of_a_pruned_weight_stay_zero_and_are_packed(
    kind: type[CalibratedCoding], symmetric: bool, tmp_path: Path
) -> None:
    calls, magnitude = token_calls(6), {"magnitude": {"sparsity": 0.6}}
    pruned = apply(bert(), tmp_path, calls, magnitude)
    both = apply(bert(), tmp_path, calls, magnitude, kind(group_size=32, symmetric=symmetric, scope="layers"))
    for weight, before in zip(both.weights("linear"), pruned.weights("linear"), strict=True):
        assert isinstance(both.encodings[weight.name], SparseIntegers)
        assert bool((weight.matrix[before.matrix == 0] == 0).all())


@pytest.mark.parametrize("kind", METHODS)
def test_what_is_clustered_already_is_left_so(kind: type[CalibratedCoding], tmp_path: Path) -> None:
    kmeans = {"kmeans": {"scope": "attention"}}
    model = apply(bert(), tmp_path, token_calls(4), kmeans, kind(group_size=32))
    kinds = {type(e) for name, e in model.encodings.items() if ".attention." in name}
    others = {type(e) for name, e in model.encodings.items() if ".attention." not in name}
    assert kinds == {Codebook}
    assert others == {GroupedIntegers}


@pytest.mark.parametrize("kind", METHODS)
def test_only_so_many_samples_are_looked_at(kind: type[CalibratedCoding], tmp_path: Path) -> None:
    calls = token_calls(6)
    few = apply(bert(), tmp_path, calls, kind(bits=2, group_size=32, n_calibration_samples=2))
    same = apply(bert(), tmp_path, calls[:2], kind(bits=2, group_size=32))
    for name, encoding in few.encodings.items():
        np.testing.assert_array_equal(encoding.decode(), same.encodings[name].decode())


@pytest.mark.parametrize("kind", METHODS)
def test_it_refuses_no_data_and_data_that_overflows(kind: type[CalibratedCoding], tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="needs calibration data"):
        apply(OneLayer(torch.ones(2, 16)), tmp_path, [], kind(group_size=16))
    with pytest.raises(Unsupported, match="overflows"):
        apply(OneLayer(torch.ones(2, 16)), tmp_path, [{"x": np.full((1, 16), 1e30, np.float32)}], kind(group_size=16))
