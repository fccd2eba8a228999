"""The device in a whole search: chosen before anything starts, used by every child, told in every record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import CommandLine
from tiny_models import vit

TASK_FILE = Path(__file__).with_name("device_problem.py")
CHILD = """
import sys
from pathlib import Path
from autocompress.jobs import PrepareJob
from autocompress.search.launcher import Launcher
from autocompress.search.preflight import workspace_of
from autocompress.spec import SearchSpec
from autocompress.tasks.detection import find_task

if __name__ == "__main__":
    device, path, task_file = sys.argv[1:]
    launcher = Launcher(device)
    launcher.warm()
    spec = SearchSpec(model={"path": path, "task": "own", "task_file": task_file}, device=device)
    folder = Path(path).parent
    job = PrepareJob(workspace=workspace_of(spec, find_task(spec.model), folder / "baseline"))
    answer = launcher.run(
        job, log=folder / "log.txt", timeout_seconds=300, memory_bytes=None, on_progress=lambda _: None
    )
    assert "torch" not in sys.modules
    print(answer.model_dump_json())
"""
WARM = """
import autocompress.preload, torch
print(torch.cuda.is_initialized())
"""


def answer_of_child(path: Path, device: str, working_directory: Path | None = None) -> Any:
    """What a child of a launcher for this device answers, asked by a process that knows nothing of CUDA."""
    script = path.with_name("parent.py")
    script.write_text(CHILD)
    command = [sys.executable, str(script), device, str(path), str(TASK_FILE)]
    done = subprocess.run(command, cwd=working_directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# The choice of the device -------------------------------------------------------------------------------------------


def test_a_child_sees_the_device_that_was_chosen_and_starts_without_a_context(device: str, tmp_path: Path) -> None:
    answer = answer_of_child(tmp_path / "seen.json", device)
    assert answer["kind"] == "prepared", answer
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["context_before"] is False
    if device == "cpu":
        assert (seen["visible"], seen["available"]) == ("", False)
    else:
        assert (seen["visible"], seen["order"]) == (os.environ.get("CUDA_VISIBLE_DEVICES"), "PCI_BUS_ID")
        assert (seen["available"], seen["sum"]) == (True, 3.0)
        assert answer["prepared"]["environment"]["gpu"]


def test_the_process_that_children_are_forked_from_holds_no_context() -> None:
    done = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_modules_in_the_working_directory_are_not_taken_for_the_libraries(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "autocompress").mkdir(parents=True)
    (here / "autocompress" / "__init__.py").write_text("raise SystemExit('not this one')")
    (here / "torch.py").write_text("raise SystemExit('nor this one')")
    assert answer_of_child(tmp_path / "seen.json", "cpu", here)["kind"] == "prepared"


@pytest.mark.gpu
def test_a_lack_of_device_memory_is_told_as_such(tmp_path: Path) -> None:
    answer = answer_of_child(tmp_path / "hungry", "cuda")
    assert (answer["kind"], answer["status"]) == ("failed", "out_of_memory")
    assert answer["error"]["message"] == "the trial needed more memory than the device has free"


# A whole search -----------------------------------------------------------------------------------------------------


@pytest.fixture
def problem(tmp_path: Path) -> list[object]:
    """A tiny vision transformer, and images with the classes that it gives them."""
    import torch

    module: Any = vit()
    module.save_pretrained(tmp_path / "model")
    settings = {"image_processor_type": "ViTImageProcessor", "do_resize": False, "size": {"height": 16, "width": 16}}
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(settings))
    images = np.random.default_rng(0).integers(0, 256, size=(200, 16, 16, 3), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        labels = module(pixel_values=pixels).logits.argmax(-1).numpy()
    labels[:20] = np.arange(20) % 2  # never one class only
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    return ["--model", tmp_path / "model", "--data", tmp_path / "images.npz"]


@pytest.mark.slow
def test_a_search_measures_on_the_device_and_its_recipe_can_be_applied_there(
    cli: CommandLine, problem: list[object], device: str
) -> None:
    n_trials = 5 if device == "cuda" else 2
    options = ["--device", device, "--trials", n_trials, "--max-quality-drop", "50pp", "--formats", "pytorch"]
    cli("search", *problem, *options, "--name", "run")
    for number in range(n_trials):
        record = cli.record("run", number)
        assert record["status"] == "complete", record["error"]
        figures = record["measurement"]
        assert figures["latency"]["clock"] == {"cpu": "wall", "cuda": "device_events"}[device]
        assert record["environment"]["device"] == device
        if device == "cuda":
            assert record["environment"]["gpu"]
            assert record["environment"]["driver"]
            assert figures["vram"]["allocator_peak_bytes"] > 0
            assert figures["vram"]["device_delta_bytes"] > 0
        else:
            assert figures["vram"] is None
    recipe = cli.runs / "run" / "recipe.yaml"
    recorded = yaml.safe_load(recipe.read_text())
    assert recorded["measured"]["measured_on"]["device"] == device
    told = cli("apply", recipe, "-o", "applied", "--json").json
    assert told["digest"] == recorded["artifact"]["digest"]


@pytest.mark.gpu
@pytest.mark.slow
def test_a_limit_on_device_memory_is_kept(cli: CommandLine, problem: list[object]) -> None:
    options = ["--formats", "pytorch", "--device", "cuda", "--trials", 2, "--name", "run", "--max-vram", "1MB"]
    told = cli("search", *problem, *options, code=1)
    assert "VRAM" in told.out
    assert cli.record("run", 1)["violations"]["vram"] > 0
