"""Checkpoints in AutoGPTQ's and AutoAWQ's layouts: read bit by bit as those packages' rules say, and by our reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tiny_models import NONE, bert, compressed, llama, output_of, step_context, whisper
from torch import nn

import autocompress
from autocompress.compressible import CompressibleModel
from autocompress.encodings import Codebook, GroupedIntegers, SparseIntegers
from autocompress.errors import ModelError, Unsupported
from autocompress.facts import ModelFacts, WeightFact
from autocompress.formats.checkpoints.awq import AwqFormat
from autocompress.formats.checkpoints.checkpoint_format import CheckpointFormat, Packing
from autocompress.formats.checkpoints.gptq import GptqFormat
from autocompress.model_state import facts_of
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.space import SearchSpace, recipe_refusal

LAYOUTS: dict[str, CheckpointFormat] = {"gptq": GptqFormat(), "awq": AwqFormat()}
FORMATS = [*LAYOUTS]


# The packages' own rules, bit by bit in plain Python ------------------------------------------------------------------


def unsigned(word: np.int32) -> int:
    return int(word) & 0xFFFFFFFF


def gptq_row(words: list[int], bits: int) -> list[int]:
    """The codes in a run of words, as AutoGPTQ unpacks them (``qlinear_cuda_old``): 2, 4 and 8 bits word by word."""
    mask = 2**bits - 1
    if bits != 3:
        return [(word >> shift) & mask for word in words for shift in range(0, 32, bits)]
    codes = []
    for first, second, third in zip(words[0::3], words[1::3], words[2::3], strict=True):
        codes += [(first >> (3 * place)) & 7 for place in range(10)]
        codes += [(first >> 30) | ((second & 1) << 2)]
        codes += [(second >> (3 * place + 1)) & 7 for place in range(10)]
        codes += [(second >> 31) | ((third & 3) << 1)]
        codes += [(third >> (3 * place + 2)) & 7 for place in range(10)]
    return codes


def read_gptq(parts: Mapping[str, np.ndarray], bits: int, group_size: int) -> np.ndarray:
    """The matrix (out, in) that AutoGPTQ makes of the tensors: ``scales[g_idx] * (codes - (zeros + 1)[g_idx])``."""
    del group_size
    n_in, n_out = len(parts["g_idx"]), parts["scales"].shape[1]
    matrix = np.empty((n_out, n_in), np.float32)
    zeros = [gptq_row([unsigned(word) for word in row], bits) for row in parts["qzeros"]]
    for output in range(n_out):
        codes = gptq_row([unsigned(word) for word in parts["qweight"][:, output]], bits)
        for place, (code, group) in enumerate(zip(codes, parts["g_idx"], strict=True)):
            scale = np.float32(parts["scales"][group, output])
            matrix[output, place] = scale * np.float32(code - (zeros[group][output] + 1))
    return matrix


def read_awq(parts: Mapping[str, np.ndarray], bits: int, group_size: int) -> np.ndarray:
    """The matrix (out, in) that AutoAWQ makes of the tensors: unpack, put in order by 0, 4, 1, 5, 2, 6, 3, 7, scale."""
    assert bits == 4
    in_order = (0, 4, 1, 5, 2, 6, 3, 7)

    def row(words: np.ndarray) -> list[int]:
        found = []
        for word in words:
            nibbles = [(unsigned(word) >> shift) & 15 for shift in range(0, 32, 4)]
            found += [nibbles[place] for place in in_order]
        return found

    zeros = [row(words) for words in parts["qzeros"]]
    columns = []
    for place, words in enumerate(parts["qweight"]):
        group = place // group_size
        scales = [np.float32(scale) for scale in parts["scales"][group]]
        columns.append(
            [scale * np.float32(c - z) for c, z, scale in zip(row(words), zeros[group], scales, strict=True)]
        )
    return np.array(columns, np.float32).T


READERS: dict[str, Callable[[Mapping[str, np.ndarray], int, int], np.ndarray]] = {"gptq": read_gptq, "awq": read_awq}


@st.composite
def integers(draw: st.DrawFn, layout: CheckpointFormat) -> GroupedIntegers:
    """Any integers that the layout takes: odd numbers of groups, zero points at both ends, scales of both signs."""
    bits = draw(st.sampled_from(layout.bits))
    rows = layout.out_multiple * draw(st.integers(1, 2))
    group_size = draw(st.sampled_from([16, 32, 40, 96]))
    columns = int(np.lcm(group_size, layout.in_multiple)) * draw(st.integers(1, 2))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = (rows, columns // group_size)
    zeros = random.integers(0, 2**bits, grid, dtype=np.uint8) if draw(st.booleans()) else None
    if zeros is not None:
        zeros[0, 0], zeros[-1, -1] = 0, 2**bits - 1
    return GroupedIntegers(
        codes=random.integers(0, 2**bits, (rows, columns), dtype=np.uint8),
        bits=bits,
        group_size=group_size,
        scales=random.normal(size=grid).astype(np.float16),
        zero_points=zeros,
    )


@pytest.mark.parametrize("name", FORMATS)
class TestLayout:
    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_the_packages_rules_give_every_value_bit_for_bit(self, name: str, data: st.DataObject) -> None:
        layout = LAYOUTS[name]
        encoding = data.draw(integers(layout))
        parts = layout.pack(encoding)
        assert set(parts) == set(layout.parts)
        assert parts["scales"].dtype == np.float16
        np.testing.assert_array_equal(READERS[name](parts, encoding.bits, encoding.group_size), encoding.decode())

    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_our_reader_gives_every_value_bit_for_bit(self, name: str, data: st.DataObject) -> None:
        layout = LAYOUTS[name]
        encoding = data.draw(integers(layout))
        packing = Packing(bits=encoding.bits, group_size=encoding.group_size, symmetric=encoding.zero_points is None)
        np.testing.assert_array_equal(layout.unpack(layout.pack(encoding), packing), encoding.decode())


def test_every_code_of_three_bits_has_its_own_place() -> None:
    codes = np.zeros((32, 32), np.uint8)
    np.fill_diagonal(codes, 7)
    parts = GptqFormat().pack(GroupedIntegers(codes, 3, 32, np.ones((32, 1), np.float16)))
    words = [[unsigned(word) for word in parts["qweight"][:, place]] for place in range(32)]
    assert [sum(word << (32 * number) for number, word in enumerate(row)) for row in words] == [
        7 << (3 * place) for place in range(32)
    ]


def test_a_symmetric_zero_point_is_stored_less_one_in_gptq_and_as_it_is_in_awq() -> None:
    encoding = GroupedIntegers(np.zeros((32, 32), np.uint8), 4, 32, np.ones((32, 1), np.float16))
    assert {unsigned(word) for word in GptqFormat().pack(encoding)["qzeros"].flat} == {0x77777777}
    assert {unsigned(word) for word in AwqFormat().pack(encoding)["qzeros"].flat} == {0x88888888}


# Files ----------------------------------------------------------------------------------------------------------------


def wide(build: Callable[[Mapping[str, int]], nn.Module]) -> nn.Module:
    """A tiny model whose layers' sizes are multiples of 32."""
    return build({"num_key_value_heads": 2, "intermediate_size": 96} if build is llama else NONE)


def rounded(module: nn.Module, folder: Path, **knobs: Any) -> CompressibleModel:
    model = CompressibleModel(module)
    (step,) = steps_from_plain([{"rtn": {"group_size": 32, "scope": "layers", **knobs}}])
    step.apply(model, step_context(module, folder))
    return model


def export(name: str, model: CompressibleModel, folder: Path) -> Path:
    out = folder / "out"
    out.mkdir()
    assert LAYOUTS[name].export(model, out, step_context(model.module, folder)) == "float32 after unpacking at load"
    return out


TOKENS = {"input_ids": np.arange(8)[None] + 5, "attention_mask": np.ones((1, 8), np.int64)}


def halved(module: nn.Module, packed: set[str]) -> nn.Module:
    """The module with what is not packed rounded to float16, as it is stored."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name not in packed:
                parameter.copy_(parameter.half().float())
    return module


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        *(("gptq", {"bits": bits, "symmetric": symmetric}) for bits in (2, 3, 4, 8) for symmetric in (True, False)),
        *(("awq", {"symmetric": symmetric}) for symmetric in (True, False)),
    ],
    ids=str,
)
@pytest.mark.parametrize("build", [llama, bert])
def test_what_is_loaded_computes_what_was_exported(
    build: Callable[..., nn.Module], name: str, knobs: dict[str, Any], tmp_path: Path
) -> None:
    model = rounded(wide(build), tmp_path, **knobs)
    out = export(name, model, tmp_path)
    runner = LAYOUTS[name].load(out, "cpu", 1)
    stored = load_file(out / "model.safetensors")
    packed = {key.replace(".qweight", ".weight") for key in stored if key.endswith(".qweight")}
    assert len(packed) >= 12
    found = next(iter(runner.forward(TOKENS).values()))
    np.testing.assert_array_equal(found, output_of(halved(model.module, packed), TOKENS))
    assert autocompress.load(out).state_dict().keys() == model.module.state_dict().keys()


def test_layers_of_several_stacks_and_a_shared_head_are_read_back(tmp_path: Path) -> None:
    model = rounded(whisper({}), tmp_path, bits=8)
    out = export("gptq", model, tmp_path)
    inputs = {"input_features": np.ones((1, 8, 40), np.float32), "decoder_input_ids": np.array([[4, 7, 9]])}
    found = LAYOUTS["gptq"].load(out, "cpu", 1).forward(inputs)["logits"]
    np.testing.assert_allclose(found, output_of(model.module, inputs), atol=2e-3)


def test_gpt2_whose_layers_are_stored_transposed_goes_into_gptq_only(tmp_path: Path) -> None:
    config = transformers.GPT2Config(vocab_size=100, n_embd=32, n_layer=2, n_head=2, n_positions=32)
    torch.manual_seed(0)
    model = rounded(transformers.GPT2LMHeadModel(config).eval(), tmp_path, bits=8)
    out = export("gptq", model, tmp_path)
    found = LAYOUTS["gptq"].load(out, "cpu", 1).forward(TOKENS)["logits"]
    np.testing.assert_allclose(found, output_of(model.module, TOKENS), atol=2e-3)
    with pytest.raises(Unsupported, match="Conv1D"):
        AwqFormat().export(rounded(model.module, tmp_path), out, step_context(model.module, tmp_path))


def books(assets: Path) -> np.ndarray:
    """Windows of 128 tokens, shape (20, 1, 128)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(assets / "models" / "books-llama-small")
    text = (assets / "data" / "books" / "validation.txt").read_text(encoding="utf-8")[:30_000]
    return np.array(tokenizer(text, verbose=False)["input_ids"][: 20 * 128], np.int64).reshape(20, 1, 128)


def nats(module: nn.Module, windows: np.ndarray) -> float:
    """Mean loss per token."""
    with torch.inference_mode():
        return float(np.mean([float(module(input_ids=w, labels=w).loss) for w in torch.from_numpy(windows)]))


def test_awq_with_folded_scales_is_read_back_bit_for_bit_and_loses_less_than_rounding(
    assets: Path, tmp_path: Path
) -> None:
    windows = books(assets)
    calibration = [{"input_ids": window, "attention_mask": np.ones_like(window)} for window in windows[:8]]
    losses = {}
    for tag, knobs in {"rtn": {}, "awq": {"fold_scales": True}}.items():
        module = transformers.AutoModelForCausalLM.from_pretrained(assets / "models" / "books-llama-small").eval()
        step = {tag: {"bits": 4, "group_size": 64, "symmetric": False, "scope": "layers", **knobs}}
        model = compressed(module, tmp_path, step, calibration=calibration)
        losses[tag] = nats(module, windows[8:])
    for name in FORMATS:
        folder = tmp_path / name
        folder.mkdir()
        LAYOUTS[name].export(model, folder, step_context(module, tmp_path))
        loaded = autocompress.load(folder)
        for place in model.encodings:
            if "layers" in place:
                assert torch.equal(loaded.get_parameter(place), module.get_parameter(place)), place
        np.testing.assert_allclose(output_of(loaded, calibration[0]), output_of(module, calibration[0]), atol=0.05)
    assert losses["awq"] < losses["rtn"]


@pytest.mark.parametrize("name", FORMATS)
def test_equal_models_give_equal_bytes(name: str, tmp_path: Path) -> None:
    written = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        out = export(name, rounded(wide(llama), folder), folder)
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert written[0] == written[1]


@pytest.mark.parametrize("name", FORMATS)
def test_transformers_knows_the_configuration(name: str, tmp_path: Path) -> None:
    from transformers.utils.quantization_config import AwqConfig, GPTQConfig

    out = export(name, rounded(wide(llama), tmp_path), tmp_path)
    plain = transformers.AutoConfig.from_pretrained(out).quantization_config
    config = {"gptq": GPTQConfig, "awq": AwqConfig}[name].from_dict(plain)
    assert (config.bits, config.group_size) == (4, 32)


def test_gptq_names_the_blocks_and_the_layers_in_them(tmp_path: Path) -> None:
    out = export("gptq", rounded(wide(llama), tmp_path), tmp_path)
    config = json.loads((out / "quantize_config.json").read_text())
    assert config == json.loads((out / "config.json").read_text())["quantization_config"]
    assert config["block_name_to_quantize"] == "model.layers"
    assert config["sym"] is True
    (layers,) = config["modules_in_block_to_quantize"]
    assert "self_attn.q_proj" in layers
    assert len(layers) == 7


def test_a_dense_layer_of_a_block_is_named_to_the_readers(tmp_path: Path) -> None:
    model = rounded(wide(llama), tmp_path)
    del model.encodings["model.layers.1.mlp.up_proj.weight"]
    gptq = json.loads((export("gptq", model, tmp_path) / "quantize_config.json").read_text())
    assert gptq["dynamic"] == {"-:^model\\.layers\\.1\\.mlp\\.up_proj$": {}}
    (tmp_path / "awq").mkdir()
    awq = json.loads((export("awq", model, tmp_path / "awq") / "config.json").read_text())["quantization_config"]
    assert awq["modules_to_not_convert"] == ["model.layers.1.mlp.up_proj"]


def test_a_head_that_is_coded_too_is_stored_dense_by_its_decoded_values(tmp_path: Path) -> None:
    model = rounded(wide(llama), tmp_path)
    config = model.module.config
    config.tie_word_embeddings = False
    module = transformers.LlamaForCausalLM(config).eval()
    model = rounded(module, tmp_path)
    stored = load_file(export("awq", model, tmp_path) / "model.safetensors")
    decoded = model.encodings["lm_head.weight"].decode()
    np.testing.assert_array_equal(stored["lm_head.weight"], decoded.astype(np.float16))


def test_pruned_weights_take_the_code_of_zero(tmp_path: Path) -> None:
    model = rounded(wide(llama), tmp_path)
    name = "model.layers.0.mlp.up_proj.weight"
    whole = model.encodings[name]
    assert isinstance(whole, GroupedIntegers)
    weight = next(weight for weight in model.weights() if weight.name == name)
    model.encode(weight, SparseIntegers(np.random.default_rng(0).random(whole.shape) > 0.5, whole))
    loaded = autocompress.load(export("gptq", model, tmp_path)).get_parameter(name)
    assert torch.equal(loaded, weight.matrix)


# Refusals -------------------------------------------------------------------------------------------------------------


def of(name: str, *steps: Any, facts: ModelFacts | None = None) -> str | None:
    facts = facts or facts_of(wide(llama), "language-modelling")
    recipe = Recipe(steps=steps_from_plain(steps), format=name)
    return recipe_refusal(recipe, {**LAYOUTS}, facts, "cpu")


RTN = {"rtn": {"group_size": 32, "scope": "layers"}}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([], "the recipe needs a step such as rtn"),
        (["fp16"], "leave fp16 out"),
        ([RTN, "bf16"], "bf16 cannot be kept"),
        (["int8_dynamic"], "int8_dynamic cannot be kept"),
        ([{"kmeans": {"scope": "attention"}}, RTN], "no codebooks"),
        (["int8_weight_only"], "not those of int8_weight_only"),
        ([{"awq": {"group_size": 32, "scope": "layers"}}], "set `fold_scales: true`"),
        ([{"rtn": {"group_size": 32, "scope": "layers", "effective_bits": 4.25}}], "the same bits"),
        ([{"rtn": {"group_size": 32}}], "set the scope to layers"),
        ([{"rtn": {"group_size": 20, "scope": "layers"}}], "no multiple of 20"),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_refused_before_anything_is_computed(name: str, steps: list, reason: str) -> None:
    assert reason in (of(name, *steps) or "")


@pytest.mark.parametrize("name", FORMATS)
def test_awq_is_taken_where_its_scales_are_folded_in_or_there_are_none(name: str) -> None:
    for knobs in ({"fold_scales": True}, {"exponents": 0}):
        assert of(name, {"awq": {"group_size": 32, "scope": "layers", **knobs}}) is None


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_awq_knows_four_bits_only(bits: int) -> None:
    step = {"rtn": {"group_size": 32, "scope": "layers", "bits": bits}}
    assert of("awq", step) == f"awq: it knows 4 bits, not {bits}"
    assert of("gptq", step) is None


@pytest.mark.parametrize(
    ("name", "in_features", "out_features", "reason"),
    [
        ("gptq", 64, 40, "40 outputs, which is no multiple of 32"),
        ("awq", 64, 40, None),
        ("awq", 64, 42, "42 outputs, which is no multiple of 8"),
        ("gptq", 80, 64, "80 inputs, which is no multiple of 32"),
    ],
)
def test_layers_that_do_not_fill_whole_words_are_refused(
    name: str, in_features: int, out_features: int, reason: str | None
) -> None:
    weight = WeightFact(name="h.0.up.weight", kind="linear", in_features=in_features, out_features=out_features)
    facts = ModelFacts(architecture="Any", task="any", n_parameters=1, weights=(weight,))
    group_size = 16 if in_features == 80 else 32
    found = of(name, {"rtn": {"group_size": group_size, "scope": "layers"}}, facts=facts)
    assert (found is None) if reason is None else (reason in (found or ""))


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_of_ones_own_and_one_without_blocks_are_refused(name: str) -> None:
    own = facts_of(wide(llama), "own")
    assert "code is in transformers" in (of(name, RTN, facts=own) or "")
    head = WeightFact(name="classifier.weight", kind="linear", in_features=64, out_features=64)
    facts = ModelFacts(architecture="Any", task="any", n_parameters=1, weights=(head,))
    assert "no linear layer of a repeated block" in (of(name, RTN, facts=facts) or "")


@pytest.mark.parametrize("name", FORMATS)
def test_what_only_the_weights_show_is_refused_at_export(name: str, tmp_path: Path) -> None:
    place = "model.layers.0.mlp.up_proj.weight"
    plain = rounded(wide(llama), tmp_path).encodings[place]
    assert isinstance(plain, GroupedIntegers)
    for encoding, reason in (
        (replace(plain, input_scales=np.ones(32, np.float16)), "input scales"),
        (replace(plain, scales=plain.scales.astype(np.float32) * np.float32(1e9)), "beyond the largest value"),
        (replace(plain, codes=plain.codes // 4, bits=2), "bit"),
        (Codebook(plain.codes, np.arange(16, dtype=np.float32)), "codebook"),
    ):
        model = rounded(wide(llama), tmp_path)
        model.encodings[place] = encoding
        with pytest.raises(Unsupported, match=reason):
            LAYOUTS[name].export(model, tmp_path, step_context(model.module, tmp_path))


def test_a_checkpoint_of_the_other_layout_is_no_checkpoint(tmp_path: Path) -> None:
    out = export("awq", rounded(wide(llama), tmp_path), tmp_path)
    with pytest.raises(ModelError, match="not a checkpoint of the format gptq"):
        GptqFormat().load(out, "cpu", 1)


def test_a_search_that_is_told_to_use_a_checkpoint_format_proposes_what_it_takes() -> None:
    methods = {tag: type(steps_from_plain([tag])[0]) for tag in ("rtn", "ffn_width", "fp16", "kmeans")}
    facts = facts_of(llama({"num_key_value_heads": 2, "hidden_size": 64, "intermediate_size": 128}), "any")
    space = SearchSpace(methods, {"gptq": GptqFormat()}, facts, "cpu", seed=0)
    (recipe,) = space.known_good()
    assert [step.tag for step in recipe.steps] == ["rtn"]
