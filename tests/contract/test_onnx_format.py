"""The ONNX format over the trained models: exported, loaded in ONNX Runtime, compared with torch."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from autocompress import registry
from autocompress.compressible import CompressibleModel, Inputs, StepContext
from autocompress.facts import ModelFacts, WeightFact
from autocompress.formats.base import Runner
from autocompress.formats.onnx import OnnxFormat
from autocompress.stage_cache import StageCache, cache_root

CLASSES: dict[str, tuple[Any, str]] = {
    "minilm-sst2": (transformers.AutoModelForSequenceClassification, "text-classification"),
    "fashion-vit-small": (transformers.AutoModelForImageClassification, "image-classification"),
    "fashion-resnet": (transformers.AutoModelForImageClassification, "image-classification"),
    "fsdd-wav2vec2-ctc": (transformers.AutoModelForCTC, "speech-ctc"),
    "books-llama-small": (transformers.AutoModelForCausalLM, "language-modelling"),
    "fsdd-whisper-small": (transformers.WhisperForConditionalGeneration, "speech-seq2seq"),
}
FORWARD_MODELS = [name for name in CLASSES if name != "fsdd-whisper-small"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def example(name: str, module: Any) -> Inputs:
    rng = np.random.default_rng(0)
    if name == "minilm-sst2":
        ids = rng.integers(1000, 9000, (1, 24))
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    if name.startswith("fashion"):
        size = getattr(module.config, "image_size", 28)
        return {"pixel_values": rng.normal(size=(1, module.config.num_channels, size, size)).astype(np.float32)}
    if name == "fsdd-wav2vec2-ctc":
        return {"input_values": rng.normal(size=(1, 8000)).astype(np.float32)}
    if name == "books-llama-small":
        ids = rng.integers(3, 4000, (1, 24))
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return {"input_features": rng.normal(size=(1, 80, 400)).astype(np.float32)}


def load(assets: Path, name: str) -> CompressibleModel:
    return CompressibleModel(CLASSES[name][0].from_pretrained(assets / "models" / name).eval())


def context_for(task: str, inputs: Inputs, cache: StageCache | None = None) -> StepContext:
    return StepContext(
        facts=ModelFacts(architecture="any", task=task, n_parameters=1, weights=()),
        calibration=lambda: [inputs] * 4,
        training=list,
        teacher=nn.Module,
        scratch=Path("unused"),
        example=inputs,
        task=task,
        device="cpu",
        seed=0,
        cache=cache or StageCache(cache_root(), 10**10),
        model_key="model",
        progress=lambda done, total: None,
    )


def exported(model: CompressibleModel, folder: Path, context: StepContext) -> tuple[Runner, str]:
    words = OnnxFormat().export(model, folder, context)
    return OnnxFormat().load(folder, "cpu", 1), words


def torch_logits(module: Any, inputs: Inputs) -> np.ndarray:
    with torch.inference_mode():
        return module(**{key: torch.from_numpy(value) for key, value in inputs.items()}).logits.numpy()


def step(tag: str, **knobs: Any) -> Any:
    return registry.load("methods", tag)(**knobs)


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("name", FORWARD_MODELS)
def test_the_float_export_gives_torchs_logits(assets: Path, tmp_path: Path, name: str) -> None:
    model = load(assets, name)
    inputs = example(name, model.module)
    runner, _ = exported(model, tmp_path, context_for(CLASSES[name][1], inputs))
    expected = torch_logits(model.module, inputs)
    np.testing.assert_allclose(runner.forward(inputs)["logits"], expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["minilm-sst2", "fashion-resnet", "fsdd-whisper-small"])
def test_weights_written_into_a_cached_template_equal_an_export_of_their_own(
    assets: Path, tmp_path: Path, name: str
) -> None:
    model = load(assets, name)
    inputs = example(name, model.module)
    shared = StageCache(tmp_path / "shared", 10**10)
    exported(model, tmp_path / "first", context_for(CLASSES[name][1], inputs, shared))
    with torch.no_grad():
        for weight in model.weights():
            weight.write(weight.matrix * 0.9)
    substituted, _ = exported(model, tmp_path / "second", context_for(CLASSES[name][1], inputs, shared))
    assert len(list((tmp_path / "shared").iterdir())) == 1
    fresh = StageCache(tmp_path / "fresh", 10**10)
    exported(model, tmp_path / "third", context_for(CLASSES[name][1], inputs, fresh))
    for file in (tmp_path / "second").iterdir():
        assert file.read_bytes() == (tmp_path / "third" / file.name).read_bytes()
    if name != "fsdd-whisper-small":
        expected = torch_logits(model.module, inputs)
        np.testing.assert_allclose(substituted.forward(inputs)["logits"], expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "steps", "largest_ratio", "tolerance"),
    [
        ("minilm-sst2", [step("int8_dynamic", per_channel=True)], 0.255, 0.3),
        ("fashion-vit-small", [step("int8_dynamic", per_channel=True)], 0.27, 0.05),
        ("fashion-resnet", [step("int8_static")], 0.26, 0.05),
        ("fashion-vit-small", [step("int8_static")], 0.28, 0.1),
        ("fsdd-wav2vec2-ctc", [step("int8_static", calibration="percentile")], 0.28, 0.3),
        ("books-llama-small", [step("int8_static")], 0.27, 0.2),
        ("books-llama-small", [step("fp16")], 0.51, 0.01),
        ("fashion-resnet", [step("fp16")], 0.51, 0.01),
    ],
)
def test_a_quantized_export_has_the_size_of_its_integers_and_stays_near_the_original(
    assets: Path, tmp_path: Path, name: str, steps: list[Any], largest_ratio: float, tolerance: float
) -> None:
    model = load(assets, name)
    inputs = example(name, model.module)
    context = context_for(CLASSES[name][1], inputs)
    expected = torch_logits(model.module, inputs)
    for one in steps:
        one.apply(model, context)
    runner, _ = exported(model, tmp_path, context)
    logits = runner.forward(inputs)["logits"]
    assert np.abs(logits - expected).max() <= tolerance * np.abs(expected).max()
    assert size_of(tmp_path) <= largest_ratio * (assets / "models" / name / "model.safetensors").stat().st_size


@pytest.mark.parametrize("name", ["minilm-sst2", "fashion-resnet", "books-llama-small", "fsdd-wav2vec2-ctc"])
@pytest.mark.parametrize(
    "steps",
    [
        [step("int8_weight_only")],
        [step("rtn", bits=3, group_size=32)],
        [step("magnitude")],
        [step("kmeans")],
        [step("magnitude"), step("kmeans")],
    ],
    ids=lambda steps: "+".join(one.tag for one in steps),
)
def test_an_encoded_model_computes_what_its_decoded_weights_compute(
    assets: Path, tmp_path: Path, name: str, steps: list[Any]
) -> None:
    model = load(assets, name)
    inputs = example(name, model.module)
    context = context_for(CLASSES[name][1], inputs)
    for one in steps:
        one.apply(model, context)
    runner, words = exported(model, tmp_path, context)
    expected = torch_logits(model.module, inputs)
    np.testing.assert_allclose(runner.forward(inputs)["logits"], expected, atol=5e-5 * np.abs(expected).max())
    assert "unpacking at load" in words
    encoded = set(model.encodings)
    rest = sum(p.numel() * 4 for key, p in model.module.named_parameters() if key not in encoded)
    buffers = sum(b.numel() * 4 for b in model.module.buffers())
    packed = sum(encoding.packed_bytes for encoding in model.encodings.values())
    overhead = 100_000 + 2_000 * len(encoded)
    assert packed <= size_of(tmp_path) <= packed + rest + buffers + overhead


def test_whisper_says_the_same_tokens_as_generate(assets: Path, tmp_path: Path) -> None:
    name = "fsdd-whisper-small"
    model = load(assets, name)
    runner, _ = exported(model, tmp_path, context_for("speech-seq2seq", example(name, model.module)))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "decoder_model.onnx",
        "encoder_model.onnx",
        "generation.json",
    ]
    stored = (assets / "models" / name / "model.safetensors").stat().st_size
    assert size_of(tmp_path) <= 1.02 * stored
    for features in spoken_digits(assets, 20):
        expected = model.module.generate(torch.from_numpy(features)).numpy()
        np.testing.assert_array_equal(runner.generate({"input_features": features}, 31), expected)


def test_whisper_in_int8_is_less_than_three_tenths_of_the_original(assets: Path, tmp_path: Path) -> None:
    name = "fsdd-whisper-small"
    model = load(assets, name)
    context = context_for("speech-seq2seq", example(name, model.module))
    step("int8_dynamic", per_channel=True).apply(model, context)
    exported(model, tmp_path, context)
    assert size_of(tmp_path) <= 0.30 * (assets / "models" / name / "model.safetensors").stat().st_size


def test_whispers_forward_gives_the_logits_of_a_whole_answer(assets: Path, tmp_path: Path) -> None:
    name = "fsdd-whisper-small"
    model = load(assets, name)
    inputs = {**example(name, model.module), "decoder_input_ids": np.array([[324, 331, 290, 276]])}
    runner, _ = exported(model, tmp_path, context_for("speech-seq2seq", inputs))
    np.testing.assert_allclose(runner.forward(inputs)["logits"], torch_logits(model.module, inputs), atol=1e-3)


@pytest.mark.parametrize("least", [0, 32])
def test_a_language_model_continues_a_prompt_as_generate_does(assets: Path, tmp_path: Path, least: int) -> None:
    name = "books-llama-small"
    model = load(assets, name)
    runner, _ = exported(model, tmp_path, context_for("language-modelling", example(name, model.module)))
    tokenizer = transformers.AutoTokenizer.from_pretrained(assets / "models" / name)
    for prompt in ("The old man walked", "She had never", "It was a dark night, and", "In the middle of"):
        tokens = tokenizer(prompt, return_tensors="pt")
        inputs = {key: tokens[key] for key in ("input_ids", "attention_mask")}
        expected = model.module.generate(**inputs, max_new_tokens=32, min_new_tokens=least, do_sample=False).numpy()
        given = runner.generate({key: value.numpy() for key, value in inputs.items()}, 32, min_new_tokens=least)
        np.testing.assert_array_equal(given, expected)


class Doubler(nn.Module):
    """A plain module with a batch norm that the exporter folds into its convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.norm(self.conv(image)).relu().mean((2, 3))
        return {"logits": self.head(features), "features": features}


def doubler() -> Doubler:
    torch.manual_seed(0)
    module = Doubler().eval()
    module.norm.running_var.uniform_(0.5, 2)
    module.norm.running_mean.uniform_(-1, 1)
    return module


@pytest.mark.parametrize("tag", [None, "kmeans", "int8_weight_only"])
def test_a_plain_module_is_exported_with_its_batch_axis_free(tmp_path: Path, tag: str | None) -> None:
    model = CompressibleModel(doubler())
    image = np.random.default_rng(0).normal(size=(1, 3, 12, 12)).astype(np.float32)
    context = context_for("own", {"image": image})
    if tag:
        step(tag).apply(model, context)
    runner, _ = exported(model, tmp_path, context)
    batch = np.concatenate([image, image * 2])
    given = runner.forward({"image": batch})
    with torch.inference_mode():
        expected = model.module(torch.from_numpy(batch))
    for name, value in expected.items():
        np.testing.assert_allclose(given[name], value.numpy(), atol=1e-5)


def test_running_an_artifact_imports_no_training_library(tmp_path: Path) -> None:
    image = np.zeros((1, 3, 12, 12), np.float32)
    exported(CompressibleModel(doubler()), tmp_path, context_for("own", {"image": image}))
    script = (
        "import sys, numpy as np; from pathlib import Path; from autocompress.formats.onnx import OnnxFormat;"
        "heavy = {'torch', 'transformers', 'optimum', 'onnx', 'onnxruntime'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        f"runner = OnnxFormat().load(Path({str(tmp_path)!r}), 'cpu', 1);"
        "runner.forward({'image': np.zeros((1, 3, 12, 12), np.float32)});"
        "assert not (heavy - {'onnxruntime'}) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def facts(task: str, convolution: int = 0, linear: int = 100) -> ModelFacts:
    weights = (
        WeightFact(name="c", kind="convolution", out_features=1, in_features=convolution),
        WeightFact(name="l", kind="linear", out_features=1, in_features=linear),
    )
    return ModelFacts(architecture="a", task=task, n_parameters=convolution + linear, weights=weights)


@pytest.mark.parametrize(
    ("steps", "known", "device", "reason"),
    [
        ((step("bf16"),), facts("text-classification"), "cpu", "bfloat16"),
        ((step("int8_dynamic"),), facts("image-classification", convolution=900), "cpu", "convolutions"),
        ((step("int8_dynamic"),), facts("text-classification"), "cuda", "CPU only"),
        ((step("kmeans"), step("int8_dynamic")), facts("text-classification"), "cpu", None),
        ((step("int8_static"),), facts("speech-seq2seq"), "cpu", None),
        ((step("magnitude"), step("int8_dynamic")), facts("text-classification"), "cpu", None),
        ((step("rtn"),), facts("text-classification"), "cuda", None),
    ],
)
def test_combinations_that_cannot_work_are_refused_with_the_reason(
    steps: tuple[Any, ...], known: ModelFacts, device: str, reason: str | None
) -> None:
    refusal = OnnxFormat().refuses(steps, known, device)
    assert refusal is None if reason is None else reason in str(refusal)


def test_a_machine_without_a_gpu_runtime_is_told_what_to_install() -> None:
    missing = OnnxFormat().unavailable("cuda")
    assert missing is None or "autocompress[gpu]" in str(missing.install)
    assert OnnxFormat().unavailable("cpu") is None


def spoken_digits(assets: Path, count: int) -> Iterator[np.ndarray]:
    import soundfile

    processor = transformers.WhisperProcessor.from_pretrained(assets / "models" / "fsdd-whisper-small")
    table = assets / "data" / "fsdd" / "test.csv"
    with table.open(newline="") as stream:
        for row in list(csv.DictReader(stream))[:count]:
            path = table.parent / row["file"]
            sound, rate = soundfile.read(path if path.exists() else table.parent / "test" / row["file"])
            yield processor(sound, sampling_rate=rate, return_tensors="np").input_features.astype(np.float32)
