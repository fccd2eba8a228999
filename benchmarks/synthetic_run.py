"""Events of a made-up search, for benchmarks and tests of the terminal UI: any number of trials, plausible figures.

Run: python benchmarks/synthetic_run.py FOLDER --trials 2000
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STARTED = 1_760_000_000.0
SECONDS_PER_TRIAL = 6.0
ORIGINAL_BYTES, ORIGINAL_MS, ORIGINAL_QUALITY = 91_000_000, 5.6, 0.9234
FORMATS = {"pytorch": 1.0, "onnx": 0.5, "openvino": 0.42}
QUANTIZERS: dict[str, tuple[str, str, float, float, float]] = {
    "rtn": ("rtn 4", "4-bit rtn (group size 64)", 0.16, 0.62, 0.009),
    "gptq": ("gptq 4", "4-bit gptq (group size 64)", 0.16, 0.62, 0.004),
    "int8_dynamic": ("int8-dynamic", "int8 dynamic (per channel)", 0.26, 0.45, 0.002),
    "int8_static": ("int8-static", "int8 static", 0.26, 0.5, 0.006),
    "fp16": ("fp16", "fp16", 0.5, 1.05, 0.0),
}


def synthetic_events(n_trials: int, seed: int = 0, *, finished: bool = False) -> Iterator[dict[str, Any]]:
    """The events of a search of ``n_trials`` trials, the last of which still runs unless ``finished``."""
    dice = random.Random(seed)
    clock = STARTED
    seq = 0

    def event(kind: str, after: float = 0.02, /, **fields: Any) -> dict[str, Any]:
        nonlocal clock, seq
        clock += after
        seq += 1
        return {"seq": seq, "time": round(clock, 3), "kind": kind, **fields}

    yield event(
        "run_started",
        name="synthetic",
        model="models/minilm-sst2",
        trials=math.ceil(n_trials * 1.2),
        timeout_seconds=None,
        constraints={"quality_drop": "1pp", "size": "0.3x", "latency": None, "ram": None, "vram": None},
        prefer="balanced",
        device="cpu",
        threads=1,
        methods=["magnitude", "kmeans", *QUANTIZERS],
        formats=list(FORMATS),
    )
    yield event(
        "model_read",
        task="text-classification",
        architecture="BertForSequenceClassification",
        n_parameters=22_713_986,
        metric="accuracy",
        metric_is_rate=True,
        higher_is_better=True,
        n_samples={"calibration": 64, "search": 872, "holdout": 1821},
    )
    for number in range(n_trials):
        recipe, labels, words, figures = _recipe(number, dice)
        stages = [
            "load model",
            *(next(iter(step)) for step in recipe["steps"]),
            "export",
            "latency",
            "memory",
            "quality",
        ]
        origin = "baseline" if number == 0 else "known_good" if number < 9 else "sampler"
        started = clock
        yield event(
            "trial_started",
            number=number,
            recipe=" → ".join([*labels, recipe["format"]]),
            origin=origin,
            format=recipe["format"],
            labels=labels,
            words=words,
            stages=stages,
        )
        if number == n_trials - 1 and not finished:
            for stage in stages[:2]:
                yield event("stage_started", number=number, stage=stage)
                yield event("stage_finished", 0.4, number=number, stage=stage, seconds=0.4, cached=False)
            yield event("stage_started", number=number, stage=stages[2])
            yield event("stage_progress", 0.5, number=number, stage=stages[2], done=3, total=12)
            return
        times = []
        for stage in stages:
            seconds = round(dice.expovariate(1) * SECONDS_PER_TRIAL / len(stages), 3)
            yield event("stage_started", number=number, stage=stage)
            yield event("stage_progress", seconds / 2, number=number, stage=stage, done=1, total=2)
            yield event("heartbeat", 0.0, ram_bytes=480_000_000)
            cached = stage != "quality" and dice.random() < 0.3
            yield event("stage_finished", seconds / 2, number=number, stage=stage, seconds=seconds, cached=cached)
            times.append({"stage": stage, "seconds": seconds, "cached": cached})
        record = _record(number, origin, recipe, figures, times, clock - started, dice)
        yield event("trial_finished", record=record, labels=labels, words=words)
    yield event(
        "run_finished",
        reason=f"all {n_trials} trials are done",
        best=None,
        certified=None,
        certificate=None,
        finalists=[],
    )


def _recipe(number: int, dice: random.Random) -> tuple[dict[str, Any], list[str], list[str], tuple[float, ...]]:
    """Plain recipe, its labels and words, and (size ratio, latency ratio, drop)."""
    if number == 0:
        return {"steps": [], "format": "pytorch", "seed": 0}, [], [], (1.0, 1.0, 0.0)
    chosen = dice.choice(list(FORMATS))
    size, latency, drop = 1.0, FORMATS[chosen], 0.0
    steps: list[dict[str, Any]] = []
    labels, words = [], []
    if dice.random() < 0.5:
        keep = dice.choice([0.9, 0.75, 0.5])
        steps.append({"ffn_width": {"keep": keep}})
        labels.append(f"ffn {keep:.0%}")
        words.append(f"ffn width pruning (keep {keep:.0%})")
        size, latency, drop = size * (0.4 + 0.6 * keep), latency * (0.3 + 0.7 * keep), drop + 0.05 * (1 - keep) ** 1.5
    if dice.random() < 0.4:
        count = dice.choice([8, 16, 32, 64, 256])
        steps.append({"kmeans": {"n_centroids": count, "scope": "attention"}})
        labels.append(f"kmeans {count} attention")
        words.append(f"kmeans clustering ({count} centroids, scope attention)")
        size, drop = size * (0.6 + 0.05 * math.log2(count)), drop + 0.06 / count
    if dice.random() < 0.8:
        tag = dice.choice(list(QUANTIZERS))
        label, phrase, smaller, faster, lost = QUANTIZERS[tag]
        steps.append({tag: {"bits": 4, "group_size": 64} if tag in ("rtn", "gptq") else {}})
        labels.append(label)
        words.append(phrase)
        size, latency, drop = size * smaller, latency * (faster if chosen != "pytorch" else 1.02), drop + lost
    jitter = [1 + dice.gauss(0, 0.03) for _ in range(2)]
    figures = (size * jitter[0], latency * jitter[1], drop + dice.gauss(0, 0.003))
    return {"steps": steps, "format": chosen, "seed": 0}, labels, words, figures


def _record(
    number: int,
    origin: str,
    recipe: dict[str, Any],
    figures: tuple[float, ...],
    times: list[dict[str, Any]],
    wall_seconds: float,
    dice: random.Random,
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "number": number,
        "recipe": recipe,
        "status": "complete",
        "origin": origin,
        "artifact": {"format": recipe["format"], "files": [], "kernel": "float32"},
        "measurement": None,
        "violations": {},
        "stages": times,
        "wall_seconds": round(wall_seconds, 3),
        "error": None,
        "environment": None,
        "notes": [],
    }
    if number > 8 and dice.random() < 0.06:
        status = dice.choice(["failed", "unsupported", "out_of_memory", "timed_out", "crashed"])
        error = {
            "message": "a layer has no kernel for 3 bits",
            "remedy": "Use 4 bits.",
            "stage": "export",
            "log_tail": "",
        }
        return record | {"status": status, "artifact": None, "error": error}
    size, latency, drop = figures
    middle = latency * ORIGINAL_MS
    readings = [round(middle * (1 + 0.01 * (index - 10)), 4) for index in range(21)]
    half = 0.006

    def around(value: float, width: float) -> dict[str, float]:
        return {"value": value, "low": value - width, "high": value + width, "level": 0.95}

    record["measurement"] = {
        "size_bytes": int(size * ORIGINAL_BYTES),
        "quality": {
            "metric": "accuracy",
            "value": ORIGINAL_QUALITY - drop,
            "higher_is_better": True,
            "n_samples": 872,
            "part": "search",
            "drop": around(drop, half if number else 0.0),
            "relative_drop": around(drop / ORIGINAL_QUALITY, half if number else 0.0),
            "others": {},
        },
        "latency": {
            "candidate_ms": {"values": readings, "unit": "ms", "warmups": 20, "n_readings": 128},
            "baseline_ms": None,
            "speedup": around(1 / latency, 0.04 / latency),
            "clock": "wall",
            "threads": 1,
            "contended": dice.random() < 0.1,
            "control": None,
            "cpu_time_speedup": 1 / latency,
            "involuntary_switches": 3,
            "load_average": 0.7,
        },
        "ram": {"peak_bytes": int(90e6 + size * 2 * ORIGINAL_BYTES), "imports_bytes": 60_000_000},
        "vram": None,
    }
    return record


def write_run(folder: Path, n_trials: int, seed: int = 0, *, finished: bool = False) -> Path:
    """A run folder with nothing but a specification and events; gives the log's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text("name: synthetic\nmodel: {path: models/minilm-sst2}\n", encoding="utf-8")
    log = folder / "events.jsonl"
    with log.open("w", encoding="utf-8") as stream:
        for event in synthetic_events(n_trials, seed, finished=finished):
            stream.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")
    return log


def main() -> int:
    """Write one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finished", action="store_true", help="let the search have ended")
    options = parser.parse_args()
    print(write_run(options.folder, options.trials, options.seed, finished=options.finished))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
