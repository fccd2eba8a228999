"""Decides which recipe to try next: those asked for, known-good ones, then the sampler's, never one twice."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from optuna.trial import FrozenTrial

from autocompress.objectives import figures_of, vram_bytes
from autocompress.recipe import Recipe
from autocompress.records import Estimate, Measurement, Status, TrialRecord
from autocompress.rounding import significant
from autocompress.search.beliefs import believed_log_latency, believed_loss
from autocompress.search.sampler import (
    Figure,
    Reading,
    RecipeSampler,
    Space,
    Stage,
    StopWhenSpent,
    TrialOutcome,
    reader_of,
)
from autocompress.search.study import DIRECTIONS, WORST_VALUES
from autocompress.size_forecast import SizeForecast
from autocompress.space import SearchSpace
from autocompress.spec import Constraints

KNOWN_GOOD = "known_good"
SMALLEST_UNIT = 1e-4
HUNDREDTH = 0.01
NO_FIGURES = "no figures"
BREADTH = 0.35
"""Asking a space whose every option is checked for validity takes milliseconds."""
FAR_BEYOND = 4.0
"""Losses of more than so many times what matters are all equally bad."""


class Proposer:
    """Proposes recipes that are valid and new.

    The sampler is asked directly, with no study of its own: what it proposes leaves no trace in the record until it is
    run.

    Args:
        space: what can be tried.
        seed: of the sampler's chance.
        original: the original's trial, which limits and losses are relative to.
        constraints: by what trials are judged, see `judge_by`.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        original: TrialRecord | None = None,
        constraints: Constraints | None = None,
    ) -> None:
        self.space = space
        self.forecast = SizeForecast(space.facts)
        self._asked_for: list[Recipe] = []
        self._queue = [(recipe, KNOWN_GOOD) for recipe in space.known_good()]
        self._seed = seed
        self._original = (original.measurement if original else None) or Measurement()
        self.is_spent = False
        """Whether the last proposals, several in a row, promised next to nothing."""
        self.judge_by(constraints or Constraints())

    def next(self, tried: Iterable[str], known: Sequence[FrozenTrial]) -> tuple[Recipe, str] | None:
        """The next recipe and where it comes from; None when the space holds nothing new.

        Args:
            tried: digests of all recipes tried so far.
            known: the record's trials, to learn from; of those that run, it is expected that they do as predicted.
        """
        seen = set(tried)
        if self._asked_for:
            return self._asked_for.pop(0), "user"
        self._queue = [(recipe, origin) for recipe, origin in self._queue if recipe.digest not in seen]
        for index, (recipe, origin) in enumerate(self._queue):
            if origin != KNOWN_GOOD or not self.is_too_large(recipe):
                return self._queue.pop(index)
        proposal = self.sampler.propose(known, seen, n_objectives=len(DIRECTIONS))
        self.is_spent = self._until_spent.is_spent(self.sampler)
        return (proposal.candidate.configuration, "sampler") if proposal else None

    def retry(self, recipe: Recipe) -> None:
        """Put a recipe whose trial was interrupted in front of the queue."""
        self._queue.insert(0, (recipe, "retry"))

    def ask_for(self, recipe: Recipe) -> None:
        """Propose this recipe before all others, but after those that were asked for earlier."""
        self._asked_for.append(recipe)

    @property
    def n_asked_for(self) -> int:
        """How many recipes were asked for and not proposed yet."""
        return len(self._asked_for)

    def is_asked_for(self, recipe: Recipe) -> bool:
        """Whether a recipe was asked for and not proposed yet."""
        return any(other.digest == recipe.digest for other in self._asked_for)

    def is_too_large(self, recipe: Recipe) -> bool:
        """Whether the recipe's size is foretold to exceed the limit by more than that may be off."""
        if self._largest_bytes is None:
            return False
        foretold = self.forecast.of(recipe)
        return foretold.n_bytes > self._largest_bytes * (1 + foretold.error)

    def left_out(self) -> str | None:
        """How many known-good recipes are not tried under the limits as they are, and why, as a sentence."""
        known_good = [recipe for recipe, origin in self._queue if origin == KNOWN_GOOD]
        too_large = [recipe for recipe in known_good if self.is_too_large(recipe)]
        if not too_large or self._largest_bytes is None:
            return None
        smallest = min(self.forecast.of(recipe).n_bytes for recipe in too_large)
        return (
            f"{len(too_large)} of {len(known_good)} known-good recipes are left out: their files would take "
            f"{significant(smallest / 1e6)} MB or more, and the limit is {significant(self._largest_bytes / 1e6)} MB"
        )

    def judge_by(self, constraints: Constraints) -> None:
        """From the next proposal on all trials, those before as well, are judged by these limits."""
        self._until_spent, self.is_spent = StopWhenSpent(), False
        limits = figure_limits(constraints, self._original)
        original_bytes = self._original.size_bytes or self.forecast.original.n_bytes
        self._largest_bytes = size_bound(constraints, original_bytes)
        hundredth = self._hundredth_of_the_metric()
        unit = max(limits.get("drop", hundredth), SMALLEST_UNIT)
        drop = Figure("drop", shift=unit, cap=FAR_BEYOND * unit, floor=0.0)
        others = [Figure(name) for name in ("ram", "vram") if name in limits]
        space = Space(
            propose=self.space.propose,
            refusal=self._refusal,
            key=lambda recipe: recipe.digest,
            predicted=lambda recipe: {
                "size": math.log(self.forecast.of(recipe).n_bytes / self.forecast.original.n_bytes),
                "latency": believed_log_latency(recipe, self.space.device),
                "drop": believed_loss(recipe) * hundredth,
            },
            stages=stages_of,
        )
        figures = (Figure("size"), Figure("latency"), drop, *others)
        self._read_plain = reader_of(figures)
        self.sampler: RecipeSampler[Recipe] = RecipeSampler(
            space,
            figures,
            limits,
            reference=(0.0, 0.0, 2 * unit),
            read=self._read,
            seed=self._seed,
            breadth=BREADTH,
        )

    def _refusal(self, recipe: Recipe) -> str | None:
        return self.space.refusal(recipe) or ("would be too large" if self.is_too_large(recipe) else None)

    def _hundredth_of_the_metric(self) -> float:
        quality = self._original.quality
        return HUNDREDTH * abs(quality.value) if quality and quality.value else HUNDREDTH

    def _read(self, trial: FrozenTrial) -> TrialOutcome | None:
        """What a trial of the record told: figures with the intervals that they were measured with."""
        stored = trial.user_attrs.get("record")
        values = dict(zip(("size", "latency", "drop"), trial.values, strict=True))
        if stored is None:
            return TrialOutcome(failure=NO_FIGURES) if tuple(trial.values) == WORST_VALUES else self._read_plain(trial)
        record = TrialRecord.model_validate_json(stored)
        seconds = {time.stage: time.seconds for time in record.stages if not time.cached}
        measured = record.measurement
        if record.status is not Status.COMPLETE or tuple(trial.values) == WORST_VALUES or measured is None:
            return TrialOutcome(failure=_signature(record), seconds=seconds)
        deviations = {"size": 0.0}
        if measured.latency is not None:
            speedup = measured.latency.speedup
            deviations["latency"] = _deviation(speedup) / max(speedup.value, SMALLEST_UNIT)
        if measured.quality is not None:
            deviations["drop"] = _deviation(measured.quality.drop)
        readings = {name: Reading(value, deviations.get(name)) for name, value in values.items()}
        for name, now, before in (
            ("ram", figures_of(measured).ram_bytes, figures_of(self._original).ram_bytes),
            ("vram", vram_bytes(measured), vram_bytes(self._original)),
        ):
            if now and before:
                readings[name] = Reading(math.log(now / before))
        return TrialOutcome(readings, seconds=seconds)


def size_bound(constraints: Constraints, original_bytes: float) -> float | None:
    """The limit on the size in bytes, or None."""
    limit = constraints.size
    return None if limit is None else limit.bound * (original_bytes if limit.relative else 1)


def figure_limits(constraints: Constraints, original: Measurement) -> dict[str, float]:
    """Limits in the terms of what is modelled: logarithms of ratios to the original's figures, and the drop itself.

    A limit that is relative to a figure that the original lacks is left out.
    """
    figures = figures_of(original)
    limits: dict[str, float] = {}
    for name, limit, reference in (
        ("size", constraints.size, figures.size_bytes),
        ("latency", constraints.latency, figures.p50_ms),
        ("ram", constraints.ram, figures.ram_bytes),
        ("vram", constraints.vram, figures.vram_bytes),
    ):
        if limit is not None and (limit.relative or reference):
            limits[name] = math.log(limit.bound / (1.0 if limit.relative else float(reference or 1.0)))
    drop = constraints.quality_drop
    if drop is not None:
        value = abs(original.quality.value) if original.quality else 1.0
        limits["drop"] = drop.bound * (value if drop.relative else 1.0)
    return limits


def stages_of(recipe: Recipe) -> list[Stage]:
    """What a trial does that takes time; what steps make is kept in the stage cache."""
    steps = recipe.canonical().steps
    made = [str([step.plain() for step in steps[: index + 1]]) for index in range(len(steps))]
    done = [Stage(step.tag, content) for step, content in zip(steps, made, strict=True)]
    return [*done, *(Stage(name) for name in ("export", "latency", "quality"))]


def _deviation(estimate: Estimate) -> float:
    """The standard deviation that an interval of 95 % speaks of."""
    return abs(estimate.high - estimate.low) / (2 * 1.96)


def _signature(record: TrialRecord) -> str:
    """An error's words without what differs from trial to trial."""
    error = record.error
    words = f"{error.stage}: {error.message.splitlines()[0] if error.message else ''}" if error else NO_FIGURES
    return f"{record.status.value} {re.sub(r'[0-9]+', '#', words)}"
