"""Models whose weights are not read: from their configuration alone, in a folder or by a hub id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import MODELS

from autocompress.model_state import facts_of
from autocompress.spec import ModelSpec
from autocompress.tasks.detection import find_task
from autocompress.unread_model import stored_dtype

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOOK = """
from autocompress.jobs import FactsJob
from autocompress.spec import ModelSpec
from autocompress.tasks.detection import find_task
from autocompress.unread_model import look_without_weights

model = ModelSpec(path="acme/tiny")
task = find_task(model)
print(look_without_weights(FactsJob(model=model, task=task.name, threads=1), task).facts.model_dump_json())
"""


@pytest.mark.parametrize("name", ["bert", "vit", "llama", "wav2vec2", "whisper", "resnet"])
def test_the_configuration_of_a_hub_model_without_weights_tells_all_shapes(tmp_path: Path, name: str) -> None:
    repository = tmp_path / "models--acme--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    MODELS[name][0]({}).save_pretrained(snapshot)
    model = ModelSpec(path=str(snapshot))
    task = find_task(model)
    expected = facts_of(task.load_model(model), task.name)
    (snapshot / "model.safetensors").unlink()
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(expected.model_dump_json())


def test_the_type_of_the_weights_is_read_from_the_headers_alone(tmp_path: Path) -> None:
    MODELS["bert"][0]({}).half().save_pretrained(tmp_path)
    assert stored_dtype(ModelSpec(path=str(tmp_path))) == "float16"
    weights = tmp_path / "model.safetensors"
    with weights.open("r+b") as file:  # a header without what it speaks of
        length = int.from_bytes(file.read(8), "little")
        file.truncate(8 + length)
    assert stored_dtype(ModelSpec(path=str(tmp_path))) == "float16"
    weights.write_bytes(b"\xff" * 20)
    assert stored_dtype(ModelSpec(path=str(tmp_path))) is None
