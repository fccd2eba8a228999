"""Sentences about trials: what was done, what it gave, what limit it broke, why it failed, and what looks odd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from autocompress import objectives
from autocompress.recipe import Phase, Step
from autocompress.recipe_words import recipe_in_words, step_in_words
from autocompress.records import Energy, EnergySource, Measurement, Quality, Status, TrialRecord
from autocompress.report.numbers import interval, joules, megabytes, milliseconds, ratio
from autocompress.report.results import Results
from autocompress.rounding import percent, significant
from autocompress.spec import Constraints, Limit, QualityLimit

ENDINGS = {
    Status.RUNNING: "is running",
    Status.COMPLETE: "was measured",
    Status.UNSUPPORTED: "cannot be done",
    Status.FAILED: "failed",
    Status.OUT_OF_MEMORY: "ran out of memory",
    Status.TIMED_OUT: "took too long",
    Status.CRASHED: "crashed",
    Status.CANCELLED: "was cancelled",
}
GROWTH_WORTH_A_WORD = 1.05
"""RAM differs by a few percent from process to process."""
SLOWDOWN_WORTH_A_WORD = 1.05
"""Nobody would choose otherwise for less, however sure it is."""


def method_in_words(record: TrialRecord, results: Results) -> str:
    """The steps in order; the original and its uncompressed exports are called what they are."""
    if record.recipe.steps:
        return recipe_in_words(record.recipe)
    # By what it is, not by its number: one that was interrupted is tried again under another number.
    return "original" if record.recipe == results.baseline.recipe else "export only"


def trial_in_words(record: TrialRecord, results: Results) -> str:
    """One line: what was done, and what it gave against the original."""
    name = f"trial {record.number}: {method_in_words(record, results)}, as {record.recipe.format}"
    if not record.measurement:
        return f"{name}: {ENDINGS[record.status]}"
    figures = record.measurement
    size, faster = objectives.size_ratio(record, results.baseline), objectives.speedup(record)
    told = [
        f"{ratio(size)} the size" if size is not None else "size not measured",
        f"{ratio(faster)} as fast" if faster is not None else "speed not measured",
        quality_change(figures.quality, results) if figures.quality else "quality not measured",
    ]
    return f"{name}: {', '.join(told)}"


def quality_change(quality: Quality, results: Results) -> str:
    """How the metric moved, and on which part: ``accuracy −0.3 pp [−0.9, +0.3] on the search part``."""
    drop = quality.drop
    change = drop
    if quality.higher_is_better:
        change = drop.model_copy(update={"value": -drop.value, "low": -drop.high, "high": -drop.low})
    return f"{quality.metric} {interval(change, points=results.metric_is_rate)} on the {quality.part} part"


def energy_in_words(energy: Energy) -> str:
    """``0.0123 J a sample, 0.31× [0.3, 0.32] the original's (measured by RAPL)``."""
    told, low, high = (ratio(getattr(energy.ratio, name)) for name in ("value", "low", "high"))
    source = energy_source_in_words(energy.source)
    return f"{joules(energy.joules_per_sample.value)} J a sample, {told} [{low}, {high}] the original's ({source})"


def energy_source_in_words(source: EnergySource) -> str:
    """Where joules come from, and whether anything measured them."""
    return {
        "NVML counter": "measured by the device's counter",
        "RAPL": "measured by RAPL",
        "codecarbon estimate": "estimated by codecarbon",
    }[source]


def violations_in_words(record: TrialRecord, results: Results) -> tuple[str, ...]:
    """One sentence part for each limit that the trial breaks: ``size 0.31× exceeds 0.25× by 24 %``."""
    broken = {name: excess for name, excess in record.violations.items() if excess > 0}
    return tuple(_violation(name, excess, record, results) for name, excess in broken.items())


def _violation(name: str, excess: float, record: TrialRecord, results: Results) -> str:
    limit = getattr(results.constraints, name)
    word = limit_name(name)
    figure = _figure(name, limit, record, results)
    if figure is None:
        return f"{word} was not measured, so the limit of {limit_in_words(limit)} is not shown to be kept"
    by = f" by {percent(excess)}" if limit.bound > 0 else ""
    return f"{word} {figure} exceeds {limit_in_words(limit)}{by}"


def limit_name(name: str) -> str:
    """A constraint's name as people say it."""
    return {"quality_drop": "quality drop", "ram": "RAM", "vram": "VRAM"}.get(name, name)


def limit_in_words(limit: Limit | QualityLimit) -> str:
    """A limit as it was written, with a space before its unit: ``25 MB``, ``0.3×``, ``1 pp``."""
    if isinstance(limit, Limit) and limit.relative:
        return limit.written.lower().replace("x", "×")
    return re.sub(r"(?<=[0-9.])(?=[a-zA-Zµ%])", " ", limit.written)


def _figure(name: str, limit: Limit | QualityLimit, record: TrialRecord, results: Results) -> str | None:
    """The trial's figure in the same terms as the limit; None where it was not measured."""
    figures, original = record.measurement or Measurement(), results.baseline.measurement or Measurement()
    if isinstance(limit, QualityLimit):
        if not figures.quality:
            return None
        drop = figures.quality.relative_drop if limit.relative else figures.quality.drop
        if limit.relative:
            return f"{significant(drop.value * 100)} %"
        return f"{significant(drop.value * 100)} pp" if limit.in_points else significant(drop.value)
    if name == "latency":
        if not figures.latency:
            return None
        return (
            ratio(1 / figures.latency.speedup.value) if limit.relative else f"{milliseconds(figures.latency.p50_ms)} ms"
        )
    mine, its = _bytes(name, figures), _bytes(name, original)
    if mine is None or (limit.relative and not its):
        return None
    return ratio(mine / its) if limit.relative and its else f"{megabytes(mine)} MB"


def _bytes(name: str, figures: Measurement) -> int | None:
    if name == "size":
        return figures.size_bytes
    if name == "ram":
        return figures.ram.peak_bytes if figures.ram else None
    return objectives.vram_bytes(figures)


def limits_in_words(constraints: Constraints) -> tuple[str, ...]:
    """Each limit of a search: ``size ≤ 0.25×``."""
    limits = {name: getattr(constraints, name) for name in type(constraints).model_fields}
    return tuple(f"{limit_name(name)} ≤ {limit_in_words(limit)}" for name, limit in limits.items() if limit)


def infeasible_in_words(results: Results, n_misses: int = 3) -> tuple[str, ...]:
    """Why no trial kept every limit, and which came nearest."""
    misses = objectives.nearest_misses(results.records, results.baseline)
    if not misses:
        tried = any(record.number != results.baseline.number for record in results.records)
        reason = "none could be measured" if tried else "only the original was tried"
        if not tried and results.constraints.size is not None:
            reason += ": what is foretold to be larger than the limit on the size is not built"
        return (f"No trial kept every limit, because {reason}.",)
    binding = objectives.binding_constraint(misses)
    told = []
    if binding:
        limit = getattr(results.constraints, binding)
        told.append(
            f"No trial kept every limit; the binding one is {limit_name(binding)} ≤ {limit_in_words(limit)}, "
            f"{_how_many_break(binding, misses, results)}."
        )
    told += [
        f"Near miss: {trial_in_words(record, results)}; {', '.join(violations_in_words(record, results))}."
        for record in misses[:n_misses]
    ]
    return tuple(told)


def _how_many_break(name: str, misses: list[TrialRecord], results: Results) -> str:
    """Of the trials that keep not all limits, how many break this one, and of how many it isn't known."""
    limit = getattr(results.constraints, name)
    broken = [record for record in misses if record.violations.get(name, 0) > 0]
    unknown = sum(_figure(name, limit, record, results) is None for record in broken)
    told = f"which {len(broken) - unknown} of {len(misses)} measured recipes break"
    return f"{told} (of {unknown} it is not known)" if unknown else told


def failure_in_words(record: TrialRecord) -> str:
    """Why a trial gave no figures, and what would cure it."""
    stage = f" during {record.error.stage}" if record.error and record.error.stage else ""
    head = f"Trial {record.number} ({recipe_in_words(record.recipe)}, as {record.recipe.format})"
    told = f"{head} {ENDINGS[record.status]}{stage}"
    if not record.error:
        return f"{told}."
    remedy = f" {_sentence(record.error.remedy)}" if record.error.remedy else ""
    return f"{told}: {_sentence(record.error.message)}{remedy}"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def warnings_in_words(results: Results) -> tuple[str, ...]:
    """What a reader of the table should not overlook, each with its reason."""
    return tuple(
        warning
        for record in results.records
        if record.measurement and record.number != results.baseline.number
        for warning in _warnings(record, results)
    )


def _warnings(record: TrialRecord, results: Results) -> Iterator[str]:
    for step in record.recipe.steps:
        without = results.counterpart(record, step.tag)
        if without is None:
            continue
        if step.phase in (Phase.STRUCTURE, Phase.PRUNE):
            yield from _pruned_in_vain(record, without, step)
        if step.phase in (Phase.QUANTIZE, Phase.COMPUTE):
            yield from _slower_than_float(record, without, step)
    yield from _grown(record, results)
    latency = record.measurement.latency if record.measurement else None
    if latency and latency.contended:
        load = f" (load {significant(latency.load_average)})" if latency.load_average is not None else ""
        yield (
            f"Trial {record.number} was timed while the machine was busy{load}: its speed-up lies between "
            f"{ratio(latency.speedup.low)} and {ratio(latency.speedup.high)}; measure again on a quiet machine."
        )


def _pruned_in_vain(record: TrialRecord, without: TrialRecord, step: Step) -> Iterator[str]:
    size, size_before = _sizes(record, without)
    smaller = size is not None and size_before is not None and size < size_before * 0.99
    latency, before = _latencies(record, without)
    faster = latency is not None and before is not None and latency.low > before.high
    losses = []
    if size is not None and size_before is not None and not smaller:
        losses.append(f"no smaller than trial {without.number} without it")
    if latency is not None and before is not None and not faster:
        losses.append("no faster" if losses else f"no faster than trial {without.number} without it")
    if losses:
        reason = {
            2: "zeros are stored and multiplied like any other value, for this format's files and kernels are dense",
            1: "the kernels are dense and multiply the zeros too"
            if smaller
            else "the file holds the zeros like others",
        }[len(losses)]
        leaves_zeros = "sparsity" in type(step).model_fields  # structured pruning leaves none, only smaller matrices
        why = f": {reason}" if leaves_zeros else ""
        yield f"Trial {record.number}: {step_in_words(step)} made the model {' and '.join(losses)}{why}."


def _slower_than_float(record: TrialRecord, without: TrialRecord, step: Step) -> Iterator[str]:
    latency, before = _latencies(record, without)
    if latency and before and latency.high < before.low and latency.value * SLOWDOWN_WORTH_A_WORD < before.value:
        kernel = record.artifact.kernel if record.artifact else ""
        reason = f"its weights are computed as {kernel}" if kernel else "the runtime has no fast kernel for it here"
        yield (
            f"Trial {record.number}: {step_in_words(step)} is slower than trial {without.number} without it "
            f"({ratio(latency.value)} against {ratio(before.value)} the original's speed): {reason}."
        )


def _grown(record: TrialRecord, results: Results) -> Iterator[str]:
    figures, original = record.measurement, results.baseline.measurement
    if not figures or not original or not record.recipe.steps:
        return
    kernel = f" ({record.artifact.kernel})" if record.artifact and record.artifact.kernel else ""
    if figures.ram and original.ram and figures.ram.peak_bytes > original.ram.peak_bytes * GROWTH_WORTH_A_WORD:
        yield (
            f"Trial {record.number} takes {megabytes(figures.ram.peak_bytes)} MB of RAM where the original takes "
            f"{megabytes(original.ram.peak_bytes)} MB: the runtime holds more than the file's own bytes{kernel}."
        )
    if figures.size_bytes and original.size_bytes and figures.size_bytes > original.size_bytes:
        yield (
            f"Trial {record.number} is larger on disk than the original ({megabytes(figures.size_bytes)} MB against "
            f"{megabytes(original.size_bytes)} MB): what it saves is not what this format stores{kernel}."
        )


def _sizes(record: TrialRecord, other: TrialRecord) -> tuple[int | None, int | None]:
    return (record.measurement or Measurement()).size_bytes, (other.measurement or Measurement()).size_bytes


def _latencies(record: TrialRecord, other: TrialRecord) -> Any:
    mine, its = (record.measurement or Measurement()).latency, (other.measurement or Measurement()).latency
    return mine and mine.speedup, its and its.speedup
