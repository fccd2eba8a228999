"""The fresh process that loads an artifact, runs inference only, and tells its own peak memory.

Started by `autocompress.measure.memory.measure_memory` as ``python -m autocompress.measure.memory_probe FOLDER``; reads
``job.json`` and ``inputs.npz`` there and leaves ``result.json``.
"""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from autocompress import registry
from autocompress.frozen import Frozen
from autocompress.measure.nvml import NvmlDevice, nvml_device
from autocompress.spec import ModelSpec

JOB, INPUTS, RESULT = "job.json", "inputs.npz", "result.json"
CALLS = 3
POLL_SECONDS = 0.005


class ProbeJob(Frozen):
    """What to load, and whose timed call to run on it."""

    format: str
    artifact: Path
    task: str
    model: ModelSpec
    device: str
    threads: int


class ProbeResult(Frozen):
    """What the process saw of itself; the device's figures are None where not measured."""

    peak_bytes: int
    imports_bytes: int
    allocator_peak_bytes: int | None = None
    device_delta_bytes: int | None = None


def probe(job: ProbeJob, inputs: dict[str, Any]) -> ProbeResult:
    """Import, look, load, run, look again."""
    kind = registry.load("formats", job.format)
    task = registry.load("tasks", job.task)()
    for module in kind.imports:
        importlib.import_module(module)
    imports_bytes = resident_bytes("VmRSS")
    on_device = job.device == "cuda"
    with nvml_device() if on_device else nullcontext() as device, _DevicePeak(device) as device_peak:
        runner = kind().load(job.artifact, job.device, job.threads, job.model)
        for _ in range(CALLS):
            task.timed_call(job.model, runner, inputs)
        runner.synchronize()
    return ProbeResult(
        peak_bytes=resident_bytes("VmHWM"),
        imports_bytes=imports_bytes,
        allocator_peak_bytes=_allocator_peak_bytes(kind.imports) if on_device else None,
        device_delta_bytes=device_peak.delta_bytes,
    )


def resident_bytes(field: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process, as the kernel tells it.

    Not ``ru_maxrss``: Linux carries that over from the process that started this one.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/self/status holds no {field}")


def _allocator_peak_bytes(imports: tuple[str, ...]) -> int | None:
    """PyTorch's own count, where PyTorch holds the model."""
    if "torch" not in imports:
        return None
    import torch

    return int(torch.cuda.max_memory_allocated())


class _DevicePeak:
    """Looks at the whole device's memory every few milliseconds from a thread of its own."""

    def __init__(self, device: NvmlDevice | None) -> None:
        self._device = device
        self._before = self._peak = device.used_bytes if device else 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _DevicePeak:
        if self._device:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._device:
            self._thread.join()
            self._peak = max(self._peak, self._device.used_bytes)

    @property
    def delta_bytes(self) -> int | None:
        """The most in use, less what was in use before; None without a device to look at."""
        return self._peak - self._before if self._device else None

    def _watch(self) -> None:
        while self._device and not self._stop.wait(POLL_SECONDS):
            self._peak = max(self._peak, self._device.used_bytes)


def main() -> None:
    """Do the job in the folder named on the command line."""
    folder = Path(sys.argv[1])
    job = ProbeJob.model_validate_json((folder / JOB).read_text(encoding="utf-8"))
    with np.load(folder / INPUTS, allow_pickle=False) as stored:
        inputs = {name: stored[name] for name in stored.files}
    result = probe(job, inputs)
    (folder / RESULT).write_text(result.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
