"""A model by its hub id, from the hub's local cache, without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tiny_models import bert

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOAD = """
import json
from autocompress.spec import ModelSpec
from autocompress.tasks.detection import find_task

model = ModelSpec(path="acme/tiny", revision={revision!r})
task = find_task(model)
module = task.load_model(model)
print(json.dumps([task.name, type(module).__name__, sum(p.numel() for p in module.parameters())]))
"""


def loaded(cache: Path, revision: str | None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOAD.format(revision=revision)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_hub_id_is_taken_from_the_local_cache_at_the_revision_that_is_asked_for(tmp_path: Path) -> None:
    repository = tmp_path / "models--acme--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    module = bert()
    module.save_pretrained(repository / "snapshots" / COMMIT)
    expected = ["text-classification", type(module).__name__, sum(p.numel() for p in module.parameters())]
    for revision in (None, COMMIT):
        answer = loaded(tmp_path, revision)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout) == expected
    missing = loaded(tmp_path, "no-such-branch")
    assert missing.returncode != 0
    assert "acme/tiny" in missing.stderr
