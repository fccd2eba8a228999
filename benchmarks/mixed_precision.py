"""Bits per layer against the same bits for all layers, at equal size.

For each model and method, two pairs that take the same bits per weight, scales included, over linear and convolution
weights: 3 bits in groups of 64 against `effective_bits: 3.25` in groups of 64, and 2 bits in groups of 32 against
`effective_bits: 2.5` in groups of 64. What is printed is how much the metric gets worse on the search part.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data.

Run: python benchmarks/mixed_precision.py
     python benchmarks/mixed_precision.py books-llama-small --methods gptq
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from autocompress.errors import AutocompressError
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.records import Estimate
from autocompress.search.bench import Bench
from autocompress.spec_file import read_spec

RECIPES = Path(__file__).parent.parent / "recipes"
MODELS = (
    "minilm-sst2",
    "books-llama-small",
    "fashion-vit-small",
    "fashion-resnet",
    "fsdd-whisper-small",
    "fsdd-wav2vec2-ctc",
)
PAIRS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"bits": 3, "group_size": 64}, {"effective_bits": 3.25, "group_size": 64}),
    ({"bits": 2, "group_size": 32}, {"effective_bits": 2.5, "group_size": 64}),
)


def outcome(bench: Bench, method: str, knobs: dict[str, Any]) -> tuple[int, Estimate]:
    """Bytes of the artifact, and the drop on the search part."""
    steps = steps_from_plain([{method: {**knobs, "scope": "layers"}}])
    with tempfile.TemporaryDirectory(prefix="autocompress-mixed-") as temporary:
        artifact = Path(temporary) / "artifact"
        built = bench.build(Recipe(steps=steps, format="pytorch"), artifact)
        measured = bench.measure("pytorch", artifact, figures=frozenset({"quality"}))
    assert measured.quality is not None
    return built.artifact.size_bytes, measured.quality.drop


def told(drop: Estimate) -> str:
    """A drop with its interval."""
    return f"{drop.value:+8.4f} [{drop.low:+.4f}, {drop.high:+.4f}]"


def main() -> int:
    """Print one line per model, method and pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--methods", nargs="+", default=["rtn", "gptq"], metavar="METHOD")
    options = parser.parse_args()
    print(f"{'model':20} {'method':6} {'bits':>5} {'MB':>6} {'uniform: drop':30} {'MB':>6} {'mixed: drop':30}")
    for model in options.models:
        with Bench(read_spec(RECIPES / f"{model}.yaml"), on_progress=lambda _: None) as bench:
            for method in options.methods:
                for uniform, mixed in PAIRS:
                    try:
                        plain_bytes, plain = outcome(bench, method, uniform)
                        mixed_bytes, better = outcome(bench, method, mixed)
                    except AutocompressError as refused:
                        print(f"{model:20} {method:6} {refused}", flush=True)
                        continue
                    print(
                        f"{model:20} {method:6} {mixed['effective_bits']:5} {plain_bytes / 1e6:6.2f} {told(plain):30} "
                        f"{mixed_bytes / 1e6:6.2f} {told(better):30}",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
