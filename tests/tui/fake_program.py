"""Stands in for `python -m autocompress`: the wizard's commands, answered from the name of the model.

``slow``: a look that never ends. ``broken``: a look that is refused. ``pickled``: refused until pickles are allowed.
``unstartable``: a search that is refused. ``word``: judged by a word error rate. ``strange``: nothing can be foretold
of it. ``large``: an estimate that never ends.
"""

import json
import os
import sys
import time
from pathlib import Path

import yaml

METHODS = [
    ("layers", "structure", "Drop whole transformer layers", None, False),
    ("channels", "structure", "Drop the least important channels", "the model has no convolutions", False),
    ("distil", "distil", "Train the smaller model towards the original's answers", None, True),
    ("gptq", "quantize", "Round weights to 2-8 bit integers", None, False),
    ("int8_dynamic", "compute", "Int8 weights and activations", None, False),
]
FORMATS = [
    ("awq", "AutoAWQ's checkpoint", None, None, False),
    ("onnx", "ONNX graphs with packed weights", None, None, True),
    ("openvino", "OpenVINO graphs", "openvino is not installed", "pip install 'autocompress[openvino]'", True),
    ("pytorch", "safetensors for PyTorch", None, None, True),
]


def say(kind, **what):
    print(json.dumps({"kind": kind, **what}), flush=True)


def probe(spec):
    name = Path(spec["model"]["path"]).name
    say("step", text="looking at the model", done=0, total=9)
    if "broken" in name:
        say("problem", message=f"{name}: the folder holds no weights", remedy="It needs model.safetensors.")
        sys.exit(2)
    if "pickled" in name and not spec["model"].get("allow_pickle"):
        say("problem", message="only pickled weights", remedy="If you trust its author, give --allow-pickle.")
        sys.exit(2)
    items = [
        {"name": n, "summary": s, "available": r is None, "reason": r, "install": i, "searched": d}
        for n, s, r, i, d in FORMATS
    ]
    say("formats", items=items)
    columns = {"text": "sentence", "label": "label", **spec.get("data", {}).get("columns", {})}
    cells = {
        "sentence": ["a gripping film", "too long by half, and then some more of it", "see it twice"],
        "label": ["1", "0", "1"],
        "rating": ["5", "2", "4"],
    }
    say("data", columns=columns, found=list(cells), cells=cells, samples=[], n_rows=872)
    say("step", text="timing the original", done=4.5, total=9)
    if "slow" in name:
        (Path(os.environ["FAKE_FOLDER"]) / "slow.pid").write_text(str(os.getpid()))
        time.sleep(600)
    items = [
        {"name": n, "summary": s, "phase": p, "available": r is None, "reason": r, "trains": t}
        | ({"training_samples": 9600} if t else {})
        for n, p, s, r, t in METHODS
    ]
    say("methods", items=items)
    is_word = "word" in name
    say(
        "baseline",
        task="text-classification",
        architecture="BertForSequenceClassification",
        n_parameters=22_713_986,
        n_samples={"calibration": 64, "search": 392, "holdout": 416},
        metric="wer" if is_word else "accuracy",
        metric_is_rate=True,
        higher_is_better=not is_word,
        value=0.042 if is_word else 0.9226,
        size_bytes=90_900_000,
        p50_ms=12.3,
        ram_bytes=410_000_000,
        vram_bytes=None,
        seconds=24.0,
    )
    say("suggestion", constraints={"quality_drop": "1pp", "size": "0.5x", "latency": None}, seconds_per_trial=24.0)
    time.sleep(1.0)  # nobody waits for its end


RECIPES = [
    ([], "onnx", 90_900_000, True),
    ([], "openvino", 91_000_000, True),
    (["int8-dynamic"], "onnx", 23_100_000, True),
    (["kmeans 16"], "pytorch", 17_200_000, False),
    (["magnitude 30%", "int8-static"], "openvino", 23_300_000, True),
    (["rtn 4"], "onnx", 50_100_000, True),
    (["gptq 4"], "onnx", 40_000_000, True),
]


def estimate(spec):
    name = Path(spec["model"]["path"]).name
    folder = Path(os.environ["FAKE_FOLDER"])
    with (folder / "estimates.jsonl").open("a") as asked:
        asked.write(json.dumps(spec) + "\n")
    if "large" in name:
        (folder / "large.pid").write_text(str(os.getpid()))
        time.sleep(600)
    if "strange" in name:
        print("error: its layers are of no known kind", file=sys.stderr)
        sys.exit(2)
    half = "0.5x" in spec.get("constraints", {}).values()
    recipes = [
        {
            "labels": labels,
            "recipe": {"steps": [], "format": form},
            "size_bytes": size,
            "size_is_exact": is_exact,
            "ram_bytes": {"low": 2 * size, "high": 4 * size},
            "latency_ms": {"low": size / 2e7, "high": size / 0.5e7},
            "breaks": ["size"] if half and size > 45_450_000 else [],
            "may_break": [],
        }
        for labels, form, size, is_exact in RECIPES
    ]
    cost = {
        "trial_seconds_low": 12.0,
        "trial_seconds_high": 48.0,
        "original_bytes": 90_900_000,
        "artifact_bytes": 30_000_000,
        "state_bytes": 90_000_000,
        "cache_bytes": 5_000_000_000,
    }
    what = {"device": "cpu", "original": {"size_bytes": 90_900_000}, "recipes": recipes, "cost": cost}
    print(json.dumps(what, indent=2))


def search(spec, name):
    if "unstartable" in spec["model"]["path"]:
        print("error: constraints.size: it is too small. Write 0.5x.", file=sys.stderr)
        sys.exit(2)
    run = Path(os.environ["AUTOCOMPRESS_RUNS"]) / name
    print("looking at the model", file=sys.stderr, flush=True)
    time.sleep(0.3)
    run.mkdir(parents=True)
    (run / "spec.yaml").write_text(yaml.safe_dump(spec))
    event = {"kind": "search_started", "time": time.time(), "name": name}
    (run / "events.jsonl").write_text(json.dumps(event) + "\n")


def demo():
    say("step", text="training the demo's model", done=1, total=2)
    time.sleep(0.2)
    folder = Path(os.environ["FAKE_FOLDER"]) / "demo-model"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    spec = {
        "model": {"path": str(folder)},
        "data": {"path": str(folder / "config.json"), "columns": {"text": "sentence"}},
        "budget": {"trials": 16},
    }
    say("demo", model=str(folder), data=spec["data"]["path"], spec=spec)


command, *arguments = sys.argv[1:]
if command == "demo":
    demo()
else:
    given = yaml.safe_load(Path(arguments[0]).read_text())
    if command == "probe":
        probe(given)
    elif command == "estimate":
        estimate(given)
    else:
        search(given, arguments[arguments.index("--name") + 1])
