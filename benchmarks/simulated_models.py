"""Models that do not exist, with recipes that take no time: what `search_simulated.py` searches.

Each has 70,000 recipes or more over four formats, and figures by rules of thumb of the field, with what makes real
searches hard: size and latency of parts that are compressed differently, damage that multiplies from step to step and
falls off a cliff, calibrations that go well or badly with other steps, recipes that are refused, others that fail
without being announced, noise in what is measured, and steps that take seconds or minutes and can be shared.

Run: python benchmarks/simulated_models.py
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from autocompress.search.sampler import Suggests
from autocompress.search.sampler.hypervolume import hypervolume

LIMIT = 0.01
REFERENCE = (0.0, 0.0, 2 * LIMIT)
FORMATS = ("gguf", "onnx", "openvino", "pytorch")
STRUCTURES: dict[str, dict[str, tuple[Any, ...]]] = {
    "none": {},
    "layers": {"keep": (0.34, 0.5, 0.67, 0.84), "strategy": ("even", "influence")},
    "ffn_width": {"keep": (0.4, 0.55, 0.7, 0.85)},
}
PRUNINGS: dict[str, dict[str, tuple[Any, ...]]] = {
    "none": {},
    "magnitude": {"sparsity": (0.2, 0.4, 0.6, 0.8)},
    "wanda": {"sparsity": (0.2, 0.4, 0.6, 0.8)},
}
CODINGS: dict[str, dict[str, tuple[Any, ...]]] = {
    "none": {},
    "kmeans": {"n_centroids": (4, 8, 16, 64), "scope": ("layers", "all")},
    "rtn": {"bits": (3, 4, 8), "group_size": (32, 64, 128), "scope": ("layers", "all")},
    "gptq": {"bits": (3, 4, 8), "group_size": (32, 64, 128)},
}
COMPUTES: dict[str, dict[str, tuple[Any, ...]]] = {
    "none": {},
    "fp16": {},
    "int8_dynamic": {"per_channel": (False, True)},
    "int8_static": {"calibration": ("minmax", "entropy", "percentile"), "smoothing": (0.0, 0.5)},
}
PHASES = {"structure": STRUCTURES, "prune": PRUNINGS, "code": CODINGS, "compute": COMPUTES}
PLACES = {phase: index for index, phase in enumerate(PHASES)}

Step = tuple[str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True)
class Recipe:
    """A format, and for each phase a method with its knobs."""

    format: str
    steps: tuple[Step, ...]

    def knobs(self, phase: str) -> tuple[str, dict[str, Any]]:
        """Method and knobs of a phase."""
        method, knobs = self.steps[PLACES[phase]]
        return method, dict(knobs)

    @cached_property
    def choices(self) -> frozenset[str]:
        """All that was chosen, in words."""
        named = [f"{method}.{knob}={value}" for method, knobs in self.steps for knob, value in knobs]
        return frozenset([f"format={self.format}", *named, *(method for method, _ in self.steps if method != "none")])

    @cached_property
    def key(self) -> str:
        """Equal for equal recipes."""
        return f"{self.steps} {self.format}"

    @property
    def params(self) -> dict[str, Any]:
        """The answers that give it."""
        answers: dict[str, Any] = {"format": self.format}
        for phase, (method, knobs) in zip(PHASES, self.steps, strict=True):
            answers[phase] = method
            answers |= {f"{method}.{knob}": value for knob, value in knobs}
        return answers


def ask(trial: Suggests) -> Recipe:
    """A recipe of a sampler's answers."""
    chosen = trial.suggest_categorical("format", list(FORMATS))
    steps = []
    for phase, methods in PHASES.items():
        method = trial.suggest_categorical(phase, list(methods))
        knobs = {
            knob: trial.suggest_categorical(f"{method}.{knob}", list(values))
            for knob, values in methods[method].items()
        }
        steps.append((method, tuple(knobs.items())))
    return Recipe(chosen, tuple(steps))


def recipe(chosen: str, **steps: tuple[str, dict[str, Any]]) -> Recipe:
    """A recipe by hand; phases that are not named do nothing."""
    named = [steps.get(phase, ("none", {})) for phase in PHASES]
    return Recipe(chosen, tuple((method, tuple(knobs.items())) for method, knobs in named))


def refusal(one: Recipe) -> str | None:
    """Why a recipe cannot be, known beforehand."""
    coding, coded = one.knobs("code")
    compute, _ = one.knobs("compute")
    rules = {
        "no int8 kernels": one.format in ("pytorch", "gguf") and compute.startswith("int8"),
        "half precision is not exported": one.format in ("onnx", "gguf") and compute == "fp16",
        "no codebooks": one.format == "gguf" and coding == "kmeans",
        "groups are of 32": one.format == "gguf" and coded.get("group_size", 32) != 32,
        "codes are not computed in int8": coding == "gptq" and compute.startswith("int8"),
        "nothing is left to compute in int8": coded.get("scope") == "all" and coding == "rtn" and compute == "fp16",
    }
    return next((why for why, holds in rules.items() if holds), None)


@lru_cache(maxsize=1)
def every_recipe() -> tuple[Recipe, ...]:
    """All that are not refused."""
    return tuple(one for one in _all_recipes() if refusal(one) is None)


def _all_recipes() -> Iterator[Recipe]:
    options = [
        [
            (method, tuple(zip(knobs, values, strict=True)))
            for method, knobs in methods.items()
            for values in itertools.product(*knobs.values())
        ]
        for methods in PHASES.values()
    ]
    for chosen, *steps in itertools.product(FORMATS, *options):
        yield Recipe(chosen, tuple(steps))


KNOWN_GOOD = (
    recipe("onnx"),
    recipe("openvino"),
    recipe("pytorch"),
    recipe("gguf"),
    recipe("onnx", compute=("int8_dynamic", {"per_channel": True})),
    recipe("openvino", compute=("int8_static", {"calibration": "minmax", "smoothing": 0.0})),
    recipe("pytorch", code=("kmeans", {"n_centroids": 16, "scope": "all"})),
    recipe("gguf", code=("rtn", {"bits": 4, "group_size": 32, "scope": "all"})),
    recipe("onnx", compute=("int8_static", {"calibration": "minmax", "smoothing": 0.0})),
    recipe("openvino", code=("rtn", {"bits": 8, "group_size": 128, "scope": "all"})),
    recipe("pytorch", code=("gptq", {"bits": 4, "group_size": 64})),
    recipe(
        "onnx",
        code=("kmeans", {"n_centroids": 16, "scope": "all"}),
        compute=("int8_dynamic", {"per_channel": True}),
    ),
)


@dataclass(frozen=True)
class Truth:
    """A recipe's true figures, on the scales of the objectives; ``failure``: it has none."""

    log_size: float
    log_latency: float
    drop: float
    failure: str | None = None

    @property
    def values(self) -> tuple[float, float, float]:
        """The objectives."""
        return self.log_size, self.log_latency, self.drop

    @property
    def feasible(self) -> bool:
        """Whether it keeps the limit."""
        return self.failure is None and self.drop <= LIMIT


class SimulatedModel:
    """One model with its ways of being compressed, drawn by its name.

    ``entangled``: damages also depend on pairs of choices at random, as no rule of thumb says.
    """

    def __init__(self, name: str, entangled: bool = False) -> None:
        self.name = name
        self._entangled = entangled
        self._truths: dict[str, Truth] = {}
        draw = np.random.default_rng(list(name.encode()))
        embedding = draw.uniform(0.1, 0.45)
        self._shares = {"embedding": embedding, "attention": (1 - embedding) / 3, "ffn": (1 - embedding) * 2 / 3}
        self._fixed = draw.uniform(0.04, 0.15)
        self._runtime = {
            "pytorch": 1.0,
            "onnx": draw.uniform(0.5, 0.8),
            "openvino": draw.uniform(0.42, 0.75),
            "gguf": draw.uniform(0.6, 1.3),
        }
        self._int8 = {"onnx": draw.uniform(0.4, 0.9), "openvino": draw.uniform(0.35, 0.7)}
        self._half = {"pytorch": draw.uniform(0.8, 1.6), "openvino": draw.uniform(0.9, 1.05)}
        self._overhead = {chosen: draw.uniform(0.002, 0.03) for chosen in FORMATS}
        self._damage = {
            "layers": draw.uniform(0.7, 2.5),
            "ffn_width": draw.uniform(0.5, 1.8),
            "magnitude": draw.uniform(0.8, 1.6),
            "wanda": draw.uniform(0.4, 1.1),
            "kmeans": draw.uniform(0.3, 0.9),
            "rtn": draw.uniform(0.3, 1.0),
            "gptq": draw.uniform(0.12, 0.4),
            "int8_dynamic": draw.uniform(0.15, 0.9),
            "int8_static": draw.uniform(0.3, 1.6),
        }
        self._calibration = dict(zip(COMPUTES["int8_static"]["calibration"], draw.uniform(0.5, 2.2, 3), strict=True))
        self._smoothing = draw.uniform(0.35, 1.1)
        self._joint = draw.uniform(0.3, 1.5, 3)
        self._cliff = draw.uniform(1.6, 3.2)
        self._luck = draw.uniform(0.1, 0.25)
        self._samples = int(draw.integers(800, 2000))
        self._failing = self._draw_failing(draw)

    def _draw_failing(self, draw: np.random.Generator) -> dict[str, tuple[str, str]]:
        """Errors of pairs of choices that nobody announces."""
        pairs = [
            ("format=openvino", "kmeans.scope=all"),
            ("format=onnx", "rtn.group_size=32"),
            ("layers.keep=0.34", "int8_static"),
            ("gptq.bits=3", "ffn_width"),
            ("format=gguf", "layers"),
            ("format=openvino", "int8_static.calibration=entropy"),
            ("wanda", "kmeans.n_centroids=64"),
            ("format=pytorch", "gptq.group_size=128"),
        ]
        chosen = draw.choice(len(pairs), size=4, replace=False)
        return {f"error {number}: {' with '.join(pairs[number])}": pairs[number] for number in chosen}

    def truth(self, one: Recipe) -> Truth:
        """What would be found by measuring for ever."""
        if one.key not in self._truths:
            failed = (why for why, (a, b) in self._failing.items() if a in one.choices and b in one.choices)
            self._truths[one.key] = Truth(
                self._log_size(one), self._log_latency(one), self._drop(one), failure=next(failed, None)
            )
        return self._truths[one.key]

    # Figures --------------------------------------------------------------------------------------------------------

    def kept(self, one: Recipe) -> dict[str, float]:
        """What is left of each part's share of the weights."""
        structure, knobs = one.knobs("structure")
        layers = knobs["keep"] if structure == "layers" else 1.0
        width = knobs["keep"] if structure == "ffn_width" else 1.0
        factors = {"embedding": 1.0, "attention": layers, "ffn": layers * width}
        return {part: share * factors[part] for part, share in self._shares.items()}

    def _log_size(self, one: Recipe) -> float:
        pruning, pruned = one.knobs("prune")
        compute, _ = one.knobs("compute")
        coding, coded = one.knobs("code")
        dense = 16.0 if compute == "fp16" else 32.0
        total = 0.0
        for part, weights in self.kept(one).items():
            bits = dense
            covered = part != "embedding" or coded.get("scope") == "all"
            if coding == "kmeans" and covered:
                bits = math.log2(coded["n_centroids"]) * (0.9 if one.format == "pytorch" else 1.0)
            elif coding in ("rtn", "gptq") and covered:
                bits = coded["bits"] + (16 if coding == "rtn" else 20) / coded["group_size"]
            elif compute.startswith("int8") and part != "embedding":
                bits = 8.1
            if pruning != "none" and part != "embedding" and one.format in ("pytorch", "openvino"):
                bits = min(bits, 1 + (1 - pruned["sparsity"]) * bits)
            total += weights * bits / 32
        return math.log(total + self._overhead[one.format])

    def _log_latency(self, one: Recipe) -> float:
        compute, knobs = one.knobs("compute")
        coding, coded = one.knobs("code")
        kept = self.kept(one)
        work = (kept["attention"] + kept["ffn"]) / (self._shares["attention"] + self._shares["ffn"])
        if compute.startswith("int8"):
            work *= self._int8[one.format] * (0.92 if compute == "int8_static" else 1.0)
            work *= 1.04 if knobs.get("per_channel") else 1.0
        elif compute == "fp16":
            work *= self._half[one.format]
        elif coding in ("rtn", "gptq") and coded["bits"] == 4 and one.format in ("onnx", "gguf"):
            work *= 0.75 if coded["group_size"] == 32 else 0.95
        return math.log(self._runtime[one.format] * work * (1 - self._fixed) + self._fixed)

    def _drop(self, one: Recipe) -> float:
        structure, narrowed = one.knobs("structure")
        pruning, pruned = one.knobs("prune")
        coding, coded = one.knobs("code")
        compute, computed = one.knobs("compute")
        damage = self._damage
        lost = 1 - narrowed.get("keep", 1.0)
        shape = damage.get(structure, 0.0) * (lost / 0.33) ** 2.2
        shape *= 0.6 if narrowed.get("strategy") == "influence" else 1.0
        holes = damage.get(pruning, 0.0) * (pruned.get("sparsity", 0.0) / 0.6) ** 3.5
        codes = damage.get(coding, 0.0)
        if coding == "kmeans":
            codes *= (16 / coded["n_centroids"]) ** 1.3
        elif coding != "none":
            codes *= 4.0 ** (4 - coded["bits"]) * (coded["group_size"] / 64) ** 0.5
        codes *= 1.4 if coded.get("scope") == "all" else 1.0
        arithmetic = damage.get(compute, 0.02 if compute == "fp16" else 0.0)
        arithmetic *= 0.6 if computed.get("per_channel") else 1.0
        if compute == "int8_static":
            arithmetic *= self._calibration[computed["calibration"]]
            # Smoothing moves outliers into weights: a help, unless the weights have been coded already.
            smooth = self._smoothing * (1 + codes)
            arithmetic *= smooth if computed["smoothing"] else 1.0
        a, b, c = self._joint
        total = shape + holes + codes + arithmetic
        total += a * math.sqrt(shape * codes) + b * holes * codes + c * lost * arithmetic
        total *= math.exp(self._luck * _chance(self.name, one.key) + self._entanglement(one))
        cliff = 0.6 / (1 + math.exp(-(math.log(total + 1e-9) - math.log(self._cliff)) / 0.2))
        return 0.008 * total - 0.002 * min(holes, 0.5) + cliff

    def _entanglement(self, one: Recipe) -> float:
        if not self._entangled:
            return 0.0
        pairs = itertools.combinations(sorted(one.choices), 2)
        return 0.12 * sum(_chance(self.name, a, b) for a, b in pairs if "format" not in a + b)

    # Trials ---------------------------------------------------------------------------------------------------------

    def deviations(self, one: Recipe) -> tuple[float, float, float]:
        """Standard deviations of what is measured."""
        truth = self.truth(one)
        discordant = 0.01 + 2 * max(truth.drop, 0.0)
        timing = 0.02 * math.exp(0.5 * _chance(self.name, one.key, "timing"))
        return 0.0, timing, math.sqrt(discordant / self._samples)

    def seconds(self, one: Recipe) -> dict[str, float]:
        """By kind of stage, in order."""
        taken = {"layers": 30, "ffn_width": 15, "magnitude": 3, "wanda": 40, "kmeans": 60, "rtn": 4, "gptq": 150}
        taken |= {"none": 0, "fp16": 1, "int8_dynamic": 3, "int8_static": 45}
        stages = {method: float(taken[method]) for method, _ in one.steps[:3] if method != "none"}
        export = {"onnx": 25, "openvino": 35, "pytorch": 5, "gguf": 15}[one.format]
        stages[f"export {one.format}"] = export + taken[one.steps[3][0]]
        stages["measure"] = 20 + 40 * math.exp(self._log_latency(one))
        return stages

    def size_by_arithmetic(self, one: Recipe) -> float:
        """The log size as it would be predicted, right to a few per cent."""
        return self._log_size(one) + 0.02 * _chance(self.name, one.key, "size")

    # The best -------------------------------------------------------------------------------------------------------

    @cached_property
    def best_hypervolume(self) -> float:
        """What the front of all recipes dominates."""
        truths = [self.truth(one) for one in every_recipe()]
        values = np.array([truth.values for truth in truths if truth.feasible])
        # Most are dominated by one of a few: leave those out first.
        for corner in values[np.argsort(values[:, :2].sum(axis=1))[:200]]:
            values = values[~((values > corner).all(axis=1))]
        return hypervolume(values, REFERENCE)


def _chance(*names: str) -> float:
    """A standard normal number that is always the same for the same names."""
    digest = hashlib.blake2b("\n".join(names).encode(), digest_size=16).digest()
    u, v = (int.from_bytes(digest[i : i + 8], "big") / 2**64 for i in (0, 8))
    return math.sqrt(-2 * math.log(u + 1e-18)) * math.cos(2 * math.pi * v)


MODELS = {
    "developed on": SimulatedModel("a"),
    "developed on, 2nd": SimulatedModel("b"),
    "held out": SimulatedModel("held out"),
    "held out, entangled": SimulatedModel("held out, entangled", entangled=True),
}


def main() -> None:
    """Print what the models are like."""
    print("| model | recipes | fail | keep the limit | true hypervolume | best size | best speed |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, model in MODELS.items():
        truths = [model.truth(one) for one in every_recipe()]
        feasible = [truth for truth in truths if truth.feasible]
        size, latency = (math.exp(min(truth.values[index] for truth in feasible)) for index in (0, 1))
        failing = sum(truth.failure is not None for truth in truths) / len(truths)
        print(
            f"| {name} | {len(truths):,} | {failing:.0%} | {len(feasible) / len(truths):.1%} "
            f"| {model.best_hypervolume:.4f} | {size:.3f}× | {1 / latency:.1f}× |"
        )


if __name__ == "__main__":
    main()
