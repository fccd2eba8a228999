"""What the NVIDIA driver tells of the device in use; no CUDA context is made for it, and no library that could."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

VISIBLE = "CUDA_VISIBLE_DEVICES"


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
    def energy_joules(self) -> float | None:
        """What the whole device took since its driver was loaded; None where it doesn't count."""
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000
        except self._nvml.NVMLError:
            return None

    @property
    def name(self) -> str:
        """The device's name."""
        return _text(self._nvml.nvmlDeviceGetName(self._handle))

    @property
    def driver(self) -> str:
        """The driver's version."""
        return _text(self._nvml.nvmlSystemGetDriverVersion())


@contextmanager
def nvml_device() -> Iterator[NvmlDevice | None]:
    """The first visible device, or None; NVML is open inside the block."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield _first_visible(pynvml)
    finally:
        pynvml.nvmlShutdown()


def why_no_device() -> str | None:
    """Why a CUDA program would find no device here, or None. Takes milliseconds."""
    visible = os.environ.get(VISIBLE)
    if visible is not None and not visible.strip():
        return f"{VISIBLE} hides every device"
    with nvml_device() as device:
        if device is not None:
            return None
    return f"the NVIDIA driver shows none under {VISIBLE}={visible}" if visible else "no NVIDIA driver shows one"


def _first_visible(nvml: Any) -> NvmlDevice | None:
    """``CUDA_VISIBLE_DEVICES`` names devices by index in bus order, or by the start of a UUID; unset means all."""
    first = os.environ.get(VISIBLE, "0").split(",")[0].strip()
    try:
        if first.isdigit():
            return NvmlDevice(nvml, nvml.nvmlDeviceGetHandleByIndex(int(first)))
        if first.startswith("MIG-"):
            return NvmlDevice(nvml, nvml.nvmlDeviceGetHandleByUUID(first))
        if first.startswith("GPU-"):
            handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
            named = (handle for handle in handles if _text(nvml.nvmlDeviceGetUUID(handle)).startswith(first))
            return next((NvmlDevice(nvml, handle) for handle in named), None)
    except nvml.NVMLError:
        return None
    return None


def _text(told: bytes | str) -> str:
    """Older versions of the library give bytes."""
    return told.decode() if isinstance(told, bytes) else told
