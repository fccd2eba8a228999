"""Peak memory of an artifact at work, measured in a fresh process that does nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocompress.errors import AutocompressError, StageTimedOut
from autocompress.measure.memory_probe import INPUTS, JOB, RESULT, ProbeJob, ProbeResult
from autocompress.memory_signs import tells_lack_of_memory
from autocompress.records import Memory, Vram

if TYPE_CHECKING:
    from autocompress.compressible import Inputs
    from autocompress.spec import ModelSpec

_LOG_TAIL_CHARACTERS = 2000
SECONDS_BETWEEN_LOOKS = 0.02


class MemoryProbeFailed(AutocompressError):
    """The process in which memory is measured ended without a result."""


def measure_memory(
    format_name: str,
    artifact: Path,
    *,
    task: str,
    model: ModelSpec,
    inputs: Inputs,
    device: str,
    threads: int,
    timeout_seconds: float = 300.0,
    abandoned: threading.Event | None = None,
) -> tuple[Memory, Vram | None]:
    """Load an artifact in a fresh process, run the timed call a few times, and report that process's peak.

    Resource limits of this process hold for the fresh one too.

    Args:
        format_name: the artifact's format.
        artifact: its folder.
        task: the task whose timed call is run.
        model: as the task takes it.
        inputs: of the timed call.
        device: ``cpu`` or ``cuda``; on ``cuda`` device memory is reported beside resident memory.
        threads: of the runtime.
        timeout_seconds: for all of it.
        abandoned: once it is set, the process is ended: nobody waits for its answer.

    Raises:
        MemoryError: the process ran out of memory.
        StageTimedOut: it took too long.
        MemoryProbeFailed: it failed otherwise; the message ends with the last line it wrote.
    """
    with tempfile.TemporaryDirectory(prefix="autocompress-memory-") as scratch:
        folder = Path(scratch)
        job = ProbeJob(
            format=format_name, artifact=artifact.resolve(), task=task, model=model, device=device, threads=threads
        )
        (folder / JOB).write_text(job.model_dump_json(), encoding="utf-8")
        np.savez(folder / INPUTS, allow_pickle=False, **inputs)
        _run_probe(folder, device, threads, timeout_seconds, abandoned or threading.Event())
        result = ProbeResult.model_validate_json((folder / RESULT).read_text(encoding="utf-8"))
    ram = Memory(peak_bytes=result.peak_bytes, imports_bytes=result.imports_bytes)
    if device != "cuda":
        return ram, None
    return ram, Vram(allocator_peak_bytes=result.allocator_peak_bytes, device_delta_bytes=result.device_delta_bytes)


def _run_probe(folder: Path, device: str, threads: int, timeout_seconds: float, abandoned: threading.Event) -> None:
    command = [sys.executable, "-m", "autocompress.measure.memory_probe", str(folder)]
    log = folder / "log.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=_environment(device, threads),  # in the trial's own process group, so that it ends with the trial
        )
        try:
            status = _ended(process, timeout_seconds, abandoned)
        finally:
            if process.poll() is None:  # also when this process is being interrupted
                process.kill()
                process.wait()
    if status == 0 and (folder / RESULT).is_file():
        return
    text = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARACTERS:].strip()
    last = text.splitlines()[-1] if text else "it wrote nothing"
    if status == -signal.SIGKILL or tells_lack_of_memory(text):
        raise MemoryError(f"the artifact ran out of memory while its memory was measured: {last}")
    ended = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    raise MemoryProbeFailed(f"the process in which memory is measured {ended}: {last}")


def _ended(process: subprocess.Popen[bytes], timeout_seconds: float, abandoned: threading.Event) -> int:
    """Wait for the process; its exit status."""
    deadline = time.monotonic() + timeout_seconds
    while (status := process.poll()) is None:
        if time.monotonic() >= deadline:
            raise StageTimedOut(f"measuring memory took more than {timeout_seconds:g} s")
        if abandoned.wait(SECONDS_BETWEEN_LOOKS):
            raise MemoryProbeFailed("nobody waits for it any more")
    return status


def _environment(device: str, threads: int) -> dict[str, str]:
    """The device is chosen before any library is imported; numeric libraries keep to the given threads."""
    chosen = dict(os.environ)
    if device == "cpu":
        chosen["CUDA_VISIBLE_DEVICES"] = ""
    else:
        chosen["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order in which NVML counts
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        chosen[variable] = str(threads)
    return chosen
