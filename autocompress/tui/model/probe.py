"""What a first look at a model and its data found, folded from the lines that `autocompress probe --json` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Baseline:
    """The original as it was measured; None: not measured."""

    task: str
    architecture: str
    n_parameters: int | None
    n_samples: Mapping[str, int]
    metric: str
    metric_is_rate: bool
    higher_is_better: bool
    value: float | None
    size_bytes: float | None
    p50_ms: float | None
    ram_bytes: float | None
    vram_bytes: float | None

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Baseline:
        """What a line says."""
        n_samples = line.get("n_samples")
        return cls(
            task=str(line.get("task") or ""),
            architecture=str(line.get("architecture") or ""),
            n_parameters=line.get("n_parameters"),
            n_samples=n_samples if isinstance(n_samples, dict) else {},
            metric=str(line.get("metric") or "quality"),
            metric_is_rate=bool(line.get("metric_is_rate", True)),
            higher_is_better=bool(line.get("higher_is_better", True)),
            value=line.get("value"),
            size_bytes=line.get("size_bytes"),
            p50_ms=line.get("p50_ms"),
            ram_bytes=line.get("ram_bytes"),
            vram_bytes=line.get("vram_bytes"),
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """A method or a format, and whether it can be used on this model, on this machine.

    ``by_default``: a search takes it where nothing is chosen by name. ``training_samples``: of those that train, how
    many samples go through the model; None where that is not told.
    """

    name: str
    summary: str = ""
    phase: str = ""
    available: bool = True
    reason: str | None = None
    install: str | None = None
    trains: bool = False
    by_default: bool = True
    training_samples: int | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Offer:
        """What an item of a line says."""
        trains = bool(item.get("trains"))
        return cls(
            name=str(item["name"]),
            summary=str(item.get("summary") or ""),
            phase=str(item.get("phase") or ""),
            available=bool(item.get("available", True)),
            reason=item.get("reason"),
            install=item.get("install"),
            trains=trains,
            by_default=bool(item.get("searched", True)) and not trains,
            training_samples=item.get("training_samples"),
        )


@dataclass(frozen=True, slots=True)
class DataLook:
    """The table: which column plays which role (None where none could be guessed), and how its rows look."""

    columns: Mapping[str, str | None]
    found: tuple[str, ...]
    n_rows: int | None
    cells: Mapping[str, tuple[str, ...]]
    """Column to its first cells, as short texts."""

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> DataLook:
        """What a line says."""
        columns: dict[str, str | None] = dict(line.get("columns") or {})
        cells: dict[str, tuple[str, ...]] = {
            str(name): tuple(map(str, texts)) for name, texts in (line.get("cells") or {}).items()
        }
        for role, name in columns.items():
            if name is not None and name not in cells:
                cells[name] = tuple(str(sample.get(role, "")) for sample in line.get("samples") or ())
        found = tuple(map(str, line.get("found") or ())) or tuple(name for name in columns.values() if name)
        return cls(columns, found, line.get("n_rows"), cells)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something could not be done, and what to do about it."""

    message: str
    remedy: str | None = None

    @property
    def sentence(self) -> str:
        """Both in one line."""
        if not self.remedy:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?")) else "."
        return f"{self.message}{stop} {self.remedy}"


@dataclass(slots=True)
class Probe:
    """All that is known of the model and the data so far."""

    step: str = ""
    done: float = 0.0
    total: float = 0.0
    data: DataLook | None = None
    formats: tuple[Offer, ...] = ()
    methods: tuple[Offer, ...] = ()
    baseline: Baseline | None = None
    suggested: dict[str, str] = field(default_factory=dict)
    seconds_per_trial: float | None = None
    problem: Problem | None = None
    is_complete: bool = False

    @property
    def share(self) -> float | None:
        """How far the look is, 0 to 1; None where that is not known."""
        return min(1.0, self.done / self.total) if self.total else None

    def take(self, line: Mapping[str, Any]) -> None:
        """Take in a line; kinds that are not known are passed over."""
        match line.get("kind"):
            case "step":
                self.step = str(line.get("text") or "")
                self.done, self.total = float(line.get("done") or 0), float(line.get("total") or 0)
            case "data":
                self.data = DataLook.of(line)
            case "formats":
                self.formats = _offers(line)
            case "methods":
                self.methods = _offers(line)
            case "baseline":
                self.baseline = Baseline.of(line)
            case "suggestion":
                constraints = line.get("constraints") or {}
                self.suggested = {name: str(text) for name, text in constraints.items() if text is not None}
                self.seconds_per_trial = line.get("seconds_per_trial")
                self.is_complete = True
            case "problem":
                self.problem = Problem(str(line.get("message") or "it failed"), line.get("remedy"))


def _offers(line: Mapping[str, Any]) -> tuple[Offer, ...]:
    items: Iterable[Mapping[str, Any]] = line.get("items") or ()
    return tuple(Offer.of(item) for item in items)
