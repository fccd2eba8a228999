"""What events say of a run, of its model and of its trials: the same whether it is searched here or followed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autocompress.jobs import Prepared
from autocompress.outcome import Outcome
from autocompress.recipe import Recipe
from autocompress.recipe_words import step_in_words, step_label
from autocompress.records import TrialRecord
from autocompress.spec import SearchSpec
from autocompress.stages import expected_stages


def run_started(
    name: str, spec: SearchSpec, methods: Iterable[str], formats: Iterable[str], trials: int
) -> dict[str, Any]:
    """Fields of `RunStarted`, but for the records."""
    return {
        "name": name,
        "model": spec.model.path,
        "trials": trials,
        "timeout_seconds": spec.budget.timeout,
        "constraints": spec.constraints,
        "prefer": spec.prefer,
        "device": spec.device,
        "threads": spec.threads,
        "methods": tuple(methods),
        "formats": tuple(formats),
    }


def model_read(prepared: Prepared) -> dict[str, Any]:
    """Fields of `ModelRead`."""
    return {
        "task": prepared.facts.task,
        "architecture": prepared.facts.architecture,
        "n_parameters": prepared.facts.n_parameters,
        "metric": prepared.metric,
        "metric_is_rate": prepared.metric_is_rate,
        "higher_is_better": prepared.higher_is_better,
        "n_samples": prepared.n_samples,
    }


def trial_started(record: TrialRecord) -> dict[str, Any]:
    """Fields of `TrialStarted`."""
    recipe = record.recipe
    return {
        "number": record.number,
        "recipe": str(recipe),
        "origin": record.origin,
        "format": recipe.format,
        "stages": expected_stages(recipe),
        **_in_words(recipe),
    }


def trial_finished(record: TrialRecord) -> dict[str, Any]:
    """Fields of `TrialFinished`."""
    return {"record": record.slim(), **_in_words(record.recipe)}


def _in_words(recipe: Recipe) -> dict[str, Any]:
    return {"labels": tuple(map(step_label, recipe.steps)), "words": tuple(map(step_in_words, recipe.steps))}


def run_finished(outcome: Outcome, reason: str) -> dict[str, Any]:
    """Fields of `RunFinished`."""
    certificate = outcome.certificate
    return {
        "reason": reason,
        "best": outcome.best,
        "certified": certificate.certified if certificate else None,
        "certificate": certificate.sentence if certificate else None,
        "finalists": tuple(finalist.number for finalist in outcome.finalists),
        "energies": outcome.energies,
        "memories": outcome.memories,
        "latencies": {number: latency.slim() for number, latency in outcome.latencies.items()},
    }
