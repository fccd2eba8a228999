"""Dropping heads equals masking their outputs with zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_models import MODELS, bert, compressed, output_of, resnet, step_context

from autocompress import registry
from autocompress.attention_heads import find_attention
from autocompress.compressible import CompressibleModel
from autocompress.errors import Unsupported
from autocompress.formats.pytorch.files import MANIFEST_FILE, write_files
from autocompress.methods.heads import Heads, by_gradient, by_norm
from autocompress.methods.low_rank import LowRank
from autocompress.model_state import facts_of

WIDE = {
    "bert": {"num_attention_heads": 4},
    "vit": {"num_attention_heads": 4},
    "llama": {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 8},
    "wav2vec2": {"num_attention_heads": 4},
    "whisper": {"encoder_attention_heads": 4, "decoder_attention_heads": 4},
}


def masked(module: Any, kept: list[list[int]]) -> Any:
    """The module with the columns of all other groups' heads in the output projections at zero."""
    with torch.no_grad():
        for block, groups in zip(find_attention(module).blocks, kept, strict=True):
            for group in set(range(block.n_groups)) - set(groups):
                block.out.weight[:, group * block.group_width : (group + 1) * block.group_width] = 0
    return module


@pytest.mark.parametrize("name", WIDE)
def test_the_result_equals_the_original_with_those_heads_outputs_at_zero(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    scores = by_norm(find_attention(build(WIDE[name])))
    kept = [sorted(score.argsort(descending=True)[:2].tolist()) for score in scores]
    expected = output_of(masked(build(WIDE[name]), kept), inputs)
    model = compressed(build(WIDE[name]), tmp_path, {"heads": {"keep": 0.5}})
    np.testing.assert_allclose(output_of(model.module, inputs), expected, atol=1e-5)
    assert {block.n_groups for block in find_attention(model.module).blocks} == {2}


def test_the_norm_is_that_of_a_heads_rows_of_value_and_columns_of_output() -> None:
    module = MODELS["llama"][0](WIDE["llama"])
    layer = module.model.layers[1].self_attn
    value, out = layer.v_proj.weight.detach().numpy(), layer.o_proj.weight.detach().numpy()
    expected = [
        np.sqrt((value[8 * g : 8 * g + 8] ** 2).sum() + (out[:, 16 * g : 16 * g + 16] ** 2).sum()) for g in range(4)
    ]
    np.testing.assert_allclose(by_norm(find_attention(module))[1], expected, rtol=1e-5)


def test_taylor_is_the_absolute_slope_of_the_loss_along_a_factor_on_a_head(tmp_path: Path) -> None:
    module = bert(WIDE["bert"]).double()
    rng = np.random.default_rng(0)
    calls = [{"input_ids": rng.integers(5, 300, (1, 8)), "labels": np.array([label])} for label in (0, 1, 1)]
    context = step_context(module, tmp_path)
    object.__setattr__(context, "training", lambda: calls[:1])
    attention = find_attention(module)
    scores = by_gradient(module, attention, context)
    tensors = {key: torch.from_numpy(value) for key, value in calls[0].items()}
    block, step = attention.blocks[1], 1e-6
    for group in range(4):
        columns = slice(group * block.group_width, (group + 1) * block.group_width)
        before = block.out.weight.detach().clone()
        losses = []
        for factor in (1 + step, 1 - step):
            with torch.no_grad():
                block.out.weight[:, columns] = before[:, columns] * factor
                losses.append(float(module(**tensors).loss))
                block.out.weight.copy_(before)
        np.testing.assert_allclose(scores[1][group], abs(losses[0] - losses[1]) / (2 * step), rtol=1e-4)
    object.__setattr__(context, "training", lambda: calls)
    assert not torch.equal(by_gradient(module, attention, context)[1], scores[1])


def test_taylor_drops_heads_that_the_loss_does_not_depend_on(tmp_path: Path) -> None:
    module = masked(bert(WIDE["bert"]), [[0, 2], [1, 3]])
    call = {"input_ids": MODELS["bert"][1]["input_ids"], "labels": np.array([1])}
    expected = output_of(module, MODELS["bert"][1])
    context = step_context(module, tmp_path)
    object.__setattr__(context, "training", lambda: [call])
    Heads(keep=0.5, importance="taylor").apply(CompressibleModel(module), context)
    np.testing.assert_allclose(output_of(module, MODELS["bert"][1]), expected, atol=1e-5)


def test_taylor_without_labels_says_what_to_do(tmp_path: Path) -> None:
    module = bert(WIDE["bert"])
    context = step_context(module, tmp_path)
    for calls in ([], [MODELS["bert"][1]]):
        object.__setattr__(context, "training", lambda calls=calls: calls)
        with pytest.raises(Unsupported, match="importance: magnitude"):
            Heads(keep=0.5, importance="taylor").apply(CompressibleModel(module), context)


def test_what_the_configuration_can_say_loads_by_plain_from_pretrained(tmp_path: Path) -> None:
    build, inputs = MODELS["llama"]
    model = compressed(build(WIDE["llama"]), tmp_path, {"heads": {"keep": 0.5}})
    assert model.overrides == {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    folder = tmp_path / "out"
    folder.mkdir()
    write_files(model, folder, "language-modelling")
    assert not (folder / MANIFEST_FILE).exists()
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    np.testing.assert_allclose(output_of(loaded, inputs), output_of(model.module, inputs), atol=1e-6)


@pytest.mark.parametrize("name", ["llama", "whisper"])
def test_decoding_with_a_cache_still_equals_decoding_without(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    module = compressed(build(WIDE[name]), tmp_path, {"heads": {"keep": 0.5}}).module
    given = {key: torch.from_numpy(value) for key, value in inputs.items() if key != "decoder_input_ids"}
    tokens = [
        module.generate(**given, max_new_tokens=6, min_new_tokens=6, do_sample=False, use_cache=cached)
        for cached in (True, False)
    ]
    assert torch.equal(tokens[0], tokens[1])


def test_distilbert_keeps_its_own_names_for_the_same_things(tmp_path: Path) -> None:
    config = transformers.DistilBertConfig(vocab_size=300, dim=32, n_heads=4, hidden_dim=64, n_layers=2)
    torch.manual_seed(0)
    module = transformers.DistilBertForSequenceClassification(config).eval()
    inputs = MODELS["bert"][1]
    kept = [sorted(score.argsort(descending=True)[:2].tolist()) for score in by_norm(find_attention(module))]
    model = compressed(module, tmp_path, {"heads": {"keep": 0.5}})
    torch.manual_seed(0)
    expected = output_of(masked(transformers.DistilBertForSequenceClassification(config).eval(), kept), inputs)
    np.testing.assert_allclose(output_of(model.module, inputs), expected, atol=1e-5)


def test_heads_that_other_parameters_depend_on_are_left_alone() -> None:
    config = transformers.SwinConfig(image_size=16, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 4])
    assert find_attention(transformers.SwinModel(config)) is None


@pytest.mark.parametrize(
    ("step", "facts", "reason"),
    [
        (Heads(), facts_of(resnet(), "any"), "no attention heads"),
        (Heads(keep=0.84), facts_of(bert(), "any"), "drops none"),
        (Heads(keep=0.5), facts_of(MODELS["llama"][0]({}), "any"), "drops none"),
        (Heads(keep=0.5, importance="taylor"), facts_of(bert(), "own"), "own loss"),
    ],
)
def test_models_that_cannot_lose_a_head_are_refused(step: Heads, facts: Any, reason: str) -> None:
    assert reason in str(step.refuses(facts))


def test_heads_cannot_follow_low_rank() -> None:
    facts = facts_of(bert(), "any")
    assert "before low_rank" in str(Heads().refuses_after([LowRank()], facts))
    assert LowRank().refuses_after([Heads()], facts) is None


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_exports_with_a_cache_are_refused_where_no_configuration_says_how_wide_it_is(format_name: str) -> None:
    chosen = registry.load("formats", format_name)()
    whisper = facts_of(MODELS["whisper"][0](WIDE["whisper"]), "speech-seq2seq")
    llama = facts_of(MODELS["llama"][0](WIDE["llama"]), "language-modelling")
    assert "cache" in str(chosen.refuses((Heads(),), whisper, "cpu"))
    assert chosen.refuses((Heads(),), llama, "cpu") is None
    assert chosen.refuses((Heads(),), facts_of(bert(), "text-classification"), "cpu") is None
