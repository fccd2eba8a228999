"""What a run's commands print: table, front, best, trials."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autocompress.cli import console
from autocompress.objectives import ranking, size_ratio, speedup, violations
from autocompress.outcome import Finalist
from autocompress.recipe_file import RecipeFile
from autocompress.recipe_yaml import recipe_yaml, write_recipe
from autocompress.records import TrialRecord
from autocompress.report.foretold import errors_in_words, foreteller
from autocompress.report.front_plot import front_plot
from autocompress.report.markdown import run_report
from autocompress.report.numbers import ratio
from autocompress.report.results import Results
from autocompress.report.table import json_rows, rich_table
from autocompress.report.words import (
    energy_in_words,
    failure_in_words,
    infeasible_in_words,
    limit_in_words,
    trial_in_words,
    violations_in_words,
    warnings_in_words,
)
from autocompress.runs import RunFolder
from autocompress.search.session import RunView, view_run

NOTHING_FEASIBLE = 1
LARGEST_PLOT_WIDTH = 100


def results_of(view: RunView) -> Results:
    """The run as reports take it."""
    prepared = view.study.prepared
    return Results(
        records=tuple(_last_measured(view, record) for record in view.records),
        front=view.front,
        constraints=view.spec.constraints,
        baseline=view.original,
        best=best_number(view),
        certificate=view.outcome.certificate if view.outcome else None,
        metric_is_rate=prepared.metric_is_rate if prepared else True,
        energies=view.outcome.energies if view.outcome else {},
    )


def best_number(view: RunView) -> int | None:
    """The best trial: as the finished search decided, else the first by the preference so far."""
    if view.outcome is not None:
        return view.outcome.best
    order = ranking(view.records, view.original, view.spec.prefer)
    return order[0].number if order else None


def recipe_of(view: RunView, record: TrialRecord) -> RecipeFile:
    """A trial's recipe with what was measured of it; a finalist's carries what it was judged by last."""
    prepared = view.study.prepared
    assert prepared is not None  # a trial was measured, so model and data were read
    judged, record = _finalist(view, record.number), _last_measured(view, record)
    modified = datetime.fromtimestamp(view.folder.spec.stat().st_mtime, tz=UTC)
    return RecipeFile.of_trial(
        record,
        view.original,
        run=view.folder.name,
        model=view.spec.model,
        data=view.spec.data,
        prepared=prepared,
        date=modified.strftime("%Y-%m-%d"),
        certificate=judged.certificate if judged else None,
    )


def _last_measured(view: RunView, record: TrialRecord) -> TrialRecord:
    """The trial with what the end of the search measured of it, once it has ended."""
    return view.outcome.last_measured(record) if view.outcome else record


def _finalist(view: RunView, number: int) -> Finalist | None:
    finalists = view.outcome.finalists if view.outcome else ()
    return next((finalist for finalist in finalists if finalist.number == number), None)


def _passed_over(view: RunView) -> list[str]:
    """Why finalists that the preference puts before the best one are not it."""
    outcome = view.outcome
    if outcome is None or outcome.certificate is None or not outcome.certificate.certified:
        return []
    others = [finalist for finalist in outcome.finalists if finalist.number != outcome.best]
    told = [
        f"By the preference trial {finalist.number} comes before it, but is not certified: "
        f"{finalist.certificate.sentence if finalist.certificate else finalist.problem}"
        for finalist in others
    ]
    if others:
        told.append(
            f"The first of them all the same: `autocompress export {view.folder.name} --trial {others[0].number}`."
        )
    return told


def show_result(name: str, *, as_json: bool) -> int:
    """Write the recipe and the report of a finished search, print its result, and give the exit code."""
    view = view_run(name)
    number = best_number(view)
    if number is not None:
        write_recipe(recipe_of(view, view.study.record(number)), view.folder.recipe)
    _write_report(view)
    if as_json:
        return show_best(view, as_json=True)
    return show_run(view)


def _write_report(view: RunView) -> None:
    view.folder.report.mkdir(exist_ok=True)
    (view.folder.report / "report.md").write_text(report_of(view), encoding="utf-8")


def report_of(view: RunView) -> str:
    """The run's report as Markdown."""
    original = view.original
    return run_report(
        results_of(view),
        run=view.folder.name,
        model=view.spec.model.path,
        task=view.study.prepared.facts.task if view.study.prepared else "",
        environment=original.environment,
        commands=(f"autocompress apply {view.folder.recipe} -o compressed/", f"autocompress show {view.folder.name}"),
    )


def show_run(view: RunView) -> int:
    """Print table, front, warnings and best; gives the exit code."""
    results = results_of(view)
    width = console.out.width
    console.out.print(rich_table(results, width=width))
    console.print_text(front_plot(results, width=min(width, LARGEST_PLOT_WIDTH), ascii_only=not _prints_unicode()))
    for warning in warnings_in_words(results):
        console.out.print(f"· {warning}", markup=False)
    foretell = foreteller(view.study.prepared, view.spec.device)
    errors = errors_in_words(results.records, foretell) if foretell else None
    if errors:
        console.print_text(f"\n{errors}")
    return show_best(view, as_json=False)


def _prints_unicode() -> bool:
    return (console.out.encoding or "").lower().startswith("utf")


def show_best(view: RunView, *, as_json: bool) -> int:
    """Print the best trial; gives the exit code."""
    results = results_of(view)
    best = results.best_record
    if as_json:
        console.print_json(_best_plain(view, best))
    elif best is None:
        console.print_text("\n".join(["", *infeasible_in_words(results)]))
    else:
        console.print_text(f"\nBest ({view.spec.prefer}): {trial_in_words(best, results)}")
        for passed in _passed_over(view):
            console.print_text(passed)
        for told in _timed_again(view, best.number):
            console.print_text(told)
        if best.number in results.energies:
            console.print_text(f"Energy: {energy_in_words(results.energies[best.number])}.")
        if results.certificate:
            console.print_text(f"On the holdout: {results.certificate.sentence}")
        elif view.outcome is None:
            console.print_text(f"The search has not ended; `autocompress resume {view.folder.name}` goes on with it.")
        if view.folder.recipe.exists():
            console.print_text(f"Recipe: {view.folder.recipe}")
    return NOTHING_FEASIBLE if best is None else 0


def _timed_again(view: RunView, number: int) -> list[str]:
    """That a finalist's speed is not what the search saw of it, and whether the limit is kept all the same."""
    latency = view.outcome.latencies.get(number) if view.outcome else None
    searched = view.study.record(number).measurement
    if latency is None or searched is None or searched.latency is None:
        return []
    low, high, seen = map(ratio, (latency.speedup.low, latency.speedup.high, searched.latency.speedup.value))
    told = [f"Timed again in {latency.processes} fresh processes: [{low}, {high}] as fast; the search saw {seen}."]
    limit, original = view.spec.constraints.latency, view.original.measurement
    now = searched.model_copy(update={"latency": latency})
    if limit is not None and original is not None and violations(view.spec.constraints, now, original)["latency"] > 0:
        told.append(f"✗ By that it breaks the limit latency ≤ {limit_in_words(limit)}, which it kept in the search.")
    return told


def _best_plain(view: RunView, best: TrialRecord | None) -> dict[str, Any]:
    results = results_of(view)
    if best is None:
        return {"trial": None, "run": view.folder.name, "why": list(infeasible_in_words(results))}
    quality = best.measurement and best.measurement.quality
    certificate = results.certificate
    energy = results.energies.get(best.number)
    return {
        "trial": best.number,
        "run": view.folder.name,
        "method": str(best.recipe),
        "size_bytes": best.measurement.size_bytes if best.measurement else None,
        "size_ratio": size_ratio(best, view.original),
        "speedup": speedup(best),
        "metric": quality.metric if quality else None,
        "quality": quality.value if quality else None,
        "quality_drop": quality.drop.value if quality else None,
        "quality_drop_interval": [quality.drop.low, quality.drop.high] if quality else None,
        "energy": energy.model_dump() if energy else None,
        "certified": certificate.certified if certificate else None,
        "certificate": certificate.sentence if certificate else None,
        "recipe": str(view.folder.recipe) if view.folder.recipe.exists() else None,
    }


def show_baseline(name: str, *, as_json: bool) -> None:
    """Print the original's figures."""
    view = view_run(name)
    if as_json:
        console.print_json(json_rows(results_of(view))[0])
    else:
        console.out.print(rich_table(results_of(view), width=console.out.width))


def run_plain(view: RunView) -> dict[str, Any]:
    """A run as plain data: its limits, the best, and every trial's figures with what was foretold of them."""
    results, foretell = results_of(view), foreteller(view.study.prepared, view.spec.device)
    rows = json_rows(results)
    for row, record in zip(rows, results.records, strict=True):
        row["foretold"] = foretell.plain(record.recipe) if foretell else None
    return {
        "run": view.folder.name,
        "limits": view.spec.constraints.model_dump(mode="json"),
        "prefer": view.spec.prefer,
        "ended": view.outcome.reason if view.outcome else None,
        "best": _best_plain(view, results.best_record),
        "front": sorted(results.front),
        "trials": rows,
    }


def show_trial(view: RunView, record: TrialRecord, *, as_json: bool) -> None:
    """Print all that is known of one trial."""
    foretell, judged = foreteller(view.study.prepared, view.spec.device), _finalist(view, record.number)
    if as_json:
        more = {
            "foretold": foretell.plain(record.recipe) if foretell else None,
            "finalist": judged.model_dump(mode="json") if judged else None,
        }
        console.print_json(record.model_dump(mode="json") | more)
        return
    results = results_of(view)
    known = _last_measured(view, record)
    console.print_text(trial_in_words(known, results))
    if foretell:
        console.print_text(foretell.words(known))
    for told in _timed_again(view, record.number):
        console.print_text(told)
    if record.number in results.energies:
        console.print_text(f"Energy: {energy_in_words(results.energies[record.number])}.")
    if judged and judged.certificate:
        console.print_text(f"On the holdout: {judged.certificate.sentence}")
    for broken in violations_in_words(record, results):
        console.print_text(f"✗ {broken}")
    for note in record.notes:
        console.print_text(f"Note: {note}")
    if record.error:
        console.print_text(failure_in_words(record))
        if record.error.log_tail:
            console.print_text(
                f"End of its log ({view.folder.trial(record.number) / 'log.txt'}):\n{record.error.log_tail}"
            )
    for stage in record.stages:
        console.print_text(f"  {stage.stage:<16} {'from cache' if stage.cached else f'{stage.seconds:.2f} s'}")
    console.print_text("\n" + recipe_yaml(recipe_of(view, record)))


def summary_of(folder: RunFolder) -> dict[str, Any]:
    """One line about a run."""
    view = view_run(str(folder.path))
    measured = any(record.origin == "baseline" and record.measurement for record in view.records)
    number = best_number(view) if measured else None
    best = next((_last_measured(view, record) for record in view.records if record.number == number), None)
    state = "done" if view.outcome else ("searching" if folder.is_locked() else "interrupted")
    told = "–"
    if best is not None:
        ratio, faster = size_ratio(best, view.original), speedup(best)
        told = f"{ratio:.3g}× size, {faster:.3g}× speed" if ratio and faster else "–"
    return {
        "name": folder.name,
        "state": state,
        "model": Path(view.spec.model.path).name,
        "trials": len(view.records),
        "best": told,
        "age": _age(time.time() - (folder.events if folder.events.exists() else folder.spec).stat().st_mtime),
    }


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
