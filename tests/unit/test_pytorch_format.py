"""The PyTorch format: files as small as arithmetic says, and models that compute the same when loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tiny_models import MODELS, bert, compressed, output_of, resnet, step_context

import autocompress
from autocompress.compressible import CompressibleModel
from autocompress.encodings import Codebook, Encoding, GroupedIntegers, Sparse, huffman_coded
from autocompress.errors import ModelError, Unsupported
from autocompress.formats.pytorch import PyTorchFormat
from autocompress.methods.int8_static import Int8Static
from autocompress.model_state import facts_of, pack_encodings
from autocompress.spec import ModelSpec

CODED = [
    ["magnitude"],
    [{"magnitude": {"sparsity": 0.5}}, {"kmeans": {"n_centroids": 16}}],
    [{"kmeans": {"n_centroids": 32}}, "fp16"],
    [{"rtn": {"group_size": 16}}],
    [{"rtn": {"group_size": 16, "bits": 3, "symmetric": False}}],
    ["int8_weight_only"],
]
DENSE = [[], ["fp16"], ["bf16"]]


def exported(model: CompressibleModel, folder: Path, task: str = "any") -> str:
    folder.mkdir(exist_ok=True)
    context = replace(step_context(model.module, folder.parent), task=task)
    return PyTorchFormat().export(model, folder, context)


def data_bytes(file: Path) -> int:
    """Bytes of a safetensors file without its header."""
    with file.open("rb") as stream:
        return file.stat().st_size - 8 - int.from_bytes(stream.read(8), "little")


@pytest.mark.parametrize("steps", CODED + DENSE, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_loaded_computes_what_was_exported(name: str, steps: list, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    model = compressed(build({}), tmp_path, *steps)
    exported(model, tmp_path / "out")
    runner = PyTorchFormat().load(tmp_path / "out", "cpu", 1)
    found = next(iter(runner.forward(inputs).values()))
    np.testing.assert_array_equal(found, output_of(model.module, inputs))


@pytest.mark.parametrize("steps", [*DENSE, ["ffn_width"], ["ffn_width", "fp16"]], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_plain_from_pretrained_loads_a_dense_model(name: str, steps: list, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    if name == "resnet" and "ffn_width" in steps:
        pytest.skip("a ResNet has no feed-forward width")
    model = compressed(build({}), tmp_path, *steps)
    exported(model, tmp_path / "out")
    assert not (tmp_path / "out" / "autocompress.json").exists()
    loaded = type(model.module).from_pretrained(tmp_path / "out", dtype="auto").eval()
    assert next(loaded.parameters()).dtype == next(model.module.parameters()).dtype
    # Tensors mapped from a file lie at other addresses: kernels may add in another order.
    np.testing.assert_allclose(output_of(loaded, inputs), output_of(model.module, inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", CODED + DENSE, ids=str)
def test_the_file_has_the_bytes_that_arithmetic_predicts(steps: list, tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, *steps)
    exported(model, tmp_path / "out")
    parts, _ = pack_encodings(model.encodings)
    streams = {name: huffman_coded(part) for name, part in parts.items() if part.dtype == np.uint8}
    coded = sum(part.nbytes if streams.get(name) is None else streams[name].nbytes for name, part in parts.items())
    dense = sum(t.nbytes for name, t in model.module.state_dict().items() if name not in model.encodings)
    assert data_bytes(tmp_path / "out" / "model.safetensors") == coded + dense


def entropy_bits(codes: np.ndarray) -> float:
    """Least bits that independent codes can take."""
    counts = np.unique(codes, return_counts=True)[1]
    return float(-(counts * np.log2(counts / codes.size)).sum())


def code_arrays(encoding: Encoding) -> Iterator[np.ndarray]:
    if isinstance(encoding, Sparse):
        yield encoding.mask
        yield from code_arrays(encoding.values)
    elif isinstance(encoding, Codebook):
        yield encoding.indices
    elif isinstance(encoding, GroupedIntegers):
        yield encoding.codes


@pytest.mark.parametrize(
    ("steps", "bits", "other_bits"),
    [
        ([{"magnitude": {"sparsity": 0.5}}], 1, 16),
        ([{"magnitude": {"sparsity": 0.5}}, {"kmeans": {"n_centroids": 16, "scope": "layers"}}], 1 + 2, 0),
        ([{"kmeans": {"n_centroids": 16, "scope": "layers"}}], 4, 0),
        ([{"kmeans": {"n_centroids": 64, "scope": "layers"}}], 6, 0),
        ([{"rtn": {"bits": 4, "group_size": 128, "scope": "layers"}}], 4, 16 / 128),
        ([{"rtn": {"bits": 3, "group_size": 32, "scope": "layers"}}], 3, 16 / 32),
        ([{"int8_weight_only": {"scope": "layers"}}], 8, 32 / 384),
    ],
    ids=str,
)
def test_a_real_model_takes_the_bits_of_its_codes_less_what_huffman_saves(
    steps: list, bits: float, other_bits: float, assets: Path, tmp_path: Path
) -> None:
    folder = assets / "models" / "minilm-sst2"
    module = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    n_coded = sum(weight.fact.n_elements for weight in CompressibleModel(module).weights("linear"))
    n_dense = sum(parameter.numel() for parameter in module.parameters()) - n_coded
    model = compressed(module, tmp_path, *steps)
    exported(model, tmp_path / "out")
    size_bytes = sum(file.stat().st_size for file in (tmp_path / "out").iterdir())
    entropy = sum(entropy_bits(codes) for encoding in model.encodings.values() for codes in code_arrays(encoding))
    other_bytes = n_coded * other_bits / 8 + n_dense * 4
    # What arithmetic leaves out: headers, codebooks, the narrower scales of the wide layers.
    assert 0.98 * entropy / 8 <= size_bytes - other_bytes <= 1.01 * entropy / 8 + 40_000
    assert size_bytes - other_bytes <= n_coded * bits / 8 + 40_000


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        exported(compressed(bert(), tmp_path, "magnitude", "kmeans"), tmp_path / folder)
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()


def test_a_shared_weight_is_stored_once(tmp_path: Path) -> None:
    from safetensors import safe_open

    module = MODELS["llama"][0]({})
    exported(CompressibleModel(module), tmp_path / "out")
    with safe_open(tmp_path / "out" / "model.safetensors", "numpy") as file:
        assert "lm_head.weight" not in set(file.keys())


@pytest.mark.parametrize("name", ["llama", "whisper"])
def test_decoding_is_that_of_the_model(name: str, tmp_path: Path) -> None:
    build, inputs = MODELS[name]
    inputs = {key: array for key, array in inputs.items() if key != "decoder_input_ids"}
    module = build({})
    exported(CompressibleModel(module), tmp_path / "out")
    runner = PyTorchFormat().load(tmp_path / "out", "cpu", 1)
    tensors = {key: torch.from_numpy(array) for key, array in inputs.items()}
    expected = module.generate(**tensors, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    found = runner.generate(inputs, max_new_tokens=5, min_new_tokens=5)
    assert np.array_equal(found, expected.numpy())


def test_a_model_that_does_not_generate_says_so(tmp_path: Path) -> None:
    exported(CompressibleModel(resnet()), tmp_path / "out")
    runner = PyTorchFormat().load(tmp_path / "out", "cpu", 1)
    with pytest.raises(NotImplementedError):
        runner.generate(MODELS["resnet"][1], 4)


def test_load_gives_a_module_to_use(tmp_path: Path) -> None:
    model = compressed(bert(), tmp_path, "kmeans")
    exported(model, tmp_path / "out")
    module = autocompress.load(tmp_path / "out")
    assert isinstance(module, transformers.BertForSequenceClassification)
    inputs = MODELS["bert"][1]
    np.testing.assert_array_equal(output_of(module, inputs), output_of(model.module, inputs))


def test_the_kernel_says_what_computes(tmp_path: Path) -> None:
    assert exported(compressed(bert(), tmp_path), tmp_path / "a") == "float32"
    assert exported(compressed(bert(), tmp_path, "bf16"), tmp_path / "b") == "bfloat16"
    assert exported(compressed(bert(), tmp_path, "kmeans"), tmp_path / "c") == "float32 after unpacking at load"


def test_a_damaged_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no compressed model"):
        autocompress.load(tmp_path)
    exported(compressed(bert(), tmp_path, "kmeans"), tmp_path / "out")
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ModelError, match="cannot be read"):
        autocompress.load(tmp_path / "out")


def test_a_damaged_stream_of_codes_is_told_in_a_sentence(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    exported(compressed(bert(), tmp_path, "kmeans"), tmp_path / "out")
    weights = tmp_path / "out" / "model.safetensors"
    tensors = load_file(weights)
    key = json.loads((tmp_path / "out" / "autocompress.json").read_text())["huffman"][0]
    tensors[key][len(tensors[key]) // 2] ^= 0x10
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="stream is damaged"):
        autocompress.load(tmp_path / "out")
    del tensors[key]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="is missing"):
        autocompress.load(tmp_path / "out")


def test_a_missing_weight_is_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    exported(CompressibleModel(bert()), tmp_path / "out")
    weights = tmp_path / "out" / "model.safetensors"
    tensors = load_file(weights)
    del tensors["classifier.bias"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"classifier\.bias is missing"):
        autocompress.load(tmp_path / "out")


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    exported(CompressibleModel(bert()), tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": ["os"]}))
    with pytest.raises(ModelError, match="'os' is not part of transformers"):
        autocompress.load(tmp_path / "out")


def test_a_module_whose_code_would_be_lost_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="not part of transformers"):
        exported(CompressibleModel(torch.nn.Sequential(torch.nn.Linear(2, 2))), tmp_path / "out")


TASK_FILE = """
import torch

METRIC = "accuracy"


def load_model(path):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten())


def load_data():
    return []


def score(outputs, target):
    return 1.0


def forward(model, inputs):
    return model(inputs["image"])
"""


@pytest.mark.parametrize("steps", [[], ["fp16"], [{"kmeans": {"n_centroids": 8}}]], ids=str)
def test_a_model_of_ones_own_is_built_again_from_its_task_file(steps: list, tmp_path: Path) -> None:
    from autocompress.tasks.own import Own

    task_file = tmp_path / "task.py"
    task_file.write_text(TASK_FILE)
    spec = ModelSpec(path="any", task_file=str(task_file))
    module = Own().load_model(spec)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    model = compressed(module, tmp_path, *steps)
    exported(model, tmp_path / "out", task="own")
    with pytest.raises(ModelError, match="task file"):
        PyTorchFormat().load(tmp_path / "out", "cpu", 1)
    inputs = {"image": np.random.default_rng(0).normal(size=(1, 1, 6, 6)).astype(np.float32)}
    found = PyTorchFormat().load(tmp_path / "out", "cpu", 1, spec).forward(inputs)["output"]
    np.testing.assert_array_equal(found, output_of(model.module, inputs))


def test_integer_activations_are_refused_with_the_format_that_has_them() -> None:
    assert "onnx" in PyTorchFormat().refuses((Int8Static(),), facts_of(bert(), "any"), "cpu")
