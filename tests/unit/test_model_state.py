"""A model in the middle of its steps comes back from disk bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import MODELS, compressed, output_of

from autocompress.errors import ModelError
from autocompress.methods.int8_dynamic import Int8Dynamic
from autocompress.model_state import facts_of, restore_state, save_state


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{"magnitude": {"sparsity": 0.5}}, {"kmeans": {"n_centroids": 8}}, "fp16"],
        [{"rtn": {"group_size": 16, "bits": 3, "symmetric": False}}],
        ["bf16"],
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_parameters_buffers_and_encodings_come_back(name: str, steps: list, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    model = compressed(build({}), tmp_path, *steps)
    save_state(model, tmp_path)
    again = restore_state(tmp_path, build)
    expected = {**dict(model.module.named_parameters()), **dict(model.module.named_buffers())}
    found = {**dict(again.module.named_parameters()), **dict(again.module.named_buffers())}
    assert expected.keys() == found.keys()
    for key, tensor in expected.items():
        assert tensor.dtype == found[key].dtype
        assert torch.equal(tensor, found[key]), key
    assert again.precision == model.precision
    assert again.encodings.keys() == model.encodings.keys()
    for key, encoding in model.encodings.items():
        assert encoding.header() == again.encodings[key].header()
        assert np.array_equal(encoding.decode(), again.encodings[key].decode())
    assert np.array_equal(output_of(model.module, inputs), output_of(again.module, inputs), equal_nan=True)


def test_overrides_and_the_activation_step_come_back(tmp_path: Path) -> None:
    build, _ = MODELS["whisper"]
    model = compressed(build({}), tmp_path, "ffn_width", {"int8_dynamic": {"per_channel": True}})
    save_state(model, tmp_path)
    again = restore_state(tmp_path, build)
    assert again.overrides == {"encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    assert again.activation_step == Int8Dynamic(per_channel=True)


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    build, _ = MODELS["whisper"]
    save_state(compressed(build({}), tmp_path, "kmeans"), tmp_path)
    module = restore_state(tmp_path, build).module
    assert module.proj_out.weight is module.model.decoder.embed_tokens.weight


def test_a_module_of_another_structure_is_refused(tmp_path: Path) -> None:
    build, _ = MODELS["bert"]
    save_state(compressed(build({}), tmp_path), tmp_path)
    with pytest.raises(ModelError, match="of shape"):
        restore_state(tmp_path, lambda _: build({"intermediate_size": 96}))


def test_facts_count_a_shared_weight_once_and_name_the_stored_type() -> None:
    module = MODELS["llama"][0]({}).half()
    facts = facts_of(module, "language-modelling")
    assert facts.n_parameters == sum(parameter.numel() for parameter in module.parameters())
    assert [weight.name for weight in facts.of_kind("embedding")] == ["model.embed_tokens.weight"]
    assert "lm_head.weight" not in {weight.name for weight in facts.weights}
    assert (facts.feed_forward_width, facts.dtype) == (80, "float16")
