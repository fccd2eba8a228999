"""An encoder or a decoder in half precision, the rest in float32: in every format, on disk and loaded again."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_models import MODELS, bert, compressed, output_of, step_context, whisper

import autocompress
from autocompress import registry
from autocompress.compressible import CompressibleModel, StepContext
from autocompress.errors import ModelError
from autocompress.facts import Part
from autocompress.formats.base import Format, Runner
from autocompress.half_part import find_parts
from autocompress.methods.bf16 import BFloat16
from autocompress.methods.fp16 import Float16
from autocompress.model_state import facts_of, restore_state, save_state
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.space import SearchSpace
from autocompress.stage_cache import StageCache, cache_root

WIDER = {"max_target_positions": 64}
"""What the exporter's example of a text needs."""
INPUTS = MODELS["whisper"][1]
SPOKEN = {"input_features": INPUTS["input_features"]}
PARTS: list[Part] = ["encoder", "decoder"]
TASK = "speech-seq2seq"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_whisper(overrides: Mapping[str, int] = WIDER) -> Any:
    """A Whisper whose settings of generation name no token beyond its vocabulary."""
    module: Any = whisper({**WIDER, **overrides})
    module.generation_config.suppress_tokens = module.generation_config.begin_suppress_tokens = None
    return module


def halved(folder: Path, part: str, *before: Any, tag: str = "fp16") -> CompressibleModel:
    return compressed(small_whisper(), folder, *before, {tag: {"part": part}})


def context_of(module: torch.nn.Module, folder: Path, inputs: Any = INPUTS) -> StepContext:
    cache = StageCache(cache_root(), 10**10)
    return replace(step_context(module, folder, inputs), task=TASK, cache=cache)


def exported(model: CompressibleModel, folder: Path, name: str, inputs: Any = INPUTS) -> tuple[Runner, str]:
    folder.mkdir(exist_ok=True)
    kind: type[Format] = registry.load("formats", name)
    words = kind().export(model, folder, context_of(model.module, folder.parent, inputs))
    return kind().load(folder, "cpu", 1), words


def in_part(name: str, part: str) -> bool:
    return name.startswith("model.encoder.") == (part == "encoder")


def in_graph(name: str, part: str) -> bool:
    """As `in_part`, in graphs: the encoder's has the keys and values of cross-attention."""
    return (name.startswith("model.encoder.") or "encoder_attn.k" in name or "encoder_attn.v" in name) == (
        part == "encoder"
    )


def size_of(folder: Path, *endings: str) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in endings)


@pytest.mark.parametrize("tag", ["fp16", "bf16"])
@pytest.mark.parametrize("part", PARTS)
def test_only_the_part_is_rounded_and_the_whole_still_computes(part: str, tag: str, tmp_path: Path) -> None:
    model = halved(tmp_path, part, tag=tag)
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[tag]
    originals = dict(whisper(WIDER).named_parameters())
    for name, now in model.module.named_parameters():
        assert torch.equal(now, originals[name].to(dtype) if in_part(name, part) else originals[name]), name
    expected = output_of(whisper(WIDER), INPUTS)
    found = output_of(model.module, INPUTS)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() <= {"fp16": 1e-3, "bf16": 1e-2}[tag] * np.abs(expected).max()


@pytest.mark.parametrize("part", PARTS)
def test_the_part_gives_and_takes_float32_and_computes_what_it_computes_alone_in_half(
    part: str, tmp_path: Path
) -> None:
    module: Any = halved(tmp_path, part).module
    alone: Any = whisper(WIDER).half() if part == "encoder" else whisper(WIDER)
    features = torch.from_numpy(SPOKEN["input_features"])
    with torch.inference_mode():
        found = module.model.encoder(features)
        expected = alone.model.encoder(features.to(alone.dtype)).last_hidden_state.float()
    assert isinstance(found, transformers.modeling_outputs.BaseModelOutput)
    assert found.last_hidden_state.dtype == found[0].dtype == torch.float32
    assert torch.equal(found[0], expected)


@pytest.mark.parametrize("part", PARTS)
def test_the_cache_of_a_half_decoder_is_half(part: str, tmp_path: Path) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in INPUTS.items()}
    with torch.inference_mode():
        outputs = halved(tmp_path, part).module(**tensors, use_cache=True)
    keys = outputs.past_key_values.self_attention_cache.layers[0].keys
    assert keys.dtype == (torch.float16 if part == "decoder" else torch.float32)
    assert outputs.logits.dtype == torch.float32


@pytest.mark.parametrize("part", PARTS)
def test_encodings_outside_of_the_part_keep_their_float32(part: str, tmp_path: Path) -> None:
    rounding = {"kmeans": {"n_centroids": 16}}
    model = halved(tmp_path, part, rounding)
    plain = compressed(whisper(WIDER), tmp_path, rounding)
    for weight in model.weights():
        if weight.name in model.encodings:
            before = plain.encodings[weight.name]
            expected = before.with_float16() if in_part(weight.name, part) else before
            assert np.array_equal(model.encodings[weight.name].decode(), expected.decode())
            decoded = torch.from_numpy(expected.decode()).to(weight.parameter.dtype)
            assert torch.equal(weight.matrix, decoded.float())


@pytest.mark.parametrize("before", [[], ["ffn_width"], [{"kmeans": {"n_centroids": 8}}]], ids=str)
@pytest.mark.parametrize("part", PARTS)
def test_it_comes_back_from_disk_between_steps(part: str, before: list[Any], tmp_path: Path) -> None:
    model = halved(tmp_path, part, *before)
    save_state(model, tmp_path)
    again = restore_state(tmp_path, small_whisper)
    assert (again.precision, again.half_part) == ("float16", part)
    assert (again.precision_of("encoder") == "float16") == (part == "encoder")
    assert np.array_equal(output_of(again.module, INPUTS), output_of(model.module, INPUTS))


@pytest.mark.parametrize(
    "before", [[], ["ffn_width"], ["heads"], [{"kmeans": {"n_centroids": 8}}], [{"rtn": {"group_size": 16}}]], ids=str
)
@pytest.mark.parametrize("part", PARTS)
def test_pytorchs_files_give_the_same_model_again(part: str, before: list[Any], tmp_path: Path) -> None:
    model = halved(tmp_path, part, *before)
    runner, words = exported(model, tmp_path / "out", "pytorch")
    assert words.startswith(f"{part} in float16, the rest in float32")
    expected = output_of(model.module, INPUTS)
    np.testing.assert_allclose(runner.forward(INPUTS)["logits"], expected, rtol=1e-5, atol=1e-6)
    module: Any = autocompress.load(tmp_path / "out", threads=1)
    assert {name: p.dtype for name, p in module.named_parameters()} == {
        name: p.dtype for name, p in model.module.named_parameters()
    }
    # Tensors mapped from a file lie at other addresses: kernels may add in another order.
    np.testing.assert_allclose(output_of(module, INPUTS), expected, rtol=1e-5, atol=1e-6)
    features = torch.from_numpy(SPOKEN["input_features"])
    length = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}
    tokens = copy.deepcopy(model.module).generate(features, **length)  # type: ignore[operator]
    assert torch.equal(module.generate(features, **length), tokens)
    assert torch.equal(module.generate(features, **length, use_cache=False), tokens)
    assert np.array_equal(runner.generate(SPOKEN, 8, 8), tokens.numpy())


@pytest.mark.parametrize("tag", ["fp16", "bf16"])
@pytest.mark.parametrize("part", PARTS)
def test_pytorchs_file_has_two_bytes_for_a_parameter_of_the_part_and_four_for_others(
    part: str, tag: str, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    exported(halved(tmp_path, part, tag=tag), tmp_path / "out", "pytorch")
    stored = sum(tensor.nbytes for tensor in load_file(tmp_path / "out" / "model.safetensors").values())
    parameters = whisper(WIDER).named_parameters()
    assert stored == sum(p.numel() * (2 if in_part(name, part) else 4) for name, p in parameters)


@pytest.mark.parametrize(
    "half",
    [{"part": "model", "dtype": "float16"}, {"part": "encoder", "dtype": "float64"}, {"part": "encoder"}, "encoder"],
    ids=str,
)
def test_a_manifest_that_names_another_part_or_type_is_refused(half: Any, tmp_path: Path) -> None:
    exported(halved(tmp_path, "encoder"), tmp_path / "out", "pytorch")
    path = tmp_path / "out" / "autocompress.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "half": half}))
    with pytest.raises(ModelError, match=r"autocompress\.json"):
        autocompress.load(tmp_path / "out")


def test_a_manifest_that_names_a_part_of_a_model_without_parts_is_refused(tmp_path: Path) -> None:
    exported(compressed(bert(), tmp_path, "kmeans"), tmp_path / "out", "pytorch")
    path = tmp_path / "out" / "autocompress.json"
    manifest = {**json.loads(path.read_text()), "half": {"part": "encoder", "dtype": "float16"}}
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="no encoder"):
        autocompress.load(tmp_path / "out")


@pytest.mark.parametrize("before", [[], [{"kmeans": {"n_centroids": 8}}], [{"rtn": {"group_size": 16}}]], ids=str)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_one_graph_is_half_and_the_outputs_are_near_float32s(
    name: str, part: str, before: list[Any], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime" if name == "onnx" else name)
    plain = compressed(small_whisper(), tmp_path, *before)
    whole, _ = exported(plain, tmp_path / "whole", name)
    expected = whole.forward(INPUTS)["logits"]
    runner, words = exported(halved(tmp_path, part, *before), tmp_path / "out", name)
    np.testing.assert_allclose(runner.forward(INPUTS)["logits"], expected, atol=5e-3 * np.abs(expected).max())
    assert np.array_equal(runner.generate(SPOKEN, 8, 8), whole.generate(SPOKEN, 8, 8))
    other = "decoder" if part == "encoder" else "encoder"
    assert f"{part} in " in words
    assert f"{other} in " in words
    if name == "onnx" and not before:
        assert set(words.split("; ")) == {f"{part} in float16", f"{other} in float32"}


@pytest.mark.parametrize("part", PARTS)
def test_onnxs_graph_of_the_part_has_the_half_and_the_others_is_as_without(part: str, tmp_path: Path) -> None:
    import onnx

    exported(CompressibleModel(whisper(WIDER)), tmp_path / "whole", "onnx")
    exported(halved(tmp_path, part), tmp_path / "out", "onnx")
    for graph in ("encoder", "decoder"):
        kinds: dict[int, int] = {}
        for tensor in onnx.load(tmp_path / "out" / f"{graph}_model.onnx").graph.initializer:
            if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
                kinds[tensor.data_type] = kinds.get(tensor.data_type, 0) + int(np.prod(tensor.dims))
        wanted = onnx.TensorProto.FLOAT16 if graph == part else onnx.TensorProto.FLOAT
        assert kinds[wanted] == sum(kinds.values()), kinds
        ends = onnx.load(tmp_path / "out" / f"{graph}_model.onnx").graph
        for value in [*ends.input, *ends.output]:
            assert value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT16


def test_only_encoder_decoders_that_share_no_weight_between_their_halves_have_parts() -> None:
    assert find_parts(whisper()) == {
        "model": ("",),
        "encoder": ("model.encoder",),
        "decoder": ("model.decoder", "proj_out"),
    }
    sharing = transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            vocab_size=30, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
            encoder_attention_heads=1, decoder_attention_heads=1,
        )
    )  # fmt: skip
    assert facts_of(sharing, TASK).parts == facts_of(bert(), "any").parts == ("model",)
    assert "no encoder" in Float16(part="encoder").refuses(facts_of(bert(), "any"))
    assert Float16(part="encoder").refuses(facts_of(whisper(), TASK)) is None
    assert "float32" in Float16(part="decoder").refuses(facts_of(whisper().bfloat16(), TASK))
    assert "already" in BFloat16(part="decoder").refuses(facts_of(whisper().half(), TASK))


def test_a_search_tries_parts_of_encoder_decoders_only() -> None:
    formats = {"pytorch": registry.load("formats", "pytorch")()}
    for module, task, n_parts in ((bert(), "text-classification", 1), (whisper(), TASK, 3)):
        space = SearchSpace({"fp16": Float16}, formats, facts_of(module, task), "cpu", seed=0)
        recipes = [Recipe(steps=(Float16(part=part),), format="pytorch") for part in ("model", *PARTS)]
        assert [space.contains(recipe) for recipe in recipes] == [index < n_parts for index in range(3)]


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_a_task_of_one_graph_has_no_half_parts_there(name: str) -> None:
    steps = steps_from_plain([{"fp16": {"part": "encoder"}}])
    kind: Format = registry.load("formats", name)()
    assert "one graph" in kind.refuses(steps, facts_of(whisper(), "text-classification"), "cpu")
    assert kind.refuses(steps, facts_of(whisper(), TASK), "cpu") is None
    whole = steps_from_plain([{"layers": {"part": "all"}}, "fp16"])
    assert kind.refuses(whole, facts_of(bert(), "text-classification"), "cpu") is None


def test_the_whole_model_is_told_as_before() -> None:
    assert str(Float16()) == "fp16"
    assert str(BFloat16(part="decoder")) == "bf16 part=decoder"


def spoken_digits(assets: Path, count: int) -> Iterator[np.ndarray]:
    import soundfile

    processor = transformers.WhisperProcessor.from_pretrained(assets / "models" / "fsdd-whisper-small")
    folder = assets / "data" / "fsdd"
    with (folder / "test.csv").open(newline="") as stream:
        for row in list(csv.DictReader(stream))[:count]:
            path = folder / row["file"]
            sound, rate = soundfile.read(path if path.exists() else folder / "test" / row["file"])
            yield processor(sound, sampling_rate=rate, return_tensors="np").input_features.astype(np.float32)


@pytest.mark.parametrize("name", ["pytorch", "onnx", "openvino"])
@pytest.mark.parametrize("part", PARTS)
def test_a_trained_whisper_says_the_same_tokens(part: str, name: str, assets: Path, tmp_path: Path) -> None:
    if name != "pytorch":
        pytest.importorskip("onnxruntime" if name == "onnx" else name)
    folder = assets / "models" / "fsdd-whisper-small"
    module = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    utterances = list(spoken_digits(assets, 6))
    expected = [module.generate(torch.from_numpy(features)).numpy() for features in utterances]
    halves = in_part if name == "pytorch" else in_graph
    parameters = list(module.named_parameters())
    predicted = sum(parameter.numel() * (2 if halves(key, part) else 4) for key, parameter in parameters)
    model = compressed(module, tmp_path, {"fp16": {"part": part}})
    runner, _ = exported(model, tmp_path / "out", name, {"input_features": utterances[0]})
    for features, tokens in zip(utterances, expected, strict=True):
        np.testing.assert_array_equal(runner.generate({"input_features": features}, 31), tokens)
    size = size_of(tmp_path / "out", ".safetensors", ".onnx", ".bin")
    assert predicted <= size <= 1.03 * predicted
