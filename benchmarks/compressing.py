"""What every method takes to compress: CPU seconds, and megabytes beside the model, per 10^6 weights.

The weights counted are those of the linear and convolution layers; where a method has the knob ``scope``, only these
are coded. Calibrated with the first 128 samples of the calibration part; methods that train do so for 100 steps of 32
samples, drawn from 2,000 training rows at most. One thread, a process for each method. The megabytes are by how much
the process's peak rises above what it held with the model and the data loaded, so a teacher counts, too. What the
formats do afterwards, int8 calibration included, is no part of it.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data.

Run: python benchmarks/compressing.py
     python benchmarks/compressing.py minilm-sst2 --methods gptq awq
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocompress.data.parts import read_parts, read_training
from autocompress.recipe import steps_from_plain
from autocompress.rounding import significant
from autocompress.spec_file import read_spec
from autocompress.tasks.detection import find_task

RECIPES = Path(__file__).parent.parent / "recipes"
MODELS = ("minilm-sst2", "fashion-resnet", "fsdd-whisper-small")
N_CALIBRATION = 128
N_TRAINING = 2000
N_STEPS = 100
TRAINED = {"steps": N_STEPS, "patience": 0}
GROUPS = {"group_size": 64, "scope": "layers"}

METHODS: dict[str, list[Any]] = {
    "ffn_width": ["ffn_width"],
    "layers": ["layers"],
    "heads": ["heads"],
    "heads, taylor": [{"heads": {"importance": "taylor"}}],
    "channels": ["channels"],
    "channels, taylor": [{"channels": {"importance": "taylor"}}],
    "low_rank": ["low_rank"],
    "magnitude": ["magnitude"],
    "wanda": ["wanda"],
    "sparsegpt": ["sparsegpt"],
    f"movement, {N_STEPS} steps": [{"movement": TRAINED}],
    f"distil, {N_STEPS} steps": [{"magnitude": {"sparsity": 0.3}}, {"distil": TRAINED}],
    "kmeans": [{"kmeans": {"scope": "layers"}}],
    f"kmeans_tuned, {N_STEPS} steps": [{"kmeans_tuned": {"scope": "layers", **TRAINED}}],
    "rtn": [{"rtn": GROUPS}],
    "gptq": [{"gptq": GROUPS}],
    "awq": [{"awq": GROUPS}],
    "gptq, mixed bits": [{"gptq": {"effective_bits": 4.25, **GROUPS}}],
    f"qat, {N_STEPS} steps": [{"qat": {**GROUPS, **TRAINED}}],
    "int8_weight_only": [{"int8_weight_only": {"scope": "layers"}}],
    "int8_dynamic": ["int8_dynamic"],
    "int8_static": ["int8_static"],
    "int8_static, smoothed": [{"int8_static": {"smoothing": 0.5, "keep_float": 2}}],
    "fp16": ["fp16"],
    "bf16": ["bf16"],
}
"""Row of the table: the step that is measured, the last, and those before it, which are not."""


@dataclass(frozen=True)
class Cost:
    """What one method took on one model."""

    cpu_seconds: float
    extra_megabytes: float


def cost(model_name: str, method: str) -> Cost | str:
    """Compress in this process; gives the reason where the model cannot take the method."""
    import torch

    from autocompress.compressible import CompressibleModel, StepContext
    from autocompress.model_state import facts_of
    from autocompress.stage_cache import StageCache

    torch.set_num_threads(1)
    spec = read_spec(RECIPES / f"{model_name}.yaml")
    task = find_task(spec.model)
    assert spec.data is not None
    rows = read_parts(spec.data, task.roles, 0)["calibration"]
    calibration = task.samples(spec.model, rows.take(range(min(len(rows), N_CALIBRATION))))
    calls = [_without_labels(task.training_inputs(spec.model, sample)) for sample in calibration]
    steps = steps_from_plain(METHODS[method])
    training = []
    if steps[-1].needs_training or steps[-1].reads_training:
        rows = read_training(spec.data, task.roles, 0)
        drawn = task.training_samples(spec.model, rows.take(range(min(len(rows), N_TRAINING))), 0)
        training = [task.training_inputs(spec.model, sample) for sample in drawn]
    module = task.load_model(spec.model).float().requires_grad_(False)
    facts = facts_of(module, task.name)
    model = CompressibleModel(module)
    with tempfile.TemporaryDirectory() as scratch:
        context = StepContext(
            facts=facts,
            calibration=lambda: calls,
            training=lambda: training,
            teacher=lambda: task.load_model(spec.model).float().requires_grad_(False),
            scratch=Path(scratch) / "scratch",
            example=calls[0],
            task=task.name,
            device="cpu",
            seed=0,
            cache=StageCache(Path(scratch) / "cache", cap_bytes=10**9),
            model_key="benchmark",
            progress=lambda *_: None,
        )
        for step in steps:
            if reason := step.refuses(facts):
                return reason
        for step in steps[:-1]:
            step.apply(model, context)
        with torch.inference_mode():
            module(**{name: torch.from_numpy(array) for name, array in calls[0].items()})  # what torch loads lazily
        held = _reset_peak()
        started = time.process_time()
        steps[-1].apply(model, context)
        spent = time.process_time() - started
    millions = sum(fact.n_elements for fact in facts.of_kind("linear", "convolution")) / 1e6
    return Cost(spent / millions, max(0.0, _memory("VmHWM") - held) / millions)


def _without_labels(inputs: Any) -> Any:
    return {name: array for name, array in inputs.items() if name != "labels"}


def _reset_peak() -> float:
    """Make the process's peak what it holds now; gives that, in megabytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(field: str) -> float:
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024 / 1e6


def main() -> None:
    """Print the table, a row per method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL", help="of those in recipes/")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD")
    given = parser.parse_args()
    print("| method | " + " | ".join(f"{model}: CPU s | MB" for model in given.models) + " |")
    print("|---|" + "---:|---:|" * len(given.models))
    # A process of its own for each, so that peaks don't hide one another.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for method in given.methods:
            cells = []
            for model in given.models:
                found = pool.apply(cost, (model, method))
                if isinstance(found, str):
                    cells += ["–", "–"]
                else:
                    cells += [significant(found.cpu_seconds), significant(found.extra_megabytes)]
            print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
