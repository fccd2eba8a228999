"""A run as a search leaves it, built by hand: what the tests of the recipe file and of the report look at."""

from __future__ import annotations

from typing import Any

from autocompress.facts import ModelFacts
from autocompress.jobs import Prepared
from autocompress.objectives import pareto_front
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.records import (
    Artifact,
    ArtifactFile,
    Certificate,
    Environment,
    Estimate,
    Latency,
    Measurement,
    Memory,
    Quality,
    Samples,
    Status,
    TrialError,
    TrialRecord,
    Vram,
)
from autocompress.report.results import Results
from autocompress.spec import Constraints

ORIGINAL_BYTES = 90_867_952
ORIGINAL_MS = 17.6
ORIGINAL_RAM = 412_000_000
ORIGINAL_ACCURACY = 0.8819

CONSTRAINTS = Constraints.model_validate({"quality_drop": "1pp", "size": "0.5x"})
CERTIFICATE = Certificate(
    certified=False,
    upper_bound=0.0127,
    relative=False,
    level=0.99,
    n_samples=872,
    samples_needed=4200,
    sentence="Observed only: on 872 holdout samples the drop may be up to 1.27 pp; about 4,200 samples would tell.",
)
ENVIRONMENT = Environment(
    machine="AMD EPYC 9B14",
    device="cpu",
    cores=2,
    threads=1,
    python="3.11.9",
    libraries={"autocompress": "0.1.0", "onnxruntime": "1.31.1", "torch": "2.13.0"},
    load_average=0.4,
)


def measurement(
    *,
    size: float,
    speedup: float | None = 1.0,
    drop: float | None = 0.0,
    ram: float | None = None,
    vram: int | None = None,
    contended: bool = False,
    n_samples: int = 872,
) -> Measurement:
    """Figures relative to the original's."""
    latency = speedup and Latency(
        candidate_ms=Samples(values=tuple(ORIGINAL_MS / speedup * k for k in (0.99, 1.0, 1.03)), unit="ms"),
        baseline_ms=None,
        speedup=Estimate(value=speedup, low=speedup * 0.98, high=speedup * 1.02),
        clock="wall",
        threads=1,
        contended=contended,
        load_average=3.2 if contended else 0.4,
    )
    quality = drop is not None and Quality(
        metric="accuracy",
        value=ORIGINAL_ACCURACY - drop,
        higher_is_better=True,
        n_samples=n_samples,
        part="search",
        drop=Estimate(value=drop, low=drop - 0.006, high=drop + 0.006),
        relative_drop=Estimate(
            value=drop / ORIGINAL_ACCURACY,
            low=(drop - 0.006) / ORIGINAL_ACCURACY,
            high=(drop + 0.006) / ORIGINAL_ACCURACY,
        ),
    )
    return Measurement(
        size_bytes=round(ORIGINAL_BYTES * size),
        latency=latency or None,
        quality=quality or None,
        ram=Memory(peak_bytes=round(ORIGINAL_RAM * ram), imports_bytes=90_000_000) if ram else None,
        vram=Vram(allocator_peak_bytes=vram, device_delta_bytes=None) if vram else None,
    )


def trial(
    number: int,
    steps: list[dict[str, Any]],
    format_name: str,
    figures: Measurement | None = None,
    *,
    status: Status = Status.COMPLETE,
    kernel: str = "float32",
    **others: Any,
) -> TrialRecord:
    """A trial record; its artifact is one file of the measured size."""
    size = figures.size_bytes if figures else None
    file = ArtifactFile(path="model.onnx", size_bytes=size or 0, sha256=f"{number:064x}")
    return TrialRecord(
        number=number,
        recipe=Recipe(steps=steps_from_plain(steps), format=format_name),
        status=status,
        measurement=figures,
        artifact=Artifact(format=format_name, files=(file,), kernel=kernel) if figures else None,
        environment=ENVIRONMENT,
        wall_seconds=6.5,
        **others,
    )


def example_records() -> tuple[TrialRecord, ...]:
    """Twelve trials: the original, its twin, a front, misses, and one of each way to fail."""
    pruned = {"magnitude": {"sparsity": 0.3}}
    half_pruned = {"magnitude": {"sparsity": 0.5}}
    dynamic: dict[str, Any] = {"int8_dynamic": {}}
    int8 = "int8 (MatMulInteger)"
    unpacked = "float32 after unpacking at load"
    keeps = {"quality_drop": -0.5, "size": -0.4}
    oom = TrialError(message="the export needed more than 2 GB", remedy="Raise --trial-memory.", stage="export")
    refused = TrialError(message="int8_static: layer|norm has no int8 kernel in this opset", stage="export")
    return (
        trial(0, [], "pytorch", measurement(size=1, ram=1.0), origin="baseline", violations={"size": 1.0}),
        trial(1, [], "onnx", measurement(size=1.003, speedup=2.31, ram=0.7), origin="baseline",
              violations={"size": 1.0}),
        trial(2, [dynamic], "onnx", measurement(size=0.254, speedup=5.52, drop=0.0023, ram=0.52), kernel=int8,
              violations=keeps),
        trial(3, [pruned, dynamic], "onnx", measurement(size=0.254, speedup=5.49, drop=0.0034, ram=0.52), kernel=int8,
              violations=keeps),
        trial(4, [{"rtn": {"bits": 4, "group_size": 64}}], "pytorch",
              measurement(size=0.16, speedup=0.97, drop=0.009, ram=1.3), kernel=unpacked,
              violations={"quality_drop": -0.1, "size": -0.68}),
        trial(5, [half_pruned], "onnx", measurement(size=1.003, speedup=2.3, drop=0.034, ram=0.7),
              violations={"quality_drop": 2.4, "size": 1.006}),
        trial(6, [{"kmeans": {"n_centroids": 16}}], "pytorch", measurement(size=0.151, speedup=1.0, drop=0.012),
              kernel=unpacked, violations={"quality_drop": 0.2, "size": -0.7}),
        trial(7, [{"fp16": {}}], "onnx", measurement(size=0.502, speedup=1.9, drop=0.0, contended=True),
              kernel="float16", violations={"quality_drop": -1.0, "size": 0.004}),
        trial(8, [{"int8_static": {}}], "onnx", status=Status.UNSUPPORTED, error=refused),
        trial(9, [{"rtn": {"bits": 8}}], "onnx", status=Status.OUT_OF_MEMORY, error=oom),
        trial(10, [half_pruned, {"rtn": {"bits": 4}}], "pytorch",
              measurement(size=0.12, speedup=None, drop=None), violations={"quality_drop": 1.0, "size": -0.7}),
        trial(11, [{"rtn": {"bits": 8}}], "onnx", measurement(size=0.28, speedup=1.6, drop=0.001, ram=0.6),
              kernel="int8 weights, float32 activations", violations={"quality_drop": -0.9, "size": -0.4}),
    )  # fmt: skip


def prepared() -> Prepared:
    """What the run found out about model and data."""
    return Prepared(
        facts=ModelFacts(
            architecture="BertForSequenceClassification", task="text-classification", n_parameters=10, weights=()
        ),
        model_key="ab" * 32,
        data_keys={"calibration": "cd" * 32, "search": "ef" * 32},
        n_samples={"calibration": 64, "search": 872},
        metric="accuracy",
        higher_is_better=True,
        metric_is_rate=True,
        environment=ENVIRONMENT,
    )


def example_results() -> Results:
    """The example run with its verdicts."""
    records = example_records()
    return Results(records, pareto_front(records, records[0]), CONSTRAINTS, records[0], best=2, certificate=CERTIFICATE)
