"""Where figures come from: machine, device, versions of what takes part, and how busy it was."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from autocompress.measure.nvml import nvml_device
from autocompress.records import Environment
from autocompress.spec import Device

LIBRARIES = (
    "autocompress",
    "nncf",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "optimum",
    "optimum-onnx",
    "optuna",
    "safetensors",
    "torch",
    "transformers",
)


def environment(device: Device, threads: int) -> Environment:
    """This machine as it is now; imports no library to learn its version."""
    gpu, driver = None, None
    if device == "cuda":
        with nvml_device() as found:
            if found:
                gpu, driver = found.name, found.driver
    return Environment(
        machine=cpu_name(),
        device=device,
        cores=len(os.sched_getaffinity(0)),
        threads=threads,
        python=platform.python_version(),
        libraries=library_versions(),
        load_average=os.getloadavg()[0],
        gpu=gpu,
        driver=driver,
    )


def cpu_name() -> str:
    """The processor as it names itself, and the kind of machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(names, "") or platform.processor()
    return f"{name} ({platform.machine()})" if name else platform.machine()


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that figures depend on."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
