"""What only a CUDA device can show: device events and device memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autocompress.measure.environment import environment
from autocompress.measure.latency import SHORT_LOOK, time_pair
from autocompress.measure.memory import measure_memory
from autocompress.spec import ModelSpec

pytestmark = pytest.mark.gpu
MEGABYTE = 10**6
PLUGIN = '''
class Ballast:
    """Holds 400 MB on the device."""
    imports = ("torch",)
    def load(self, folder, device, threads):
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


@pytest.fixture(autouse=True)
def _device() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


def test_device_events_tell_more_work_from_less() -> None:
    import torch

    matrix = torch.ones(2048, 2048, device="cuda")

    def multiply(times: int) -> None:
        for _ in range(times):
            matrix @ matrix
        torch.cuda.synchronize()

    latency = time_pair(lambda: multiply(10), lambda: multiply(40), SHORT_LOOK, device="cuda")
    assert latency.clock == "device_events"
    assert latency.cpu_time_speedup is None
    assert 2 < latency.speedup.value < 6


def test_device_memory_is_told_as_the_allocator_and_the_driver_count_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "device_ballast_plugin-1.dist-info"
    about.mkdir()
    (tmp_path / "device_ballast_plugin.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: device-ballast-plugin\nVersion: 1\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
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
    if vram.device_delta_bytes is not None:
        assert vram.device_delta_bytes >= vram.allocator_peak_bytes


def test_the_device_is_named() -> None:
    assert environment("cuda", 1).device.startswith("cuda")
