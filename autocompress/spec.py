"""What the user asks for: model, data, limits, space and budget of a search."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from autocompress.frozen import Frozen
from autocompress.limits import BYTE_UNITS, NUMBER, parse_bound, parse_duration


def parse_bytes(text: Any) -> Any:
    """``25MB`` (10^6), ``2GiB`` (2^30) or a plain number of bytes; other types pass through to the validator."""
    if not isinstance(text, str):
        return text
    match = re.fullmatch(rf"{NUMBER}\s*([a-zA-Z]*)", text.strip())
    if not match or match[2].lower() not in {"", *BYTE_UNITS}:
        raise ValueError(f"{text!r} is not a size; write for example 25MB, 1.5GB or 512MiB")
    return int(float(match[1]) * BYTE_UNITS.get(match[2].lower() or "b", 1))


def parse_seconds(text: Any) -> Any:
    """``90``, ``90s``, ``15m`` or ``2h`` as seconds; other types pass through to the validator."""
    return parse_duration(text) if isinstance(text, str) else text


class QualityLimit(Frozen):
    """How much of the metric may be lost: relative to the original's value, or in the metric's own unit."""

    bound: Annotated[float, Field(ge=0)]
    relative: bool
    written: str

    @classmethod
    def parse(cls, text: Any) -> Any:
        """``1%`` (relative), ``1pp`` or ``0.01`` (absolute)."""
        return _parse("quality_drop", cls, text)

    @property
    def in_points(self) -> bool:
        """Whether it was written in percentage points."""
        return self.written.endswith("pp")


class Limit(Frozen):
    """An upper bound in a unit (bytes, milliseconds), or as a multiple of the original's figure."""

    bound: Annotated[float, Field(gt=0)]
    relative: bool
    written: str


def parse_byte_limit(text: Any) -> Any:
    """``25MB`` or ``0.3x`` (of the original's)."""
    return _parse("size", Limit, text)


def parse_latency_limit(text: Any) -> Any:
    """``20ms``, ``1.5s`` or ``0.5x`` (of the original's), as milliseconds."""
    return _parse("latency", Limit, text)


def _parse(name: str, kind: type[Limit | QualityLimit], text: Any) -> Any:
    """A limit out of text or a number; other types pass through to the validator."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = repr(text)
    if not isinstance(text, str):
        return text
    found = parse_bound(name, text)
    return kind(bound=found.bound, relative=found.relative, written=found.written)


def _as_written(limit: Limit | QualityLimit | None) -> str | None:
    return limit.written if limit else None


_Written = PlainSerializer(_as_written, return_type=str | None)


def _written_schema(*types: str, examples: tuple[str, ...]) -> WithJsonSchema:
    """How editors are told of a value with a unit."""
    return WithJsonSchema({"type": ["string", *types], "examples": list(examples)})


ByteLimit = Annotated[
    Limit | None, BeforeValidator(parse_byte_limit), _Written, _written_schema("null", examples=("25MB", "0.3x"))
]
LatencyLimit = Annotated[
    Limit | None, BeforeValidator(parse_latency_limit), _Written, _written_schema("null", examples=("20ms", "0.5x"))
]
DropLimit = Annotated[
    QualityLimit | None,
    BeforeValidator(QualityLimit.parse),
    _Written,
    _written_schema("number", "null", examples=("1%", "1pp", "0.01")),
]
Bytes = Annotated[
    int, BeforeValidator(parse_bytes), Field(gt=0), _written_schema("integer", examples=("512MiB", "5GB"))
]
Seconds = Annotated[
    float, BeforeValidator(parse_seconds), Field(gt=0), _written_schema("number", examples=("90s", "2h"))
]


class ModelSpec(Frozen):
    """The model to compress.

    Attributes:
        path: a local folder, or a hub id.
        revision: branch, tag or commit of a hub id.
        task: one of the installed tasks; found from the model's configuration when not given.
        task_file: the user's Python file for the task ``own``.
        trust_remote_code: run Python code that comes with the model.
        allow_pickle: load weights stored as pickles, which can run any code while loading.
        options: settings of the task, such as the sequence length that latency is timed at.
    """

    path: str
    revision: str | None = None
    task: str | None = None
    task_file: str | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    options: dict[str, int | float | str | bool] = {}


class DataSpec(Frozen):
    """The data to calibrate with and to judge by.

    One ``path`` is cut into the three parts by ``fractions``; a part that has a path of its own is taken from there.

    Attributes:
        path: a file, a folder, or a hub dataset's id.
        columns: role to column name, where the names are not the usual ones.
        calibration, search, holdout: paths of their own for single parts.
        training: a path of its own for what distillation and fine-tuning train on; by default the calibration part,
            of which all rows are used, not only the few that calibrate.
        fractions: shares of ``path`` for calibration, search and holdout.
        samples: at most so many of each part, drawn with the seed.
        config, split: of a hub dataset.
    """

    path: str | None = None
    columns: dict[str, str] = {}
    training: str | None = None
    calibration: str | None = None
    search: str | None = None
    holdout: str | None = None
    fractions: tuple[float, float, float] = (0.1, 0.45, 0.45)
    samples: dict[Literal["calibration", "search", "holdout"], Annotated[int, Field(gt=0)]] = {}
    config: str | None = None
    split: str | None = None

    @model_validator(mode="after")
    def _has_source(self) -> DataSpec:
        if any(share <= 0 for share in self.fractions) or abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError("the fractions must be positive and add up to 1")
        if self.path is None and self.search is None:
            raise ValueError("give a path, or at least a search path")
        return self


class Constraints(Frozen):
    """Upper limits; None leaves a figure free."""

    quality_drop: DropLimit = None
    size: ByteLimit = None
    latency: LatencyLimit = None
    ram: ByteLimit = None
    vram: ByteLimit = None

    @property
    def limits_memory(self) -> bool:
        """Whether a trial must be judged by its memory."""
        return self.ram is not None or self.vram is not None


class Budget(Frozen):
    """When to stop, and what one trial may use.

    ``trials`` counts every recipe run, the original and its float twins included. ``parallel`` is how many run at a
    time; None: as many as cores and memory allow.
    """

    trials: Annotated[int, Field(gt=0)] = 30
    timeout: Seconds | None = None
    trial_timeout: Seconds = 1800.0
    trial_memory: Bytes | None = None
    parallel: Annotated[int, Field(gt=0, le=64)] | None = None
    cache: Bytes = 5 * 10**9


class Space(Frozen):
    """What the search may use; None means all that is available.

    Attributes:
        methods: by name, those that train among them if they are named.
        formats: by name, those for exchange with other software among them if they are named.
        training: whether methods that train (distillation and the like: minutes a trial) are among all methods.
    """

    methods: tuple[str, ...] | None = None
    formats: tuple[str, ...] | None = None
    training: bool = False


Preference = Literal["size", "latency", "quality", "balanced"]
Device = Literal["cpu", "cuda"]


class SearchSpec(Frozen):
    """A whole search, as ``spec.yaml`` holds it."""

    model: ModelSpec
    data: DataSpec | None = None
    constraints: Constraints = Constraints()
    budget: Budget = Budget()
    space: Space = Space()
    prefer: Preference = "balanced"
    device: Device = "cpu"
    threads: Annotated[int, Field(gt=0)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    name: str | None = None
    storage: str | None = None

    def resolved_against(self, folder: Path) -> SearchSpec:
        """The spec with its local paths, if relative, taken from ``folder`` (where the YAML file lies)."""

        def resolve(path: str | None) -> str | None:
            if path is None or Path(path).is_absolute():
                return path
            local = (folder / path).resolve()
            return str(local) if local.exists() or path.startswith((".", "/")) else path

        model, data = self.model, self.data
        local = {name: resolve(getattr(model, name)) for name in ("path", "task_file") if getattr(model, name)}
        model = model.model_copy(update=local)
        if data is not None:
            sources = ("path", "training", "calibration", "search", "holdout")
            local = {source: resolve(getattr(data, source)) for source in sources if getattr(data, source)}
            data = data.model_copy(update=local)
        return self.model_copy(update={"model": model, **({"data": data} if data is not None else {})})
