"""What a search would find, before it is begun: sizes by arithmetic, all else by rules of thumb; reads no weights."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from autocompress.estimates import Estimates, Foretold, Span
from autocompress.jobs import ORIGINAL_FORMAT, FactsAnswer, FactsJob, Failed
from autocompress.recipe import Recipe
from autocompress.rough_figures import FACTOR, rough_latency_ms, rough_ram_bytes
from autocompress.search.bench import as_error
from autocompress.search.launcher import Launcher
from autocompress.search.preflight import available_formats, chosen_methods, require_device
from autocompress.search.proposer import size_bound
from autocompress.search_cost import SearchCost
from autocompress.size_forecast import SizeForecast
from autocompress.space import SearchSpace
from autocompress.spec import Limit, SearchSpec
from autocompress.tasks.detection import find_task

TIMEOUT_SECONDS = 600.0
FIXED_TRIAL_SECONDS = 3.0
"""Processes and timing."""
SECONDS_PER_MILLION = 0.15
"""Compressing and writing."""
USUAL_SAMPLES = 900
"""That a trial is judged by."""
MS_PER_SECOND = 1000


def estimate(spec: SearchSpec) -> Estimates:
    """Foretell what the known-good recipes give on a model, within seconds.

    Raises:
        SpecError, ModelError: the model cannot be used as given.
        EnvironmentProblem: this machine lacks something that was asked for by name.
    """
    require_device(spec.device)
    task = find_task(spec.model)
    methods, _ = chosen_methods(spec.space)
    formats, _ = available_formats(spec.space.formats, spec.device)
    answer = _facts(FactsJob(model=spec.model, task=task.name, threads=spec.threads), spec)
    space = SearchSpace(methods, formats, answer.facts, spec.device, spec.seed)
    forecast = SizeForecast(answer.facts)
    original = _foretold(Recipe(format=ORIGINAL_FORMAT, seed=spec.seed), spec, answer, forecast, None)
    recipes = [recipe for recipe in space.known_good() if recipe.steps or recipe.format != ORIGINAL_FORMAT]
    found = tuple(_foretold(recipe, spec, answer, forecast, original) for recipe in recipes)
    cost = _cost(spec, answer.facts.n_parameters, original, found)
    seconds, disk_bytes = cost.seconds(spec.budget.trials, spec.budget.timeout), cost.disk_bytes(spec.budget.trials)
    return Estimates(
        architecture=answer.facts.architecture,
        task=answer.facts.task,
        n_parameters=answer.facts.n_parameters,
        device=spec.device,
        original=original,
        recipes=found,
        trials=spec.budget.trials,
        seconds=Span(low=seconds[0], high=seconds[1]),
        disk_bytes=Span(low=disk_bytes[0], high=disk_bytes[1]),
        cost=cost,
        flops_per_second=answer.speed.flops,
        bytes_per_second=answer.speed.bytes_read,
    )


def _facts(job: FactsJob, spec: SearchSpec) -> FactsAnswer:
    with tempfile.TemporaryDirectory(prefix="autocompress-") as folder:
        answer = Launcher(spec.device).run(
            job,
            log=Path(folder) / "log.txt",
            timeout_seconds=TIMEOUT_SECONDS,
            memory_bytes=None,
            on_progress=lambda _: None,
        )
    if isinstance(answer, Failed):
        raise as_error(answer)
    assert isinstance(answer, FactsAnswer)
    return answer


def _foretold(
    recipe: Recipe, spec: SearchSpec, answer: FactsAnswer, forecast: SizeForecast, original: Foretold | None
) -> Foretold:
    """One recipe's figures, and the limits that they break; without an original, the original's own."""
    facts, size = answer.facts, forecast.of(recipe)
    latency = rough_latency_ms(recipe, facts, answer.call_flops, answer.speed)
    ram = rough_ram_bytes(recipe, facts, size.n_bytes, spec.device)
    foretold = Foretold(
        recipe=recipe,
        size_bytes=round(size.n_bytes),
        size_error=size.error,
        ram_bytes=Span(low=ram.low, high=ram.high),
        latency_ms=Span(low=latency.low, high=latency.high) if latency else None,
    )
    held = _held_against_limits(foretold, original, spec) if original else {}
    breaks = tuple(name for name, (low, _, bound) in held.items() if low > bound)
    may_break = tuple(name for name, (low, high, bound) in held.items() if low <= bound < high)
    return foretold.model_copy(update={"breaks": breaks, "may_break": may_break})


def _held_against_limits(
    foretold: Foretold, original: Foretold, spec: SearchSpec
) -> dict[str, tuple[float, float, float]]:
    """By the name of each limit: the least and the most that the figure may be, and the limit."""
    limits, held = spec.constraints, {}
    bound = size_bound(limits, original.size_bytes)
    if bound is not None:
        off = 1 + foretold.size_error
        held["size"] = (foretold.size_bytes / off, foretold.size_bytes * off, bound)
    memory = limits.vram if spec.device == "cuda" else limits.ram
    if memory is not None:
        ram = foretold.ram_bytes
        name = "vram" if spec.device == "cuda" else "ram"
        held[name] = (ram.low, ram.high, _bound(memory, original.ram_bytes.middle))
    latency, before = foretold.latency_ms, original.latency_ms
    if limits.latency is not None:
        held["latency"] = (-math.inf, math.inf, 0.0)  # where the work of a call is not known
        if latency and before:
            held["latency"] = (latency.low, latency.high, _bound(limits.latency, before.middle))
    return held


def _bound(limit: Limit, original: float) -> float:
    return limit.bound * (original if limit.relative else 1.0)


def _cost(spec: SearchSpec, n_parameters: int, original: Foretold, found: tuple[Foretold, ...]) -> SearchCost:
    latency_ms = original.latency_ms.middle if original.latency_ms else 0.0
    judging = USUAL_SAMPLES * latency_ms / MS_PER_SECOND
    trial = FIXED_TRIAL_SECONDS + SECONDS_PER_MILLION * n_parameters / 1e6 + judging
    return SearchCost(
        trial_seconds_low=trial / FACTOR,
        trial_seconds_high=trial * FACTOR,
        original_bytes=original.size_bytes,
        artifact_bytes=sum(one.size_bytes for one in found) / max(len(found), 1),
        state_bytes=4.0 * n_parameters,
        cache_bytes=spec.budget.cache,
    )
