"""What rtn, gptq and awq cost at 4, 3 and 2 bits in groups of 64, embeddings left as they are.

Perplexity per token of `books-llama-small` on its test windows of 256 tokens, and accuracy of `minilm-sst2` on its
validation and test sentences. An accuracy moves by chance, as answers near the border flip either way; so beside it
stands how far the classes' probabilities have moved: their Kullback-Leibler divergence from the original's, in 10^-3
nats per sentence. Then CPU seconds to compress and the megabytes that this adds to the peak, both per 10^6 weights.
Calibrated on 128 windows or sentences drawn from the training text.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data.

Run: python benchmarks/rounding.py
     python benchmarks/rounding.py sst2 --bits 3 2 --forms symmetric --methods rtn gptq
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autocompress import registry
from autocompress.compressible import CompressibleModel, StepContext
from autocompress.data.columns import assign_roles
from autocompress.data.source import read_source
from autocompress.formats.pytorch.runner import PyTorchRunner
from autocompress.model_state import facts_of
from autocompress.recipe import step_from_plain
from autocompress.spec import DataSpec, ModelSpec
from autocompress.stage_cache import StageCache
from autocompress.tasks.base import Sample

GROUP_SIZE = 64
N_CALIBRATION = 128
LARGEST_BATCH = 16
FORMS = ("symmetric", "zero points")


@dataclass(frozen=True)
class Problem:
    """A model, what it is calibrated with, and what it is judged by."""

    folder: str
    task: str
    calibration: str
    judging: tuple[str, ...]
    options: dict[str, int]


PROBLEMS = {
    "lm": Problem(
        "books-llama-small", "language-modelling", "books/train.txt", ("books/test.txt",), options={"window": 256}
    ),
    "sst2": Problem(
        "minilm-sst2", "text-classification", "sst2/train_sentences.tsv", ("sst2/validation.tsv", "sst2/test.tsv"), {}
    ),
}


@dataclass(frozen=True)
class Finding:
    """What one method did to one model."""

    metric: str
    value: float
    log_probabilities: np.ndarray | None
    """Of the classes, shape (samples, classes); None where the classes are a whole vocabulary."""
    cpu_seconds: float
    peak_megabytes: float
    """Added by compressing, per 10^6 weights, as the time is."""


def find(problem: Problem, method: str | None, knobs: dict[str, Any]) -> Finding:
    """Compress the model in this process, and judge it."""
    torch.set_num_threads(1)
    assets = Path(os.environ["AUTOCOMPRESS_ASSETS"])
    task = registry.load("tasks", problem.task)()
    model = ModelSpec(path=str(assets / "models" / problem.folder), task=problem.task, options=dict(problem.options))

    def samples(path: str) -> Sequence[Sample]:
        source = str(assets / "data" / path)
        rows = assign_roles(read_source(source, DataSpec(path=source)), task.roles, {})
        return list(task.samples(model, rows))

    module = task.load_model(model).float().requires_grad_(False)
    runner = PyTorchRunner(module, "cpu")
    drawn = samples(problem.calibration)
    picks = np.random.default_rng(0).permutation(len(drawn))[:N_CALIBRATION]
    calls = [drawn[index].inputs for index in picks]
    runner.forward(calls[0])
    compressed = CompressibleModel(module)
    started, before = time.process_time(), _peak_megabytes()
    if method:
        with tempfile.TemporaryDirectory() as scratch:
            context = StepContext(
                facts=facts_of(module, problem.task),
                calibration=lambda: calls,
                training=list,
                teacher=lambda: module,
                scratch=Path(scratch),
                example=calls[0],
                task=problem.task,
                device="cpu",
                seed=0,
                cache=StageCache(Path(scratch), cap_bytes=10**9),
                model_key="benchmark",
                progress=lambda *_: None,
            )
            step_from_plain({method: knobs}, "steps[0]").apply(compressed, context)
    spent, added = time.process_time() - started, _peak_megabytes() - before
    millions = sum(int(np.prod(encoding.shape)) for encoding in compressed.encodings.values()) / 1e6 or 1.0
    judging = [sample for path in problem.judging for sample in samples(path)]
    value, logits = judged(task, model, runner, judging)
    kept = None if problem.task == "language-modelling" else torch.from_numpy(logits).log_softmax(dim=1).numpy()
    return Finding(task.metric.name, value, kept, spent / millions, added / millions)


def judged(task: Any, model: ModelSpec, runner: PyTorchRunner, samples: Sequence[Sample]) -> tuple[float, np.ndarray]:
    """The task's metric, and the logits of the samples' last position; samples of equal shapes run together."""
    alike: dict[tuple[int, ...], list[Sample]] = {}
    for sample in samples:
        alike.setdefault(sample.inputs["input_ids"].shape, []).append(sample)
    scores, kept = [], []
    for group in alike.values():
        for start in range(0, len(group), LARGEST_BATCH):
            batch = group[start : start + LARGEST_BATCH]
            joined = {name: np.concatenate([s.inputs[name] for s in batch]) for name in batch[0].inputs}
            logits = runner.forward(joined)["logits"]
            kept.append(logits.reshape(len(batch), -1, logits.shape[-1])[:, -1])
            scores += [
                task.score(model, logits[index : index + 1], s.target)[task.metric.name]
                for index, s in enumerate(batch)
            ]
    numerators, denominators = np.array(scores, np.float64).T
    return float(task.metric.value(numerators, denominators)), np.concatenate(kept)


def divergence(original: Finding, found: Finding) -> str:
    """How far the classes' probabilities are from the original's, in 10^-3 nats per sample."""
    expected, given = original.log_probabilities, found.log_probabilities
    if expected is None or given is None:
        return "–"
    return f"{1000 * float((np.exp(expected) * (expected - given)).sum(axis=1).mean()):.2f}"


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a line for each model, width, form and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", choices=[*PROBLEMS, []], default=list(PROBLEMS))
    parser.add_argument("--bits", nargs="+", type=int, default=[4, 3, 2])
    parser.add_argument("--methods", nargs="+", default=["rtn", "gptq", "awq"])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    given = parser.parse_args()
    print("| model | bits | form | method | value | loss | divergence | CPU s per 10^6 | MB per 10^6 |")
    print("|---|---:|---|---|---:|---:|---:|---:|---:|")
    # A process of its own for each, so that peaks don't hide one another.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name in given.problems:
            original = pool.apply(find, (PROBLEMS[name], None, {}))
            print(f"| {name} | 32 | | original | {original.value:.4f} | {original.metric} | | | |", flush=True)
            for bits, form, method in product(given.bits, given.forms, given.methods):
                symmetric = form == "symmetric"
                knobs = {"bits": bits, "group_size": GROUP_SIZE, "symmetric": symmetric, "scope": "layers"}
                found = pool.apply(find, (PROBLEMS[name], method, knobs))
                change = found.value - original.value
                loss = -100 * change if found.metric == "accuracy" else 100 * change / original.value
                unit = "pp" if found.metric == "accuracy" else "%"
                print(
                    f"| {name} | {bits} | {form} | {method} | {found.value:.4f} | {loss:+.2f} {unit} | "
                    f"{divergence(original, found)} | {found.cpu_seconds:.2f} | {found.peak_megabytes:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
