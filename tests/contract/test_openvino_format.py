"""The OpenVINO format: every encoding and every step on small models, and the trained ones, compared with torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from test_onnx_format import CLASSES, doubler, example, facts, size_of, spoken_digits
from test_onnx_format import load as load_trained
from tiny_models import MODELS, output_of, step_context, token_calls

import autocompress
from autocompress import registry
from autocompress.compressible import CompressibleModel, Inputs, StepContext
from autocompress.data.parts import read_parts
from autocompress.errors import ModelError
from autocompress.formats.base import Runner
from autocompress.formats.openvino import OpenVinoFormat
from autocompress.recipe import steps_from_plain
from autocompress.spec_file import read_spec
from autocompress.stage_cache import StageCache, cache_root
from autocompress.tasks.detection import find_task

pytest.importorskip("openvino")

from autocompress.formats.openvino.format import INTEGER_FLAGS, cpu_flags
from autocompress.formats.openvino.weight_nodes import int8_rows

RECIPES = Path(__file__).parents[2] / "recipes"
TASKS = {
    "bert": "text-classification",
    "vit": "image-classification",
    "resnet": "image-classification",
    "wav2vec2": "speech-ctc",
    "llama": "language-modelling",
    "whisper": "speech-seq2seq",
}
WIDER: dict[str, Mapping[str, int]] = {"whisper": {"max_target_positions": 64}}
"""What the exporter's example of a text needs."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(name: str, folder: Path) -> tuple[CompressibleModel, Inputs, StepContext]:
    build, inputs = MODELS[name]
    module = build(WIDER.get(name, {}))
    cache = StageCache(cache_root(), 10**10)
    calibration = lambda: [inputs] * 4  # noqa: E731
    context = dataclasses.replace(
        step_context(module, folder, inputs), task=TASKS[name], cache=cache, calibration=calibration
    )
    return CompressibleModel(module), inputs, context


def exported(model: CompressibleModel, folder: Path, context: StepContext) -> tuple[Runner, str]:
    words = OpenVinoFormat().export(model, folder, context)
    return OpenVinoFormat().load(folder, "cpu", 1), words


def apply(model: CompressibleModel, context: StepContext, *plain: Any) -> None:
    for one in steps_from_plain(plain):
        assert one.refuses(context.facts) is None
        one.apply(model, context)


def step(tag: str, **knobs: Any) -> Any:
    return registry.load("methods", tag)(**knobs)


@pytest.mark.parametrize("name", TASKS)
def test_the_float_export_gives_torchs_outputs(tmp_path: Path, name: str) -> None:
    model, inputs, context = tiny(name, tmp_path)
    runner, words = exported(model, tmp_path / "files", context)
    np.testing.assert_allclose(runner.forward(inputs)["logits"], output_of(model.module, inputs), atol=1e-5)
    assert words == "float32"


CODINGS: dict[str, tuple[Any, ...]] = {
    "int8": ("int8_weight_only",),
    "8 bits": ({"rtn": {"bits": 8, "group_size": 16}},),
    "4 bits": ({"rtn": {"bits": 4, "group_size": 16}},),
    "4 bits, zero points": ({"rtn": {"bits": 4, "group_size": 16, "symmetric": False}},),
    "3 bits": ({"rtn": {"bits": 3, "group_size": 16}},),
    "3 bits, zero points": ({"rtn": {"bits": 3, "group_size": 16, "symmetric": False}},),
    "2 bits": ({"rtn": {"bits": 2, "group_size": 16}},),
    "ragged groups": ({"rtn": {"bits": 4, "group_size": 24}},),
    "16 centroids": ({"kmeans": {"n_centroids": 16}},),
    "32 centroids": ({"kmeans": {"n_centroids": 32}},),
    "zeros": ({"magnitude": {"sparsity": 0.6}},),
    "zeros, centroids": ({"magnitude": {"sparsity": 0.6}}, {"kmeans": {"n_centroids": 16}}),
    "zeros, integers": ({"magnitude": {"sparsity": 0.6}}, {"rtn": {"bits": 4, "group_size": 16}}),
    "centroids in half": ({"kmeans": {"n_centroids": 16}}, "fp16"),
    "integers in half": ({"rtn": {"bits": 4, "group_size": 16}}, "fp16"),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("coding", CODINGS)
def test_an_encoded_model_computes_what_its_decoded_weights_compute(tmp_path: Path, name: str, coding: str) -> None:
    model, inputs, context = tiny(name, tmp_path)
    apply(model, context, *CODINGS[coding])
    runner, words = exported(model, tmp_path / "files", context)
    expected = output_of(model.module.float(), inputs)
    # Half precision rounds the biases and norms too.
    tolerance = 2e-3 if "half" in coding else 2e-5
    np.testing.assert_allclose(
        runner.forward(inputs)["logits"], expected, atol=tolerance * max(1, np.abs(expected).max())
    )
    packed = sum(encoding.packed_bytes for encoding in model.encodings.values())
    dense = 4 * sum(p.numel() for key, p in model.module.named_parameters() if key not in model.encodings)
    weights = sum(file.stat().st_size for file in (tmp_path / "files").iterdir() if file.suffix != ".xml")
    assert 0.5 * packed <= weights <= packed + dense + 20_000
    assert any(word in words for word in ("unpacking at load", "float activations"))


@pytest.mark.parametrize("steps", [(), ("int8_static",), ({"magnitude": {}}, {"rtn": {"group_size": 16}}), ("fp16",)])
def test_equal_models_give_equal_bytes(tmp_path: Path, steps: tuple[Any, ...]) -> None:
    for folder in ("first", "second"):
        model, _, context = tiny("bert", tmp_path)
        apply(model, context, *steps)
        exported(model, tmp_path / folder, context)
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes(), file.name


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "fsdd-whisper-small"])
def test_a_trained_model_gives_torchs_logits(assets: Path, tmp_path: Path, name: str) -> None:
    model = load_trained(assets, name)
    inputs = example(name, model.module)
    runner, _ = exported(model, tmp_path, context_of(name, model, inputs, tmp_path))
    expected = output_of(model.module, inputs)
    np.testing.assert_allclose(runner.forward(inputs)["logits"], expected, atol=3e-5 * np.abs(expected).max())


def context_of(name: str, model: CompressibleModel, inputs: Inputs, folder: Path) -> StepContext:
    return dataclasses.replace(
        step_context(model.module, folder / "context", inputs),
        task=CLASSES[name][1],
        cache=StageCache(cache_root(), 10**10),
        calibration=lambda: [inputs] * 4,
    )


def test_whisper_says_the_same_tokens_as_generate(assets: Path, tmp_path: Path) -> None:
    name = "fsdd-whisper-small"
    model = load_trained(assets, name)
    runner, _ = exported(model, tmp_path / "files", context_of(name, model, example(name, model.module), tmp_path))
    assert sorted(file.name for file in (tmp_path / "files").iterdir()) == [
        "decoder_model.bin",
        "decoder_model.xml",
        "encoder_model.bin",
        "encoder_model.xml",
        "generation.json",
    ]
    assert size_of(tmp_path / "files") <= 1.03 * (assets / "models" / name / "model.safetensors").stat().st_size
    for features in spoken_digits(assets, 20):
        expected = model.module.generate(torch.from_numpy(features)).numpy()
        np.testing.assert_array_equal(runner.generate({"input_features": features}, 31), expected)


def test_a_language_model_continues_a_prompt_as_generate_does(assets: Path, tmp_path: Path) -> None:
    name = "books-llama-small"
    model = load_trained(assets, name)
    runner, _ = exported(model, tmp_path / "files", context_of(name, model, example(name, model.module), tmp_path))
    tokenizer = transformers.AutoTokenizer.from_pretrained(assets / "models" / name)
    for prompt in ("The old man walked", "She had never", "It was a dark night, and"):
        tokens = tokenizer(prompt, return_tensors="pt")
        inputs = {key: tokens[key] for key in ("input_ids", "attention_mask")}
        expected = model.module.generate(**inputs, max_new_tokens=32, do_sample=False).numpy()
        given = runner.generate({key: value.numpy() for key, value in inputs.items()}, 32)
        np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize("name", ["bert", "llama", "whisper"])
@pytest.mark.parametrize(
    "steps",
    [
        ({"int8_dynamic": {"per_channel": True}},),
        ({"rtn": {"bits": 8, "group_size": 32}}, "int8_dynamic"),
        ({"kmeans": {"n_centroids": 256}}, {"int8_dynamic": {"per_channel": True}}),
        ({"magnitude": {"sparsity": 0.3}}, {"int8_dynamic": {"per_channel": True}}),
    ],
    ids=lambda steps: str(len(steps)),
)
def test_int8_at_run_time_quantizes_activations_and_stays_near_the_decoded_model(
    tmp_path: Path, name: str, steps: tuple[Any, ...]
) -> None:
    model, inputs, context = tiny(name, tmp_path)
    apply(model, context, *steps)
    runner, words = exported(model, tmp_path / "files", context)
    given, expected = runner.forward(inputs)["logits"], output_of(model.module, inputs)
    error = np.abs(given - expected).max() / np.abs(expected).max()
    assert 1e-5 < error < 0.1
    assert "× int8 activations, FullyConnected" in words


def test_a_clustered_model_runs_on_int8_kernels_from_a_file_of_indices(assets: Path, tmp_path: Path) -> None:
    name = "minilm-sst2"
    model = load_trained(assets, name)
    inputs = example(name, model.module)
    context = context_of(name, model, inputs, tmp_path)
    apply(model, context, {"kmeans": {"n_centroids": 16}}, {"int8_dynamic": {"per_channel": True}})
    runner, _ = exported(model, tmp_path / "files", context)
    expected = output_of(model.module, inputs)
    assert np.abs(runner.forward(inputs)["logits"] - expected).max() <= 0.1 * np.abs(expected).max()
    assert size_of(tmp_path / "files") <= 0.131 * (assets / "models" / name / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("name", "largest_ratio"),
    [
        ("minilm-sst2", 0.26),
        ("fashion-vit-small", 0.29),
        ("fashion-resnet", 0.265),
        ("fsdd-wav2vec2-ctc", 0.295),
        ("books-llama-small", 0.275),
    ],
)
def test_static_int8_has_the_size_of_its_integers_and_stays_near_the_original_on_its_data(
    assets: Path, tmp_path: Path, name: str, largest_ratio: float
) -> None:
    model = load_trained(assets, name)
    calibration, judged = own_data(assets, name)
    expected = [output_of(model.module, inputs) for inputs in judged]
    context = context_of(name, model, judged[0], tmp_path)
    apply(model, context, "int8_static")
    runner, words = exported(model, tmp_path / "files", dataclasses.replace(context, calibration=lambda: calibration))
    assert words == "int8 (static, NNCF)"
    given = [runner.forward(inputs)["logits"] for inputs in judged]
    # Over many samples: the integer kernels of one processor err where those of another don't.
    error = sum(float(np.square(a - b).sum()) for a, b in zip(given, expected, strict=True))
    assert np.sqrt(error / sum(float(np.square(logits).sum()) for logits in expected)) <= 0.12
    assert (
        size_of(tmp_path / "files") <= largest_ratio * (assets / "models" / name / "model.safetensors").stat().st_size
    )


def own_data(assets: Path, name: str) -> tuple[list[Inputs], list[Inputs]]:
    """Inputs of the model's own data: 16 to calibrate with, 48 to judge by."""
    spec = read_spec(RECIPES / f"{name}.yaml")
    assert spec.data is not None
    task = find_task(spec.model)
    rows = read_parts(spec.data, task.roles, 0)
    few = {part: rows[part].take(range(48)) for part in ("calibration", "search")}
    samples = task.samples_by_part(spec.model, few, 0)
    calibration, judged = ([sample.inputs for sample in samples[part]] for part in ("calibration", "search"))
    return calibration[:16], judged[:48]


@pytest.mark.parametrize(
    "steps", [({"int8_static": {"calibration": "percentile"}},), ({"int8_static": {"per_channel": False}},)]
)
def test_static_int8_takes_its_knobs(tmp_path: Path, steps: tuple[Any, ...]) -> None:
    model, inputs, context = tiny("bert", tmp_path)
    expected = output_of(model.module, inputs)
    apply(model, context, *steps)
    runner, _ = exported(model, tmp_path / "files", context)
    given = runner.forward(inputs)["logits"]
    apply(model, context, "int8_static")
    plain, _ = exported(model, tmp_path / "plain", context)
    assert np.abs(given - expected).max() <= 0.1 * np.abs(expected).max()
    assert not np.array_equal(given, plain.forward(inputs)["logits"])


@pytest.mark.parametrize("name", TASKS)
def test_bfloat16_is_stored_in_half_and_stays_near_the_original(tmp_path: Path, name: str) -> None:
    model, inputs, context = tiny(name, tmp_path)
    float_model, _, _ = tiny(name, tmp_path)
    expected = output_of(float_model.module, inputs)
    exported(float_model, tmp_path / "float", context)
    apply(model, context, "bf16")
    runner, words = exported(model, tmp_path / "half", context)
    assert words.startswith("bfloat16")
    np.testing.assert_allclose(runner.forward(inputs)["logits"], expected, atol=0.03)
    sizes = [sum(file.stat().st_size for file in (tmp_path / kind).glob("*.bin")) for kind in ("half", "float")]
    assert sizes[0] <= 0.6 * sizes[1]


def test_layers_divide_their_inputs_by_input_scales_and_multiply_with_the_integers(tmp_path: Path) -> None:
    model, inputs, context = tiny("bert", tmp_path)
    for weight in model.weights("linear"):
        scales = np.random.default_rng(0).uniform(0.5, 2, weight.fact.in_features).astype(np.float16)
        encoding = int8_rows(weight.matrix.numpy() * scales.astype(np.float32))
        model.encode(weight, dataclasses.replace(encoding, input_scales=scales))
    runner, words = exported(model, tmp_path / "files", context)
    np.testing.assert_allclose(runner.forward(inputs)["logits"], output_of(model.module, inputs), atol=1e-5)
    assert words == "int8 weights × float activations, FullyConnected"
    assert not (tmp_path / "files" / "packed.safetensors").exists()


@pytest.mark.parametrize("steps", [(), ("kmeans",), ("int8_weight_only",), ({"rtn": {"bits": 3, "group_size": 16}},)])
def test_a_plain_module_is_exported_with_its_batch_axis_free(tmp_path: Path, steps: tuple[Any, ...]) -> None:
    model = CompressibleModel(doubler())
    image = np.random.default_rng(0).normal(size=(1, 3, 12, 12)).astype(np.float32)
    context = dataclasses.replace(step_context(model.module, tmp_path, {"image": image}), task="own")
    for one in steps_from_plain(steps):
        one.apply(model, context)
    runner, _ = exported(model, tmp_path / "files", context)
    batch = np.concatenate([image, image * 2])
    given = runner.forward({"image": batch})
    with torch.inference_mode():
        expected = model.module(torch.from_numpy(batch))
    for name, value in expected.items():
        np.testing.assert_allclose(given[name], value.numpy(), atol=1e-5)


def test_running_an_artifact_imports_no_training_library(tmp_path: Path) -> None:
    model, _, context = tiny("bert", tmp_path)
    apply(model, context, {"kmeans": {"n_centroids": 32}})
    exported(model, tmp_path / "files", context)
    script = (
        "import sys, numpy as np; from pathlib import Path; from autocompress.formats.openvino import OpenVinoFormat;"
        "heavy = {'torch', 'transformers', 'optimum', 'onnx', 'onnxruntime', 'openvino', 'nncf'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        f"runner = OpenVinoFormat().load(Path({str(tmp_path / 'files')!r}), 'cpu', 1);"
        "ids = np.ones((1, 4), np.int64);"
        "runner.forward({'input_ids': ids, 'attention_mask': ids});"
        "assert not (heavy - {'openvino'}) & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_signal_finds_its_stack_after_two_artifacts_were_let_go(tmp_path: Path) -> None:
    model, _, context = tiny("bert", tmp_path)
    exported(model, tmp_path / "files", context)
    script = (
        "import signal; from pathlib import Path; from autocompress.formats.openvino import OpenVinoFormat;"
        f"load = lambda: OpenVinoFormat().load(Path({str(tmp_path / 'files')!r}), 'cpu', 1);"
        "first = load(); second = load(); del first; del second;"
        "signal.signal(signal.SIGINT, lambda *ignored: print('handled'));"
        "signal.raise_signal(signal.SIGINT)"
    )
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told == "handled\n"


def test_a_folder_of_it_is_loaded_by_its_files(tmp_path: Path) -> None:
    model, inputs, context = tiny("bert", tmp_path)
    apply(model, context, {"kmeans": {"n_centroids": 32}})
    exported(model, tmp_path / "files", context)
    runner = autocompress.load(tmp_path / "files", threads=1)
    np.testing.assert_allclose(runner.forward(inputs)["logits"], output_of(model.module, inputs), atol=1e-5)
    (tmp_path / "files" / "packed.safetensors").unlink()
    with pytest.raises(ModelError, match="missing"):
        autocompress.load(tmp_path / "files", threads=1)


def test_outputs_of_a_call_outlive_the_next_call(tmp_path: Path) -> None:
    model, inputs, context = tiny("resnet", tmp_path)
    runner, _ = exported(model, tmp_path / "files", context)
    first = runner.forward(inputs)["logits"]
    kept = first.copy()
    runner.forward({"pixel_values": -inputs["pixel_values"]})
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("steps", "task", "reason"),
    [
        ((step("kmeans"), step("int8_static")), "text-classification", "codes of kmeans"),
        ((step("int8_static", calibration="entropy"),), "text-classification", "entropy"),
        ((step("int8_static"),), "speech-seq2seq", "calibrated"),
        ((step("kmeans"), step("int8_dynamic")), "text-classification", None),
        ((step("rtn"), step("fp16")), "text-classification", None),
    ],
)
def test_combinations_that_cannot_work_are_refused_with_the_reason(
    steps: tuple[Any, ...], task: str, reason: str | None
) -> None:
    refusal = OpenVinoFormat().refuses(steps, facts(task), "cpu")
    assert refusal is None if reason is None else reason in str(refusal)


def test_what_the_processor_cannot_compute_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "cpuinfo"
    old.write_text("processor\t: 0\nflags\t\t: fpu sse avx2\n")
    monkeypatch.setattr("autocompress.formats.openvino.format.CPU_FLAGS", old)
    known = facts("text-classification")
    assert "bfloat16" in str(OpenVinoFormat().refuses((step("bf16"),), known, "cpu"))
    assert "VNNI" in str(OpenVinoFormat().refuses((step("int8_dynamic"),), known, "cpu"))
    assert OpenVinoFormat().refuses((step("rtn"),), known, "cpu") is None


def test_it_is_for_the_cpu_only() -> None:
    unavailable = OpenVinoFormat().unavailable("cuda")
    assert unavailable is not None
    assert unavailable.install is None
    assert OpenVinoFormat().unavailable("cpu") is None


def test_layers_kept_in_float_and_smoothing_bring_static_int8_nearer(tmp_path: Path) -> None:
    calls = token_calls(32)
    errors = []
    for knobs in ({}, {"keep_float": 4}, {"smoothing": 0.5}):
        model, _, context = tiny("bert", tmp_path)
        norm: Any = model.module.get_submodule("bert.embeddings.LayerNorm")
        norm.weight.data[:2] *= 40  # outliers, which smoothing is for
        expected = [output_of(model.module, call) for call in calls]
        context = dataclasses.replace(context, calibration=lambda: calls)
        apply(model, context, {"int8_static": knobs})
        runner, words = exported(model, tmp_path / str(knobs), context)
        given = [runner.forward(call)["logits"] for call in calls]
        errors.append(np.sqrt(np.mean(np.square(np.subtract(given, expected)))))
        assert ("layers in float: 4" in words) == ("keep_float" in knobs)
    plain, in_float, smoothed = errors
    assert in_float < plain
    if cpu_flags() & INTEGER_FLAGS:  # without these, sums of products of 8 bits overflow, the more the fuller the range
        assert smoothed < plain
