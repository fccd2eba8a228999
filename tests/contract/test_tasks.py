"""What holds for every task, on the real models; and each baseline against an independent computation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from torch_runner import TorchRunner

from autocompress import registry
from autocompress.data.parts import read_parts
from autocompress.sample_store import load_samples, save_samples
from autocompress.spec_file import read_spec
from autocompress.tasks.detection import find_task

RECIPES = Path(__file__).parents[2] / "recipes"
N_SAMPLES = 12
TASKS = {
    "minilm-sst2": "text-classification",
    "fashion-vit-small": "image-classification",
    "fashion-resnet": "image-classification",
    "fsdd-whisper-small": "speech-seq2seq",
    "fsdd-wav2vec2-ctc": "speech-ctc",
    "books-llama-small": "language-modelling",
    "cifar10-resnet20": "own",
}


class Case:
    def __init__(self, name):
        spec = read_spec(RECIPES / f"{name}.yaml")
        self.model = spec.model
        self.task = find_task(spec.model)
        self.rows = read_parts(spec.data, self.task.roles, 0) if spec.data else {}
        if self.rows:
            self.task.check_rows(self.rows["search"])
        few = {part: rows.take(range(min(len(rows), 4 * N_SAMPLES))) for part, rows in self.rows.items()}
        self.few_rows = few
        self.samples = list(self.task.samples_by_part(spec.model, few, 0)["search"])[:N_SAMPLES]
        self.module = self.task.load_model(spec.model)
        self.runner = TorchRunner(self.module)

    def answers(self):
        return [self.task.run(self.model, self.runner, sample.inputs) for sample in self.samples]

    def value(self, name):
        metrics = {metric.name: metric for metric in (self.task.metric_of(self.model), *self.task.other_metrics)}
        pairs = [
            self.task.score(self.model, answer, sample.target)[name]
            for answer, sample in zip(self.answers(), self.samples, strict=True)
        ]
        return metrics[name].value(*np.array(pairs, dtype=np.float64).T)


@pytest.fixture(scope="module", params=TASKS)
def case(request, assets):
    return Case(request.param)


def test_task_classes_import_nothing_heavy():
    program = (
        "import sys; from autocompress import registry; import autocompress.data.parts, autocompress.tasks.detection;"
        "registry.load_all('tasks');"
        "print([m for m in ('torch','transformers','onnxruntime','datasets','pyarrow') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_the_task_is_found_from_the_configuration(case, request):
    assert case.task.name == TASKS[request.node.callspec.params["case"]]
    assert case.task.name in registry.names("tasks")


def test_every_input_is_a_batch_of_one_that_the_model_takes(case):
    for sample in case.samples:
        assert all(array.shape[0] == 1 for array in sample.inputs.values())
    case.task.run(case.model, case.runner, case.samples[0].inputs)


def test_every_sample_gives_all_metrics(case):
    names = {case.task.metric_of(case.model).name, *(metric.name for metric in case.task.other_metrics)}
    answer = case.task.run(case.model, case.runner, case.samples[0].inputs)
    score = case.task.score(case.model, answer, case.samples[0].target)
    assert set(score) == names
    assert all(denominator > 0 for _, denominator in score.values())


def test_samples_survive_the_sample_store(case, tmp_path):
    save_samples(case.samples, tmp_path / "samples")
    for kept, sample in zip(load_samples(tmp_path / "samples"), case.samples, strict=True):
        assert all(np.array_equal(kept.inputs[name], array) for name, array in sample.inputs.items())
        assert np.array_equal(kept.target, sample.target)


def test_the_timed_call_runs_the_model_on_the_timing_inputs(case):
    runner = Mock(wraps=case.runner)
    inputs = case.task.timing_inputs(case.model, case.samples)
    case.task.timed_call(case.model, runner, inputs)
    given = [argument for call in runner.mock_calls for argument in call.args if isinstance(argument, Mapping)]
    assert any(given[0].get(name) is inputs[name] for name in inputs)


def test_a_rebuilt_module_takes_the_originals_weights_and_gives_its_answers(case):
    rebuilt = case.task.rebuild(case.model, {})
    rebuilt.load_state_dict(case.module.state_dict())
    inputs = case.samples[0].inputs
    first = case.task.run(case.model, case.runner, inputs)
    second = case.task.run(case.model, TorchRunner(rebuilt), inputs)
    first, second = (next(iter(a.values())) if isinstance(a, dict) else a for a in (first, second))
    # Kernels choose their paths, and so the order of sums, by how the weights lie in memory.
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6 * np.abs(first).max())


def test_text_accuracy_equals_a_pipeline_of_transformers(assets):
    from transformers import pipeline

    case = Case("minilm-sst2")
    rows = case.few_rows["search"]
    classify = pipeline("text-classification", case.model.path, device="cpu")
    said = [int(answer["label"].removeprefix("LABEL_")) for answer in classify(list(rows.columns["text"][:N_SAMPLES]))]
    right = [str(a) == b for a, b in zip(said, rows.columns["label"][:N_SAMPLES], strict=True)]
    assert case.value("accuracy") == pytest.approx(np.mean(right))


def test_grey_images_are_repeated_and_normalised_as_the_models_were_trained(assets):
    case = Case("fashion-resnet")
    image = case.few_rows["search"].columns["image"][0]
    expected = np.repeat((image.astype(np.float32) / 255 - 0.5)[None, None] / 0.5, 3, axis=1)
    np.testing.assert_allclose(case.samples[0].inputs["pixel_values"], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["fsdd-whisper-small", "fsdd-wav2vec2-ctc"])
def test_word_error_rate_equals_jiwer_over_transformers_own_decoding(name, assets):
    import jiwer
    import soundfile
    import torch
    import transformers

    case = Case(name)
    path, rows = case.model.path, case.few_rows["search"].take(range(N_SAMPLES))
    whisper = "whisper" in name
    processor = getattr(transformers, "WhisperProcessor" if whisper else "Wav2Vec2Processor").from_pretrained(path)
    said = []
    with torch.inference_mode():
        for file in rows.columns["audio"]:
            inputs = processor(soundfile.read(file, dtype="float32")[0], sampling_rate=16000, return_tensors="pt")
            ids = case.module.generate(**inputs) if whisper else case.module(**inputs).logits.argmax(-1)
            # The blank of CTC counts as a special token, and letters may only be merged before it is taken out.
            said.append(processor.batch_decode(ids, skip_special_tokens=whisper)[0].strip())
    assert case.value("wer") == pytest.approx(jiwer.wer(list(rows.columns["text"]), said))
    assert case.value("cer") == pytest.approx(jiwer.cer(list(rows.columns["text"]), said))


def test_perplexity_equals_the_models_own_loss(assets):
    import torch

    case = Case("books-llama-small")
    with torch.inference_mode():
        losses = [
            float(case.module(input_ids=ids, labels=ids).loss)
            for ids in (torch.from_numpy(sample.inputs["input_ids"]) for sample in case.samples)
        ]
    assert {sample.inputs["input_ids"].shape for sample in case.samples} == {(1, 256)}
    assert case.value("token_perplexity") == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)
    words = sum(sample.target["words"] for sample in case.samples)
    expected = np.exp(np.sum(losses) * 255 / words)
    assert case.value("word_perplexity") == pytest.approx(expected, rel=1e-4)


def test_seq2seq_timing_decodes_the_same_number_of_tokens_from_noise(assets):
    case = Case("fsdd-whisper-small")
    noise = {"input_features": np.zeros((1, 80, 400), np.float32)}
    assert case.runner.generate(noise, 8, min_new_tokens=8).shape[1] - case.runner.generate(noise, 5, 5).shape[1] == 3


def test_a_narrower_feed_forward_width_is_rebuilt(assets):
    case = Case("minilm-sst2")
    narrow = case.task.rebuild(case.model, {"intermediate_size": 128})
    assert narrow.bert.encoder.layer[0].intermediate.dense.weight.shape == (128, 384)
