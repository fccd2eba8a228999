"""The side of llmcompressor in the comparison that against_llmcompressor.py makes; run by it, in its own environment.

Run: python benchmarks/llmcompressor_side.py MODEL WINDOWS.npz RESULT.json SCHEME…      e.g. gptq-4-sym-head
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

GROUP_SIZE = 64


def perplexity(model: Any, windows: np.ndarray) -> float:
    """Over windows of shape (n, length), one at a time; the first token of each is given, not scored."""
    nats = 0.0
    with torch.inference_mode():
        for window in torch.from_numpy(windows):
            logits = model(input_ids=window[None]).logits[0, :-1].double()
            nats += float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
    return float(np.exp(nats / (windows.shape[0] * (windows.shape[1] - 1))))


def recipe_of(method: str, bits: int, symmetric: bool, ignored: list[str]) -> Any:
    """The recipe for all linear layers that are not ignored, everything else at llmcompressor's defaults."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier

    weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": GROUP_SIZE}
    layers = {"config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}, "ignore": ignored}
    if method == "gptq":
        return GPTQModifier(**layers)
    return [*([AWQModifier()] if method == "awq" else []), QuantizationModifier(**layers)]


def keep_from_pinning() -> None:
    """Let llmcompressor 0.14's AWQ run without an accelerator: it pins memory, which torch refuses there."""
    from llmcompressor.pipelines.cache import IntermediatesCache

    if not torch.accelerator.is_available():
        IntermediatesCache._pin_intermediate = lambda *_: None


def compressed(folder: str, scheme: str, calibration: np.ndarray) -> Any:
    """The model under a scheme such as ``gptq-4-sym-head``; ``nohead`` leaves the output head as it is."""
    from llmcompressor import oneshot

    method, bits, symmetry, head = scheme.split("-")
    calls = [
        {"input_ids": window, "attention_mask": torch.ones_like(window)} for window in torch.from_numpy(calibration)
    ]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return oneshot(
        model=model,
        dataset=DataLoader(calls, batch_size=1),  # type: ignore[arg-type]
        recipe=recipe_of(method, int(bits), symmetry == "sym", ["lm_head"] if head == "nohead" else []),
        num_calibration_samples=len(calls),
    )


def main() -> None:
    """Write the perplexity of the original and under each scheme, with seconds, as JSON."""
    folder, windows_file, result_file, *schemes = sys.argv[1:]
    torch.set_num_threads(1)
    keep_from_pinning()
    windows = np.load(windows_file)
    original = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    result: dict[str, Any] = {"original": perplexity(original, windows["test"])}
    for scheme in schemes:
        start = time.perf_counter()
        model = compressed(folder, scheme, windows["calibration"])
        seconds = time.perf_counter() - start
        result[scheme] = {"perplexity": perplexity(model, windows["test"]), "seconds": seconds}
        print(scheme, result[scheme], flush=True)
        Path(result_file).write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
