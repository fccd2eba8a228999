"""What our rtn, gptq and awq cost a language model, beside what llmcompressor's do to it with the same calibration.

Perplexity per token of `books-llama-small` on its test windows of 256 tokens, under integers of 4, 3 and 2 bits in
groups of 64; calibrated on the first 128 windows of the training text. The output head is left as it is on both sides,
as llmcompressor's recipes do. Everything else is at its default.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data. Builds the environment of llmcompressor (once,
minutes). Its awq takes minutes for each line on a CPU.

Run: python benchmarks/against_llmcompressor.py [--bits 4 3 2] [--methods rtn gptq awq] [--forms sym asym] [--venv DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import transformers
from llmcompressor_side import GROUP_SIZE, perplexity

from autocompress.compressible import CompressibleModel, StepContext
from autocompress.model_state import facts_of
from autocompress.recipe import step_from_plain
from autocompress.stage_cache import StageCache

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "llmcompressor-requirements.txt"
VENV = Path.home() / ".cache" / "autocompress" / "llmcompressor-venv"
HEAD = "lm_head.weight"
TASK = "language-modelling"
WINDOW = 256
N_CALIBRATION = 128
Windows = npt.NDArray[np.int64]


def python_of(venv: Path) -> Path:
    """The interpreter of llmcompressor's environment, which is built if there is none."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)], check=True)
    return python


def windows_of(text: Path, model: Path) -> Windows:
    """The tokens of a text, shape (n_windows, WINDOW); what is left at the end is dropped."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    ids = np.asarray(tokenizer(text.read_text(encoding="utf-8"), verbose=False)["input_ids"], dtype=np.int64)
    return ids[: len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW)


def theirs(python: Path, model: Path, windows: Path, schemes: list[str]) -> dict[str, float]:
    """Perplexity by scheme, and under ``original``; computed in llmcompressor's environment."""
    result = windows.with_name("result.json")
    command = [python, HERE / "llmcompressor_side.py", model, windows, result, *schemes]
    with windows.with_name("log.txt").open("w+", encoding="utf-8") as log:
        code = subprocess.run(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        if code:
            log.seek(0)
            sys.exit(f"llmcompressor ended with exit code {code}: {log.read()[-2000:]}")
    found = json.loads(result.read_text(encoding="utf-8"))
    return {name: value if name == "original" else value["perplexity"] for name, value in found.items()}


def ours(folder: Path, scheme: str, calibration: Windows, judging: Windows) -> float:
    """Perplexity under our step of the same scheme."""
    method, bits, symmetry, _ = scheme.split("-")
    module = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
    head = module.get_parameter(HEAD).clone()
    calls = [{"input_ids": window[None], "attention_mask": np.ones_like(window[None])} for window in calibration]
    knobs = {"bits": int(bits), "group_size": GROUP_SIZE, "symmetric": symmetry == "sym", "scope": "layers"}
    with tempfile.TemporaryDirectory() as scratch:
        context = StepContext(
            facts=facts_of(module, TASK),
            calibration=lambda: calls,
            training=list,
            teacher=lambda: module,
            scratch=Path(scratch),
            example=calls[0],
            task=TASK,
            device="cpu",
            seed=0,
            cache=StageCache(Path(scratch), cap_bytes=10**9),
            model_key="benchmark",
            progress=lambda *_: None,
        )
        step_from_plain({method: knobs}, "steps[0]").apply(CompressibleModel(module), context)
    module.get_parameter(HEAD).data.copy_(head)  # it comes last, so nothing else depends on what became of it
    return perplexity(module, judging)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", nargs="+", type=int, default=[4, 3, 2])
    parser.add_argument("--methods", nargs="+", default=["rtn", "gptq", "awq"])
    parser.add_argument("--forms", nargs="+", choices=["sym", "asym"], default=["sym", "asym"])
    parser.add_argument("--venv", type=Path, default=VENV)
    given = parser.parse_args()
    torch.set_num_threads(1)
    assets = Path(os.environ["AUTOCOMPRESS_ASSETS"])
    model, books = assets / "models" / "books-llama-small", assets / "data" / "books"
    calibration, judging = windows_of(books / "train.txt", model)[:N_CALIBRATION], windows_of(books / "test.txt", model)
    schemes = [f"{m}-{b}-{form}-nohead" for m, b, form in product(given.methods, given.bits, given.forms)]
    with tempfile.TemporaryDirectory() as folder:
        windows = Path(folder) / "windows.npz"
        np.savez(windows, calibration=calibration, test=judging)
        reference = theirs(python_of(given.venv), model, windows, schemes)
    print(f"original: perplexity {reference['original']:.3f}\n")
    print("| scheme | llmcompressor | loss | ours | loss | ours against it |")
    print("|---|---|---|---|---|---|")
    for scheme in schemes:
        own, other = ours(model, scheme, calibration, judging), reference[scheme]
        losses = [f"{value:.3f} | {value / reference['original'] - 1:+.2%}" for value in (other, own)]
        print(f"| {scheme.removesuffix('-nohead')} | {' | '.join(losses)} | {own / other - 1:+.2%} |", flush=True)


if __name__ == "__main__":
    main()
