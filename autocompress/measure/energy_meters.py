"""What tells how many joules went by: the device's counter, the processor's, or codecarbon's estimate."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from autocompress.errors import EnvironmentProblem
from autocompress.measure.nvml import NvmlDevice, nvml_device
from autocompress.records import EnergySource

JOULES_PER_KWH = 3.6e6
REMEDY = "For an estimate: pip install 'autocompress[energy]'"


class NoEnergyMeter(EnvironmentProblem):
    """Nothing here tells energy."""


class EnergyMeter(ABC):
    """Counts joules from `start` to `stop`; may be started again.

    Attributes:
        source: what the joules come from.
        measured: whether a counter in the hardware counted them; an estimate otherwise.
    """

    source: ClassVar[EnergySource]
    measured: ClassVar[bool]

    @abstractmethod
    def start(self) -> None:
        """Begin to count."""

    @abstractmethod
    def stop(self) -> float:
        """Joules since `start`."""


class NvmlMeter(EnergyMeter):
    """The energy counter of the whole NVIDIA device, since Volta.

    Raises:
        NoEnergyMeter: the device has none.
    """

    source = "NVML counter"
    measured = True

    def __init__(self, device: NvmlDevice) -> None:
        self._device = device
        self.start()

    def start(self) -> None:
        """See `EnergyMeter.start`."""
        self._before = self._read()

    def stop(self) -> float:
        """See `EnergyMeter.stop`."""
        return self._read() - self._before

    def _read(self) -> float:
        joules = self._device.energy_joules
        if joules is None:
            raise NoEnergyMeter("the device has no energy counter")
        return joules


class RaplMeter(EnergyMeter):
    """The processors' own counters, all packages together, as Linux shows them under ``/sys/class/powercap``.

    Only domains named ``package-…`` count: cores and graphics are parts of them, ``psys`` and ``intel-rapl-mmio`` tell
    the same joules again. A counter starts anew at 0 after its largest value, once in minutes at the soonest.

    Args:
        powercap: the folder.

    Raises:
        NoEnergyMeter: there is no package, or its counter may not be read.
    """

    source = "RAPL"
    measured = True

    def __init__(self, powercap: Path) -> None:
        domains = sorted(powercap.glob("intel-rapl:*"))
        self._packages = [folder for folder in domains if _named(folder).startswith("package")]
        if not self._packages:
            raise NoEnergyMeter(f"there is no RAPL counter under {powercap}")
        self._largest = [self._count(folder / "max_energy_range_uj") for folder in self._packages]
        self.start()

    def start(self) -> None:
        """See `EnergyMeter.start`."""
        self._before = self._read()

    def stop(self) -> float:
        """See `EnergyMeter.stop`."""
        counts = zip(self._read(), self._before, self._largest, strict=True)
        microjoules = sum(now - then if now >= then else now - then + largest + 1 for now, then, largest in counts)
        return microjoules / 1e6

    def _read(self) -> list[int]:
        return [self._count(folder / "energy_uj") for folder in self._packages]

    @staticmethod
    def _count(path: Path) -> int:
        try:
            return int(path.read_text(encoding="ascii"))
        except PermissionError:
            remedy = f"As root: chmod a+r {path.parent.parent}/intel-rapl:*/energy_uj"
            raise NoEnergyMeter(f"{path} may be read by root only", remedy=remedy) from None
        except (OSError, ValueError) as problem:
            raise NoEnergyMeter(f"{path} cannot be read: {problem}") from None


def _named(domain: Path) -> str:
    try:
        return (domain / "name").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


class CodecarbonMeter(EnergyMeter):
    """What codecarbon makes of the processor's model and load and of the memory's size; on ``cuda`` the device's, too.

    Nothing is sent anywhere, and nothing written.

    Raises:
        NoEnergyMeter: codecarbon is not installed, or cannot tell.
    """

    source = "codecarbon estimate"
    measured = False

    def __init__(self, device: str) -> None:
        try:
            from codecarbon import OfflineEmissionsTracker
        except ImportError as problem:
            why = "is not installed" if problem.name == "codecarbon" else f"cannot be imported: {problem}"
            raise NoEnergyMeter(f"codecarbon {why}", remedy=REMEDY) from None
        self._parts = ("cpu_energy", "ram_energy", *(("gpu_energy",) if device == "cuda" else ()))
        self._tracker: Any = _asked(
            lambda: OfflineEmissionsTracker(
                country_iso_code="USA",  # of the emissions, which are not looked at
                save_to_file=False,
                save_to_api=False,
                allow_multiple_runs=True,
                log_level="error",
            )
        )

    def start(self) -> None:
        """See `EnergyMeter.start`."""
        _asked(self._tracker.start_task)

    def stop(self) -> float:
        """See `EnergyMeter.stop`."""
        return JOULES_PER_KWH * float(_asked(self._kwh))

    def close(self) -> None:
        """End the tracker's threads."""
        _asked(self._tracker.stop)

    def _kwh(self) -> float:
        told = self._tracker.stop_task()
        return sum(float(getattr(told, part)) for part in self._parts)


def _asked(question: Callable[[], Any]) -> Any:
    """What codecarbon answers; whatever goes wrong in there must not cost the trial."""
    try:
        return question()
    except Exception as problem:  # another's code, on whatever machine
        raise NoEnergyMeter(f"codecarbon failed: {problem}") from problem


def powercap_root() -> Path:
    """``$AUTOCOMPRESS_POWERCAP``, else ``/sys/class/powercap``: containers may have the host's elsewhere."""
    return Path(os.environ.get("AUTOCOMPRESS_POWERCAP", "/sys/class/powercap"))


@contextmanager
def energy_meter(device: str) -> Iterator[EnergyMeter]:
    """The best meter there is for what runs on a device: a counter, else an estimate.

    The processors' counter says nothing of what a GPU takes, so it is not asked on ``cuda``.

    Raises:
        NoEnergyMeter: there is none; says why of each.
    """
    with ExitStack() as stack:
        yield _best_meter(device, stack)


def _best_meter(device: str, stack: ExitStack) -> EnergyMeter:
    try:
        return _counter(device, stack)
    except NoEnergyMeter as no_counter:
        try:
            estimating = CodecarbonMeter(device)
        except NoEnergyMeter as no_estimate:
            raise NoEnergyMeter(f"{no_counter}; {no_estimate}") from None
    stack.callback(estimating.close)
    return estimating


def _counter(device: str, stack: ExitStack) -> EnergyMeter:
    if device == "cuda":
        shown = stack.enter_context(nvml_device())
        if shown is None:
            raise NoEnergyMeter("the NVIDIA driver shows no device")
        return NvmlMeter(shown)
    return RaplMeter(powercap_root())
