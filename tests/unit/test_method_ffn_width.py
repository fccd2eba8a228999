"""Narrowing feed-forward blocks gives a model that its configuration describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import MODELS, bert, compressed, output_of, resnet

from autocompress.methods.ffn_width import FfnWidth
from autocompress.model_state import facts_of


@pytest.mark.parametrize("name", ["bert", "vit", "llama", "wav2vec2", "whisper"])
def test_the_result_loads_into_a_model_built_from_the_overridden_configuration(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    width = facts_of(build({}), "any").feed_forward_width
    model = compressed(build({}), tmp_path, {"ffn_width": {"keep": 0.5}})
    assert set(model.overrides.values()) == {width // 2}
    rebuilt = build(model.overrides)
    rebuilt.load_state_dict(model.module.state_dict())
    assert np.array_equal(output_of(rebuilt, inputs), output_of(model.module, inputs))


@pytest.mark.parametrize("name", ["bert", "llama", "whisper"])
def test_neurons_that_do_nothing_go_first_and_change_nothing(name: str, tmp_path: Path) -> None:
    from autocompress.feed_forward import find_feed_forward

    build, inputs = MODELS[name]
    module = build({})
    with torch.no_grad():
        for block in find_feed_forward(module).blocks:
            block.down.weight[:, ::2] = 0
            for up in block.ups:
                up.weight[::2] = 0
    expected = output_of(module, inputs)
    model = compressed(module, tmp_path, {"ffn_width": {"keep": 0.5}})
    np.testing.assert_allclose(output_of(model.module, inputs), expected, atol=1e-5)


def test_the_width_is_a_multiple() -> None:
    assert FfnWidth(keep=0.3, multiple=8).width_for(100) == 32
    assert FfnWidth(keep=0.3, multiple=64).width_for(100) == 64


def test_a_model_without_a_width_and_a_width_that_would_stay_are_refused() -> None:
    assert "no single feed-forward width" in FfnWidth().refuses(facts_of(resnet(), "any"))
    assert "drops none" in FfnWidth(keep=0.9, multiple=128).refuses(facts_of(bert(), "any"))


def test_blocks_as_wide_as_the_model_are_left_alone() -> None:
    assert facts_of(bert({"intermediate_size": 64}), "any").feed_forward_width is None
