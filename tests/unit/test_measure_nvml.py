"""Which device is the one in use, as ``CUDA_VISIBLE_DEVICES`` says; a stand-in plays the driver with three devices."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from autocompress.measure.nvml import nvml_device, why_no_device

REFUSED = """
import sys
from autocompress.__main__ import main
sys.argv = ["autocompress", "search", "--model", "nowhere", "--device", "cuda"]
try:
    main()
except SystemExit as end:
    assert "torch" not in sys.modules
    raise
"""


class Driver(ModuleType):
    """Answers as the NVIDIA driver's library does; a handle is the device's index."""

    UUIDS = ("GPU-aa11", "GPU-ab22", "GPU-cc33")

    class NVMLError(Exception):
        pass

    def nvmlInit(self) -> None:  # noqa: N802
        self.is_open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.UUIDS)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index >= len(self.UUIDS):
            raise self.NVMLError
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return self.UUIDS[handle]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:  # noqa: N802
        raise self.NVMLError

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return f"device {handle}".encode()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    stand_in = Driver("pynvml")
    monkeypatch.setitem(sys.modules, "pynvml", stand_in)
    return stand_in


@pytest.mark.parametrize(
    ("visible", "name"),
    [
        (None, "device 0"),
        ("1", "device 1"),
        ("2,0", "device 2"),
        (" 1 , 2", "device 1"),
        ("GPU-ab", "device 1"),
        ("GPU-cc33,GPU-aa11", "device 2"),
    ],
)
def test_the_first_visible_device_is_the_one_in_use(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, visible: str | None, name: str
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with nvml_device() as device:
        assert device is not None
        assert device.name == name
    assert not driver.is_open
    assert why_no_device() is None


@pytest.mark.parametrize("visible", ["3", "-1", "GPU-ff", "MIG-1", "none"])
def test_a_device_that_does_not_exist_is_none(driver: Driver, monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with nvml_device() as device:
        assert device is None
    assert why_no_device() == f"the NVIDIA driver shows none under CUDA_VISIBLE_DEVICES={visible}"


def test_hidden_devices_are_told_as_hidden(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert why_no_device() == "CUDA_VISIBLE_DEVICES hides every device"


def test_a_search_without_its_device_is_refused_in_a_sentence_and_without_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    told = "error: there is no CUDA device to use: CUDA_VISIBLE_DEVICES hides every device. Use --device cpu.\n"
    assert done.stderr == told
    assert done.stdout == ""
