"""Where joules come from, in which order it is asked, and what is made of them; clocks and counters are stand-ins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from autocompress.measure.energy import FEWEST_ROUNDS, ROUNDS, measure_energy
from autocompress.measure.energy_meters import EnergyMeter, NoEnergyMeter, RaplMeter, energy_meter

RANGE_UJ = 262_143_328_850


class Powercap:
    """A folder such as ``/sys/class/powercap``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "intel-rapl").mkdir()

    def domain(self, place: str, name: str, microjoules: int) -> Path:
        domain = self.folder / place
        domain.mkdir()
        (domain / "name").write_text(f"{name}\n")
        (domain / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        (domain / "energy_uj").write_text(f"{microjoules}\n")
        return domain / "energy_uj"


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Powercap:
    made = Powercap(tmp_path / "powercap")
    monkeypatch.setenv("AUTOCOMPRESS_POWERCAP", str(made.folder))
    return made


@pytest.fixture(autouse=True)
def _no_codecarbon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)


# RAPL ---------------------------------------------------------------------------------------------------------------


def test_the_packages_are_added_up_and_what_tells_the_same_joules_again_is_left_out(powercap: Powercap) -> None:
    counters = [
        powercap.domain("intel-rapl:0", "package-0", 5_000_000),
        powercap.domain("intel-rapl:1", "package-1", 7_000_000),
    ]
    others = [
        powercap.domain("intel-rapl:0:0", "core", 1_000_000),
        powercap.domain("intel-rapl:2", "psys", 1_000_000),
        powercap.domain("intel-rapl-mmio:0", "package-0", 1_000_000),
    ]
    with energy_meter("cpu") as meter:
        assert (meter.source, meter.measured) == ("RAPL", True)
        meter.start()
        counters[0].write_text("6500000\n")
        counters[1].write_text("9000000\n")
        for other in others:
            other.write_text("900000000\n")
        assert meter.stop() == pytest.approx(3.5)


def test_a_counter_that_started_anew_is_understood(powercap: Powercap) -> None:
    counter = powercap.domain("intel-rapl:0", "package-0", RANGE_UJ - 999_999)
    meter = RaplMeter(powercap.folder)
    meter.start()
    counter.write_text("2000000")
    assert meter.stop() == pytest.approx(3.0)


def test_a_counter_that_may_not_be_read_is_told_with_the_cure(
    powercap: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = powercap.domain("intel-rapl:0", "package-0", 1)
    read = Path.read_text

    def refusing(path: Path, *arguments: Any, **named: Any) -> str:
        if path == counter:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", refusing)
    with pytest.raises(NoEnergyMeter) as refused, energy_meter("cpu"):
        pass
    assert str(refused.value) == (
        f"{counter} may be read by root only. As root: chmod a+r {powercap.folder}/intel-rapl:*/energy_uj; "
        "codecarbon is not installed. For an estimate: pip install 'autocompress[energy]'"
    )


def test_without_any_source_each_reason_is_told(powercap: Powercap) -> None:
    powercap.domain("intel-rapl:0", "psys", 1)
    with pytest.raises(NoEnergyMeter) as refused, energy_meter("cpu"):
        pass
    assert str(refused.value).startswith(f"there is no RAPL counter under {powercap.folder}; codecarbon is not ")


# NVML ---------------------------------------------------------------------------------------------------------------


class Driver(ModuleType):
    """The NVIDIA driver's library over one device."""

    millijoules: int | None = 1_000

    class NVMLError(Exception):
        pass

    def nvmlInit(self) -> None:  # noqa: N802
        self.is_open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        if self.millijoules is None:
            raise self.NVMLError("Not Supported")
        return self.millijoules


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    stand_in = Driver("pynvml")
    monkeypatch.setitem(sys.modules, "pynvml", stand_in)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return stand_in


def test_a_device_tells_its_own_joules(driver: Driver) -> None:
    with energy_meter("cuda") as meter:
        assert (meter.source, meter.measured) == ("NVML counter", True)
        meter.start()
        driver.millijoules = 3_500
        assert meter.stop() == pytest.approx(2.5)
        assert driver.is_open
    assert not driver.is_open


def test_the_processors_counter_is_not_asked_about_a_device_without_one(driver: Driver, powercap: Powercap) -> None:
    powercap.domain("intel-rapl:0", "package-0", 1)
    driver.millijoules = None
    with (
        pytest.raises(NoEnergyMeter, match="no energy counter; codecarbon is not"),
        energy_meter("cuda"),
    ):
        pass


# codecarbon ---------------------------------------------------------------------------------------------------------


class Tracker:
    """Codecarbon's offline tracker: every task takes a tenth of a watt hour on each part."""

    made: list[Tracker] = []

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.calls: list[str] = []
        self.made.append(self)

    def start_task(self) -> None:
        self.calls.append("start_task")

    def stop_task(self) -> SimpleNamespace:
        self.calls.append("stop_task")
        return SimpleNamespace(cpu_energy=1e-4, ram_energy=1e-4, gpu_energy=1e-4)

    def stop(self) -> None:
        self.calls.append("stop")


@pytest.fixture
def codecarbon(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    stand_in = ModuleType("codecarbon")
    stand_in.OfflineEmissionsTracker = Tracker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "codecarbon", stand_in)
    monkeypatch.setattr(Tracker, "made", [])
    return stand_in


@pytest.mark.parametrize(("device", "joules"), [("cpu", 720.0), ("cuda", 1080.0)])
def test_codecarbon_estimates_where_nothing_counts_and_sends_nothing(
    codecarbon: ModuleType, driver: Driver, powercap: Powercap, device: str, joules: float
) -> None:
    driver.millijoules = None
    with energy_meter(device) as meter:
        assert (meter.source, meter.measured) == ("codecarbon estimate", False)
        meter.start()
        assert meter.stop() == pytest.approx(joules)
    (tracker,) = Tracker.made
    assert tracker.calls == ["start_task", "stop_task", "stop"]
    assert tracker.options["save_to_api"] is False
    assert tracker.options["save_to_file"] is False


def test_what_goes_wrong_in_codecarbon_is_a_reason_and_not_the_end(
    codecarbon: ModuleType, powercap: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tracker, "stop_task", lambda self: None)
    with energy_meter("cpu") as meter:
        meter.start()
        with pytest.raises(NoEnergyMeter, match=r"codecarbon failed: .*cpu_energy"):
            meter.stop()


# Turns --------------------------------------------------------------------------------------------------------------


class Machine:
    """A machine whose clock and meter move by what is called; ``watts`` may change with time."""

    def __init__(self, watts: Callable[[float], float] = lambda seconds: 10.0) -> None:
        self.seconds = 0.0
        self.joules = 0.0
        self.order = ""
        self._watts = watts

    def call(self, name: str, seconds: float) -> Callable[[], None]:
        def one() -> None:
            self.joules += self._watts(self.seconds) * seconds
            self.seconds += seconds
            if not self.order.endswith(name):
                self.order += name

        return one

    def now(self) -> float:
        return self.seconds


class MachineMeter(EnergyMeter):
    source = "RAPL"
    measured = True

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def start(self) -> None:
        self._before = self._machine.joules

    def stop(self) -> float:
        return self._machine.joules - self._before


def test_joules_of_a_call_and_their_ratio_come_from_turns() -> None:
    machine = Machine()
    energy = measure_energy(machine.call("c", 0.01), machine.call("o", 0.04), MachineMeter(machine), now=machine.now)
    assert energy.joules_per_sample.value == pytest.approx(0.1)
    assert energy.original_joules_per_sample.value == pytest.approx(0.4)
    assert energy.ratio.value == pytest.approx(0.25)
    assert energy.ratio.low <= 0.25 <= energy.ratio.high
    assert (energy.source, energy.measured) == ("RAPL", True)
    assert machine.order == "".join(name for name, _ in groupby("co" + "cooc" * (ROUNDS // 2)))


def test_a_machine_that_heats_up_is_no_candidates_gain() -> None:
    machine = Machine(watts=lambda seconds: 10.0 + seconds)
    energy = measure_energy(machine.call("c", 0.02), machine.call("o", 0.02), MachineMeter(machine), now=machine.now)
    assert energy.ratio.low < 1 < energy.ratio.high
    assert energy.ratio.value == pytest.approx(1, abs=0.01)
    assert energy.joules_per_sample.high > energy.joules_per_sample.value * 1.1


def test_long_calls_get_fewer_rounds() -> None:
    machine = Machine()
    measure_energy(machine.call("c", 8.0), machine.call("o", 8.0), MachineMeter(machine), now=machine.now)
    assert machine.seconds == 8.0 * 2 * (1 + FEWEST_ROUNDS)


def test_a_meter_that_stands_still_is_not_zero_joules() -> None:
    machine = Machine(watts=lambda seconds: 0.0)
    with pytest.raises(NoEnergyMeter, match="RAPL stood still"):
        measure_energy(machine.call("c", 0.1), machine.call("o", 0.1), MachineMeter(machine), now=machine.now)
