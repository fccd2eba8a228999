"""Time and memory on the device: what the clock covers, and how device memory is told."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tiny_models import compressed, step_context

from autocompress.formats.pytorch import PyTorchFormat
from autocompress.measure.energy import measure_energy
from autocompress.measure.energy_meters import energy_meter
from autocompress.measure.environment import environment
from autocompress.measure.latency import SHORT_LOOK, DeviceEventClock, time_pair
from autocompress.measure.memory import measure_memory
from autocompress.records import Memory, Vram
from autocompress.spec import ModelSpec

MEGABYTE = 10**6
CLOCKS = {"cpu": "wall", "cuda": "device_events"}
TASK = "image-classification"
IMAGE = {"pixel_values": np.zeros((1, 3, 16, 16), np.float32)}
PLUGIN = '''
class Ballast:
    """Holds 400 MB on the device, outside any module."""
    imports = ("torch",)
    def load(self, folder, device, threads, model=None):
        import torch
        return Runner(torch.ones(100_000_000, device=device))

class Runner:
    def __init__(self, held):
        self.held = held
    def synchronize(self):
        import torch
        torch.cuda.synchronize()

class Task:
    def timed_call(self, model, runner, inputs):
        (runner.held[:10_000_000] * 2).sum().item()
'''
ENTRY_POINTS = """[autocompress.formats]
device_ballast = device_ballast_plugin:Ballast
[autocompress.tasks]
device_ballast = device_ballast_plugin:Task
"""


# Time ---------------------------------------------------------------------------------------------------------------


def test_the_clock_of_the_device_tells_more_work_from_less(device: str) -> None:
    matrix = torch.ones(256, 256) if device == "cpu" else torch.ones(4096, 4096, device=device)

    def multiply(times: int) -> None:
        for _ in range(times):
            result = matrix @ matrix
        result[0, 0].item()

    latency = time_pair(lambda: multiply(10), lambda: multiply(40), SHORT_LOOK, device=device)
    assert latency.clock == CLOCKS[device]
    assert (latency.cpu_time_speedup is None) == (device == "cuda")
    assert latency.speedup.value > 1


@pytest.mark.gpu
def test_device_events_cover_the_whole_call_the_host_included() -> None:
    clock = DeviceEventClock()
    milliseconds, cpu = clock.time(lambda: time.sleep(0.02))
    assert milliseconds >= 19.9
    assert cpu is None


@pytest.mark.gpu
def test_device_events_wait_for_work_that_a_call_left_behind() -> None:
    """A call that only starts its work takes as long as one that waits for it."""
    matrix = torch.ones(4096, 4096, device="cuda")

    def start() -> None:
        for _ in range(20):
            matrix @ matrix

    def finish() -> None:
        start()
        torch.cuda.synchronize()

    latency = time_pair(start, finish, SHORT_LOOK, device="cuda")
    assert 0.8 < latency.speedup.value < 1.25


# Memory -------------------------------------------------------------------------------------------------------------


def measured(folder: Path, device: str, *steps: str) -> tuple[Memory, Vram | None]:
    """Memory of a vision transformer of 51 MB, after these steps."""
    torch.manual_seed(0)
    module = transformers.ViTForImageClassification(
        transformers.ViTConfig(
            hidden_size=512,
            num_hidden_layers=4,
            num_attention_heads=8,
            intermediate_size=2048,
            image_size=16,
            patch_size=4,
        )
    ).eval()
    artifact = folder / "artifact"
    artifact.mkdir(parents=True)
    model = compressed(module, folder, *steps)
    PyTorchFormat().export(model, artifact, step_context(module, folder))
    nowhere = ModelSpec(path="nowhere")
    return measure_memory("pytorch", artifact, task=TASK, model=nowhere, inputs=IMAGE, device=device, threads=1)


def test_a_model_is_seen_where_it_lies(device: str, tmp_path: Path) -> None:
    ram, vram = measured(tmp_path, device)
    assert ram.peak_bytes > ram.imports_bytes > 50 * MEGABYTE
    if device == "cpu":
        assert vram is None
        return
    assert vram is not None
    assert vram.allocator_peak_bytes is not None
    assert vram.device_delta_bytes is not None
    assert 50 * MEGABYTE < vram.allocator_peak_bytes < 150 * MEGABYTE
    assert vram.device_delta_bytes >= vram.allocator_peak_bytes


@pytest.mark.gpu
def test_half_precision_takes_about_half_of_the_allocators_memory(tmp_path: Path) -> None:
    _, whole = measured(tmp_path / "float32", "cuda")
    _, half = measured(tmp_path / "float16", "cuda", "fp16")
    assert whole is not None
    assert half is not None
    assert whole.allocator_peak_bytes
    assert half.allocator_peak_bytes
    assert 0.4 < half.allocator_peak_bytes / whole.allocator_peak_bytes < 0.75


@pytest.mark.gpu
def test_device_memory_is_told_as_the_allocator_and_the_driver_count_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "device_ballast_plugin-1.dist-info"
    about.mkdir()
    (tmp_path / "device_ballast_plugin.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: device-ballast-plugin\nVersion: 1\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    _, vram = measure_memory(
        "device_ballast",
        tmp_path,
        task="device_ballast",
        model=ModelSpec(path="nowhere"),
        inputs={"nothing": np.zeros(1)},
        device="cuda",
        threads=1,
    )
    assert vram is not None
    assert vram.allocator_peak_bytes == pytest.approx(440 * MEGABYTE, rel=0.1)
    assert vram.device_delta_bytes is not None
    assert vram.device_delta_bytes >= vram.allocator_peak_bytes


def test_the_device_is_named(device: str) -> None:
    told = environment(device, 1)
    if device == "cpu":
        assert (told.device, told.gpu, told.driver) == ("cpu", None, None)
    else:
        assert (told.device, told.gpu) == ("cuda", torch.cuda.get_device_name())
        assert told.driver


# Energy -------------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_the_devices_own_counter_tells_joules_and_more_work_takes_more_of_them() -> None:
    matrix = torch.ones(4096, 4096, device="cuda")

    def multiply(times: int) -> None:
        for _ in range(times):
            result = matrix @ matrix
        result[0, 0].item()

    with energy_meter("cuda") as meter:
        energy = measure_energy(lambda: multiply(2), lambda: multiply(20), meter)
    assert (energy.source, energy.measured) == ("NVML counter", True)
    assert energy.joules_per_sample.value > 0
    assert energy.ratio.high < 0.5
