"""Which task and which files: refusals before anything is loaded, and the user's own Python file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autocompress.data.rows import Rows
from autocompress.errors import DataError, ModelError, SpecError, UsageError
from autocompress.hub import hub_reachable
from autocompress.spec import ModelSpec
from autocompress.tasks.detection import find_task
from autocompress.tasks.labels import label_names, label_numbers, require_classes
from autocompress.tasks.model_folder import read_config, require_weights
from autocompress.tasks.options import whole_option
from autocompress.tasks.own import Own, read_metric
from autocompress.tasks.transcripts import normalised, transcript_score

OWN_FILE = """
import numpy as np, torch
METRIC = "closeness"
def load_model(path):
    torch.manual_seed(0)
    return torch.nn.Linear(4, 2)
def load_data():
    return [({"input": np.full((1, 4), n, np.float32)}, n % 2) for n in range(40)]
def score(outputs, target):
    return outputs[0].argmax() == target
"""


def folder(tmp_path, config, *files):
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in files:
        (tmp_path / name).write_bytes(b"")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", "text-classification"),
        ("ResNetForImageClassification", "image-classification"),
        ("WhisperForConditionalGeneration", "speech-seq2seq"),
        ("Wav2Vec2ForCTC", "speech-ctc"),
        ("LlamaForCausalLM", "language-modelling"),
        ("GPT2LMHeadModel", "language-modelling"),
    ],
)
def test_the_architecture_tells_the_task(tmp_path, architecture, task):
    assert find_task(ModelSpec(path=folder(tmp_path, {"architectures": [architecture]}))).name == task


def test_an_architecture_that_no_task_claims_is_told_with_the_tasks_there_are(tmp_path):
    with pytest.raises(ModelError, match=r"architecture: BertModel.*--task, one of: image-classification"):
        find_task(ModelSpec(path=folder(tmp_path, {"architectures": ["BertModel"]})))


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'speech-ctc'"):
        find_task(ModelSpec(path="x", task="speech-ctx"))


def test_a_model_with_code_of_its_own_needs_permission(tmp_path):
    path = folder(tmp_path, {"auto_map": {"AutoModel": "modeling.Net"}})
    with pytest.raises(ModelError, match="--trust-remote-code"):
        read_config(ModelSpec(path=path))
    assert read_config(ModelSpec(path=path, trust_remote_code=True))


def test_pickled_weights_need_permission(tmp_path):
    path = folder(tmp_path, {}, "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin.*--allow-pickle"):
        require_weights(ModelSpec(path=path))
    assert require_weights(ModelSpec(path=path, allow_pickle=True)) == tmp_path


def test_a_folder_without_weights_or_configuration_is_told_so(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        read_config(ModelSpec(path=str(tmp_path)))
    with pytest.raises(ModelError, match="no weights"):
        require_weights(ModelSpec(path=folder(tmp_path, {})))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ModelError, match="not a readable JSON object"):
        read_config(ModelSpec(path=str(tmp_path)))


def test_an_unknown_id_offline_is_refused_without_retries(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub_reachable.cache_clear()
    with pytest.raises(ModelError, match="the hub cannot be reached"):
        read_config(ModelSpec(path="nobody/no-such-model"))
    hub_reachable.cache_clear()


def test_a_missing_folder_is_not_looked_for_on_the_hub():
    with pytest.raises(ModelError, match="there is no such folder"):
        read_config(ModelSpec(path="./models/none"))


def test_weights_of_another_kind_of_model_are_refused(assets):
    task = find_task(ModelSpec(path="x", task="image-classification"))
    with pytest.raises(ModelError, match="cannot be loaded as AutoModelForImageClassification"):
        task.load_model(ModelSpec(path=str(assets / "models/minilm-sst2")))


def test_labels_are_numbers_numbers_as_text_or_names_in_any_case():
    names = label_names({"id2label": {"0": "Cat", "1": "Dog"}})
    rows = Rows("x", {"label": ["cat", "1", 0, np.int64(1), "Dog"]})
    assert label_numbers(rows, names) == [0, 1, 0, 1, 1]


def test_a_label_that_the_model_does_not_know_is_named_with_its_row():
    with pytest.raises(DataError, match=r"no class 'dgo' \(row 2\).*Did you mean 'dog'"):
        label_numbers(Rows("x", {"label": ["cat", "dgo"]}), ["cat", "dog"])
    with pytest.raises(DataError, match=r"no class '2'"):
        label_numbers(Rows("x", {"label": [2]}), ["cat", "dog"])


def test_one_class_only_is_refused():
    with pytest.raises(DataError, match="all 3 rows have the label 'a'"):
        require_classes(Rows("x", {"label": ["a", "a", "a"]}))


def test_options_must_be_positive_whole_numbers():
    assert whole_option(ModelSpec(path="x"), "window", 7) == 7
    with pytest.raises(SpecError, match=r"model\.options\.window"):
        whole_option(ModelSpec(path="x", options={"window": 0}), "window", 7)


def test_transcripts_are_compared_without_case_and_punctuation():
    assert normalised("It's  ONE, two!") == "it's one two"
    assert transcript_score("One, three", "one two")["wer"] == (1.0, 2.0)
    assert transcript_score("", "one two")["wer"] == (2.0, 2.0)


def own(tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    return ModelSpec(path="weights", task="own", task_file=str(tmp_path / "mine.py"))


def test_a_model_of_ones_own_keeps_its_parameter_names_and_gives_outputs_by_name(tmp_path):
    import torch

    model = own(tmp_path, OWN_FILE)
    task = find_task(model)
    assert task.metric_of(model).name == "closeness", "the search judges by it, and never runs the file itself"
    module = task.load_model(model)
    assert list(module.state_dict()) == ["weight", "bias"]
    assert set(module(input=torch.zeros(1, 4))) == {"output"}
    parts = task.samples_by_part(model, {}, 0)
    assert [len(parts[part]) for part in ("calibration", "search", "holdout")] == [4, 18, 18]
    score = task.score(model, {"output": np.array([[0.0, 1.0]])}, 1)
    assert score == {"closeness": (1.0, 1.0)}


def test_a_copy_of_ones_own_model_runs_on_its_own_weights(tmp_path):
    import copy

    import torch

    forward = "\ndef forward(model, inputs):\n    return model(inputs['a']) + model.bias\n"
    module = Own().load_model(own(tmp_path, OWN_FILE + forward))
    clone = copy.deepcopy(module)
    clone.bias.data.zero_()
    clone.weight.data.zero_()
    with torch.inference_mode():
        assert not clone(a=torch.ones(1, 4))["output"].any()
        assert module(a=torch.ones(1, 4))["output"].any()


def test_the_metric_is_read_without_running_the_file(tmp_path):
    model = own(tmp_path, 'METRIC = "loss"\nHIGHER_IS_BETTER = False\nraise SystemExit\n')
    metric = read_metric(tmp_path / "mine.py")
    assert (metric.name, metric.higher_is_better) == ("loss", False)
    assert model.task == "own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_the_kind\n", "raised ModuleNotFoundError"),
        ("def load_model(path): ...\n", "lacks the function load_data and score"),
        ("def x(:\n", "cannot be read as Python"),
        ('METRIC = str("a")\n', "METRIC must be a plain str"),
        (OWN_FILE.replace("torch.manual_seed(0)", "1 / 0"), "load_model raised ZeroDivisionError"),
        (OWN_FILE.replace("return torch.nn.Linear(4, 2)", "return 3"), r"gave int, not a torch\.nn\.Module"),
    ],
)
def test_what_is_wrong_with_ones_own_file_is_told(tmp_path, text, message):
    with pytest.raises(ModelError, match=message):
        Own().load_model(own(tmp_path, text))


def test_own_samples_must_be_batches_of_one(tmp_path):
    with pytest.raises(DataError, match=r"the input input has shape \(2, 4\)"):
        Own().samples_by_part(own(tmp_path, OWN_FILE.replace("(1, 4)", "(2, 4)")), {}, 0)


def test_own_without_a_file_is_refused():
    with pytest.raises(ModelError, match="--task-file"):
        find_task(ModelSpec(path="x", task="own"))
