"""How far the speed-up of one artifact differs from one look at it to the next, and whether its interval says so.

Each artifact is timed against the original as a search does (`autocompress/measure/latency.py`, the short look), again
and again, each time in a fresh process and with the looks at the other artifacts in between, so that the machine has
drifted meanwhile. The interval of one look, which knows the drift from what the original took in the looks before,
should hold the median of the others' speed-ups 19 times out of 20.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data. With `--keep`, one that was stopped goes on.

Run: python benchmarks/latency_repeats.py --write docs/benchmarks.md
     python benchmarks/latency_repeats.py --looks 3 --models cifar10-resnet20
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from intervals import told_share
from known_models import KnownModel, known_models, spec_of
from ledger import Ledger
from sections import command_line, print_section, this_machine, today, when_and_where

from autocompress.jobs import Figure
from autocompress.recipe import Recipe

SECTION = "## Speed-ups from one look to the next"
MODELS = ("minilm-sst2", "fashion-vit-small", "fashion-resnet", "cifar10-resnet20")
RECIPES = {
    "as ONNX": Recipe(format="onnx"),
    "int8, as ONNX": Recipe.model_validate({"steps": [{"int8_dynamic": {}}], "format": "onnx"}),
    "as OpenVINO": Recipe(format="openvino"),
}

Row = Mapping[str, Any]


def measure(models: Sequence[str], looks: int, ledger: Ledger) -> None:
    """Take what the ledger lacks; look after look, and at all artifacts in turns."""
    with tempfile.TemporaryDirectory(prefix="autocompress-looks-") as temporary:
        known = {model: KnownModel(spec_of(model)) for model in models}
        artifacts = {
            (model, name): Path(temporary) / f"{model}-{recipe.digest}"
            for model in models
            for name, recipe in RECIPES.items()
            if known[model].refusal(recipe) is None
        }
        for (model, name), folder in artifacts.items():
            known[model].build(RECIPES[name], folder)
        for look in range(looks):
            for (model, name), folder in artifacts.items():
                if key(model, name, look) in ledger.entries:
                    continue
                form, alone = RECIPES[name].format, frozenset[Figure]({"latency"})
                latency = known[model].measure(form, folder, figures=alone, precise=False).latency
                assert latency is not None
                speedup = latency.speedup
                row = {
                    "speedup": [speedup.value, speedup.low, speedup.high],
                    "ms": latency.p50_ms,
                    "contended": latency.contended,
                    "day": today(),
                    "machine": this_machine(),
                }
                ledger.keep(key(model, name, look), row)
                print(f"{model}, {name}, {look}: {row}", file=sys.stderr)


def key(model: str, recipe: str, look: int) -> str:
    """Of a row in the ledger."""
    return f"{model} | {recipe} | {look}"


# Results -----------------------------------------------------------------------------------------------------------


def n_held(rows: Sequence[Row]) -> int:
    """How many of the looks' intervals hold the median of the others' speed-ups."""
    values = np.array([row["speedup"][0] for row in rows])
    others = [float(np.median(np.delete(values, index))) for index in range(len(rows))]
    return sum(row["speedup"][1] <= other <= row["speedup"][2] for row, other in zip(rows, others, strict=True))


def told(name: str, rows: Sequence[Row]) -> str:
    """A row of the table."""
    values = np.array([row["speedup"] for row in rows])
    half = np.log(values[:, 2] / values[:, 1]) / 2
    spread = 100 * float(np.log(values[:, 0]).std(ddof=1))
    contended = sum(row["contended"] for row in rows)
    return (
        f"| {name} | {len(rows)} | {np.median([row['ms'] for row in rows]):.2f} | {np.median(values[:, 0]):.2f}× "
        f"| {spread:.1f} % | {100 * np.median(half):.1f} % | {told_share(n_held(rows), len(rows))} | {contended} |"
    )


def report(models: Sequence[str], looks: int, ledger: Ledger) -> Iterator[str]:
    """The section, line by line."""
    found: dict[str, list[Row]] = {
        f"{model}, {name}": rows
        for model in models
        for name in RECIPES
        if len(rows := [e for look in range(looks) if (e := ledger.entries.get(key(model, name, look)))]) > 1
    }
    every = [row for rows in found.values() for row in rows]
    yield f"{SECTION}\n"
    yield f"`{command_line(sys.argv)}`, {when_and_where(every)}.\n"
    yield (__doc__ or "").partition("Needs ")[0].strip()
    yield "\nThe spread is the standard deviation of the speed-up's logarithm over the looks, the half-width the median"
    yield "of half the interval of that logarithm.\n"
    yield "| artifact | looks | ms | speed-up | spread | interval's half-width | holds the others' median | contended |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for name, rows in found.items():
        yield told(name, rows)
    held = sum(n_held(rows) for rows in found.values())
    yield f"\nAll together, {told_share(held, len(every))} of the intervals hold what the other looks said."


def main() -> None:
    """Take what is missing, print the table, and write it into a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=known_models(), metavar="MODEL")
    parser.add_argument("--looks", type=int, default=10, help="at each artifact")
    parser.add_argument("--keep", type=Path, help="a folder for single looks; those that it holds aren't taken again")
    parser.add_argument("--write", type=Path, help="the Markdown file whose section is replaced")
    options = parser.parse_args()
    ledger = Ledger(options.keep and options.keep / "latency-repeats.json")
    measure(options.models, options.looks, ledger)
    print_section(report(options.models, options.looks, ledger), SECTION, options.write)


if __name__ == "__main__":
    main()
