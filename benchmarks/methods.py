"""What every method does to every model at hand: by default, and at its strongest that costs less than 2 points.

Each method has a ladder of settings below, from its default to the strongest. A rung is built and judged on the search
part of the model's data; as soon as one loses more than the limit (2 percentage points, or 2 % of a perplexity), the
ladder ends, and the rung before it is the strongest. Both rows are then timed against the original and their memory is
measured. Finished rows are kept in a JSON file beside the runs, so that a benchmark that was stopped goes on.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data.

Run: python benchmarks/methods.py --write docs/methods.md
     python benchmarks/methods.py --write docs/methods.md minilm-sst2 --methods gptq awq
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from known_models import KnownModel, known_models, spec_of
from ledger import Ledger

from autocompress.errors import AutocompressError, RecipeError
from autocompress.jobs import Figure
from autocompress.recipe import Recipe, steps_from_plain
from autocompress.recipe_words import recipe_in_words
from autocompress.records import Latency, Measurement, StageTime
from autocompress.report.numbers import interval, megabytes, metric, milliseconds, ratio
from autocompress.rounding import significant
from autocompress.stage_cache import cache_root

LIMIT_POINTS = 0.02
LIMIT_RELATIVE = 0.02
"""For figures that are no rates, such as a perplexity."""
STEPS = 100
FEWER_STEPS = {"books-llama-small": 20, "fsdd-whisper-small": 30, "fsdd-wav2vec2-ctc": 30}
"""Of the models of which a training step takes long."""

Steps = list[Any]


def knobs(tag: str, **fixed: Any) -> Any:
    """A ladder's rung: one step with these knobs."""
    return {tag: fixed}


LADDERS: dict[str, tuple[str, list[Steps]]] = {
    "export only": ("onnx", [[]]),
    "fp16": ("onnx", [["fp16"]]),
    "bf16": ("pytorch", [["bf16"]]),
    "int8_weight_only": ("onnx", [["int8_weight_only"]]),
    "int8_dynamic": ("onnx", [[knobs("int8_dynamic", per_channel=True)]]),
    "int8_static": ("onnx", [["int8_static"]]),
    "int8_static, smoothed": ("onnx", [[knobs("int8_static", smoothing=0.5)]]),
    "int8_static (OpenVINO)": ("openvino", [["int8_static"]]),
    "rtn": ("onnx", [[knobs("rtn", bits=bits, group_size=64)] for bits in (4, 3, 2)]),
    "gptq": ("onnx", [[knobs("gptq", bits=bits, group_size=64)] for bits in (4, 3, 2)]),
    "awq": ("onnx", [[knobs("awq", bits=bits, group_size=64)] for bits in (4, 3, 2)]),
    "gptq, mixed bits": ("onnx", [[knobs("gptq", effective_bits=bits, group_size=64)] for bits in (4.0, 3.0, 2.5)]),
    "qat": ("onnx", [[knobs("qat", bits=bits, group_size=64, steps=STEPS)] for bits in (4, 2)]),
    "kmeans": ("pytorch", [[knobs("kmeans", n_centroids=count)] for count in (16, 8, 4)]),
    "kmeans, attention only": ("onnx", [[knobs("kmeans", n_centroids=n, scope="attention")] for n in (16, 8, 4)]),
    "kmeans → int8_dynamic": ("onnx", [[knobs("kmeans", n_centroids=16), "int8_dynamic"]]),
    "magnitude": ("pytorch", [[knobs("magnitude", sparsity=share)] for share in (0.3, 0.5, 0.7)]),
    "wanda": ("pytorch", [[knobs("wanda", sparsity=share)] for share in (0.3, 0.5, 0.7)]),
    "sparsegpt": ("pytorch", [[knobs("sparsegpt", sparsity=share)] for share in (0.3, 0.5, 0.7)]),
    "sparsegpt 2:4": ("pytorch", [[knobs("sparsegpt", pattern="2:4")]]),
    "movement": ("pytorch", [[knobs("movement", steps=STEPS)]]),
    "ffn_width": ("onnx", [[knobs("ffn_width", keep=share)] for share in (0.75, 0.5)]),
    "heads": ("onnx", [[knobs("heads", keep=share)] for share in (0.75, 0.5)]),
    "layers": ("onnx", [[knobs("layers", keep=share)] for share in (0.8, 0.67)]),
    "channels": ("onnx", [[knobs("channels", keep=share)] for share in (0.8, 0.6)]),
    "low_rank": ("onnx", [[knobs("low_rank", keep=share)] for share in (0.8, 0.5)]),
    "ffn_width → distil": ("onnx", [[knobs("ffn_width", keep=s), knobs("distil", steps=STEPS)] for s in (0.75, 0.5)]),
    "layers → distil": ("onnx", [[knobs("layers", keep=share), knobs("distil", steps=STEPS)] for share in (0.67, 0.5)]),
    "channels → distil": ("onnx", [[knobs("channels", keep=s), knobs("distil", steps=STEPS)] for s in (0.8, 0.6)]),
}
"""Row of the table: the format, and the steps from the default to the strongest."""

HEADER = """# What every method does

Written by `python benchmarks/methods.py --write docs/methods.md`; not edited by hand. Per model and method: the default
setting and, where a stronger one still loses less than 2 points (2 % of a perplexity) on the search part, the strongest
such. *Size* and *speed* are against the original in PyTorch on one thread; *speed* is timed by a short look, in turns
with the original, – where other work held that up. *RAM* is the peak of a fresh process that runs the model. *Drop* is
that of the metric on the search part, with its 95 % interval. *Compressing* is the time on the clock that the steps and
the export took, much longer where others had the cores, `≤` where a part came from the cache; for CPU seconds see
[what compressing takes](comparisons.md#what-compressing-takes). What a model cannot take is listed below its table,
with the reason.

So that this ends in an hour or two, methods that train do so for a third of their usual steps or fewer, as the settings
say; more steps give better models. `python benchmarks/methods.py --help` tells how to measure single rows again.
"""


@dataclass(frozen=True)
class Row:
    """One measured setting."""

    method: str
    words: str
    format: str
    recipe: dict[str, Any]
    seconds: float
    any_cached: bool
    kernel: str
    measurement: Measurement
    strongest: bool

    def cells(self, original: Measurement, *, is_rate: bool) -> list[str]:
        """As the table tells it."""
        m = self.measurement
        latency, quality = undisturbed(m), m.quality
        assert m.size_bytes is not None
        assert original.size_bytes is not None
        assert quality is not None
        return [
            f"{self.method}{' (strongest)' if self.strongest else ''}",
            self.words,
            self.format,
            megabytes(m.size_bytes),
            ratio(m.size_bytes / original.size_bytes),
            milliseconds(latency.p50_ms if latency else None),
            ratio(latency.speedup.value if latency else None),
            megabytes(m.ram.peak_bytes if m.ram else None),
            metric(quality.value, is_rate=is_rate),
            interval(quality.drop, points=is_rate),
            f"{'≤ ' if self.any_cached else ''}{significant(self.seconds)}",
        ]


class Workshop:
    """One model: builds and judges settings, and remembers what came of them."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.bench = KnownModel(spec_of(model))
        self.ledger = Ledger(cache_root() / "benchmark-methods" / f"{model}.json")
        self.is_rate = self.bench.prepared.metric_is_rate

    def original(self) -> Measurement:
        """The original's figures."""
        if "original" not in self.ledger.entries:
            self.ledger.keep("original", self.bench.original[1].model_dump(mode="json"))
        return Measurement.model_validate(self.ledger.entries["original"])

    def climb(self, method: str) -> None:
        """Find a method's default and strongest rung, and measure both."""
        format_name, rungs = LADDERS[method]
        recipes = [self._recipe(self._shortened(steps), format_name) for steps in rungs]
        key = hashlib.sha256(" ".join(recipe.digest for recipe in recipes).encode()).hexdigest()[:12]
        if self.ledger.entries.get(method, {}).get("key") == key:
            return
        rows: list[dict[str, Any]] = []
        try:
            reason = self.bench.refusal(recipes[0])
            for recipe in recipes:
                if reason or self.bench.refusal(recipe):
                    break
                row = self._measured(recipe)
                if rows and not self._harmless(row["measurement"]):
                    break
                rows[1:] = [row]
                if not self._harmless(row["measurement"]):
                    break
        except RecipeError as refused:
            reason = str(refused)
        except AutocompressError as problem:  # not the recipe's fault: to be tried again
            print(f"{self.model}: {method}: {problem}", file=sys.stderr)
            return
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        self.ledger.keep(method, {"key": key, "reason": reason if not rows else None, "rows": rows, "day": day})

    def _shortened(self, steps: Steps) -> Steps:
        """With fewer training steps where the model is one of `FEWER_STEPS`."""
        fewer = FEWER_STEPS.get(self.model, STEPS)
        plain = [{step: {}} if isinstance(step, str) else step for step in steps]
        return [
            {tag: {**fixed, "steps": fewer} if "steps" in fixed else fixed for tag, fixed in step.items()}
            for step in plain
        ]

    def _recipe(self, steps: Steps, format_name: str) -> Recipe:
        return Recipe(steps=steps_from_plain(steps), format=format_name).canonical()

    def _measured(self, recipe: Recipe) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="autocompress-methods-") as temporary:
            artifact = Path(temporary) / "artifact"
            built = self.bench.build(recipe, artifact)
            measured = self.bench.measure(recipe.format, artifact, precise=False)
        print(f"{self.model}: {recipe}: drop {measured.quality and measured.quality.drop.value:+.4f}", file=sys.stderr)
        return {
            "recipe": recipe.model_dump(mode="json"),
            "words": recipe_in_words(recipe),
            "format": recipe.format,
            "kernel": built.artifact.kernel,
            "seconds": sum(stage.seconds for stage in work(built.stages)),
            "any_cached": any(stage.cached for stage in built.stages),
            "measurement": measured.model_dump(mode="json"),
        }

    def time_again(self, methods: Collection[str]) -> None:
        """Take latency and memory once more where the machine was busy before."""
        if undisturbed(self.original()) is None:
            self.ledger.keep("original", self.bench.original[1].model_dump(mode="json"))
        for method, entry in self.ledger.entries.items():
            for row in entry.get("rows", ()) if method in methods else ():
                if undisturbed(Measurement.model_validate(row["measurement"])) is not None:
                    continue
                recipe = Recipe.model_validate(row["recipe"])
                with tempfile.TemporaryDirectory(prefix="autocompress-methods-") as temporary:
                    artifact = Path(temporary) / "artifact"
                    self.bench.build(recipe, artifact)
                    figures: frozenset[Figure] = frozenset({"latency", "ram"})
                    measured = self.bench.measure(recipe.format, artifact, figures=figures, precise=False)
                again = measured.model_dump(mode="json")
                row["measurement"] |= {name: again[name] for name in ("size_bytes", "latency", "ram")}
            self.ledger.keep(method, entry)

    def _harmless(self, plain: dict[str, Any]) -> bool:
        quality = Measurement.model_validate(plain).quality
        assert quality is not None
        return quality.drop.value < LIMIT_POINTS if self.is_rate else quality.relative_drop.value < LIMIT_RELATIVE

    def section(self) -> str:
        """The model's table, and what it refused."""
        original = self.original()
        latency = undisturbed(original)
        assert original.quality is not None
        lines = [
            f"\n## {self.model}\n",
            f"Original: {megabytes(original.size_bytes)} MB, "
            f"{milliseconds(latency.p50_ms if latency else None)} ms, "
            f"{original.quality.metric} {metric(original.quality.value, is_rate=self.is_rate)} on "
            f"{original.quality.n_samples} samples.\n",
            "| method | setting | format | MB | size | ms | speed | RAM MB | "
            f"{original.quality.metric} | drop | compressing s |",
            "|---|---|---|---:|---:|---:|---:|---:|---:|---|---:|",
        ]
        lines += ["| " + " | ".join(row.cells(original, is_rate=self.is_rate)) + " |" for row in self.rows()]
        refused = [f"- {method}: {reason}" for method, reason in self.refused()]
        missing = [method for method in LADDERS if method not in self.ledger.entries]
        lines += ["\nRefused:\n", *refused] if refused else []
        lines += [f"\nNot measured yet: {', '.join(missing)}."] if missing else []
        return "\n".join(lines) + "\n"

    def rows(self) -> Iterator[Row]:
        """The measured rows, in the order of the ladders."""
        for method in LADDERS:
            for index, plain in enumerate(self.ledger.entries.get(method, {}).get("rows", ())):
                fields = {**plain, "measurement": Measurement.model_validate(plain["measurement"])}
                yield Row(method=method, strongest=index > 0, **fields)

    def refused(self) -> Iterator[tuple[str, str]]:
        """What could not be done, and why."""
        for method in LADDERS:
            reason = self.ledger.entries.get(method, {}).get("reason")
            if reason:
                yield method, reason


def undisturbed(measurement: Measurement) -> Latency | None:
    """The latency, if it was taken while the machine was free for it: short calls suffer less from others than long."""
    latency = measurement.latency
    return None if latency is None or latency.contended else latency


def work(stages: tuple[StageTime, ...]) -> Iterator[StageTime]:
    """The stages that compress: neither loading the original nor storing in the cache."""
    return (stage for stage in stages if stage.stage not in ("load model", "keep in cache"))


def main() -> int:
    """Measure what is missing, and write the document."""
    known = known_models()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(known)}; all when none is given")
    parser.add_argument("--methods", nargs="*", default=list(LADDERS), metavar="METHOD", help="none: only write")
    parser.add_argument("--time-again", action="store_true", help="only latency and RAM, where others disturbed it")
    parser.add_argument("--write", type=Path, required=True, help="the Markdown file to write")
    options = parser.parse_args()
    unknown = sorted(set(options.methods) - set(LADDERS))
    if unknown:
        parser.error(f"there is no ladder for {', '.join(unknown)}; there are: {', '.join(LADDERS)}")
    workshops = [Workshop(model) for model in options.models or known]
    for workshop in workshops:
        workshop.original()
        if options.time_again:
            workshop.time_again(options.methods)
        else:
            for method in options.methods:
                workshop.climb(method)
        sections = [one.section() for one in workshops if "original" in one.ledger.entries]
        options.write.write_text(HEADER + "".join(sections), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
