"""What the NVIDIA driver tells of the device in use; nothing where there is no driver or no ``pynvml``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class NvmlDevice:
    """The device that a CUDA program sees as its first."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    @property
    def used_bytes(self) -> int:
        """Memory in use on the whole device, by all processes."""
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used)

    @property
    def name(self) -> str:
        """The device's name."""
        name = self._nvml.nvmlDeviceGetName(self._handle)
        return name.decode() if isinstance(name, bytes) else str(name)

    @property
    def driver(self) -> str:
        """The driver's version."""
        version = self._nvml.nvmlSystemGetDriverVersion()
        return version.decode() if isinstance(version, bytes) else str(version)


@contextmanager
def nvml_device() -> Iterator[NvmlDevice | None]:
    """The first visible device, or None; NVML is open inside the block."""
    try:
        import pynvml
    except ModuleNotFoundError:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield _first_visible(pynvml)
    finally:
        pynvml.nvmlShutdown()


def _first_visible(nvml: Any) -> NvmlDevice | None:
    """``CUDA_VISIBLE_DEVICES`` names devices by index in bus order, or by UUID; unset means all."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    try:
        if first.isdigit():
            handle = nvml.nvmlDeviceGetHandleByIndex(int(first))
        elif first.startswith(("GPU-", "MIG-")):
            handle = nvml.nvmlDeviceGetHandleByUUID(first)
        else:
            return None
    except nvml.NVMLError:
        return None
    return NvmlDevice(nvml, handle)
