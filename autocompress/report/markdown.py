"""The whole report of a run as one Markdown document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autocompress.records import Environment
from autocompress.report.front_plot import front_plot
from autocompress.report.results import Results
from autocompress.report.table import markdown_table
from autocompress.report.words import (
    energy_in_words,
    failure_in_words,
    infeasible_in_words,
    limits_in_words,
    trial_in_words,
    warnings_in_words,
)


def run_report(
    results: Results,
    *,
    run: str,
    model: str,
    task: str,
    environment: Environment | None = None,
    commands: Sequence[str] = (),
) -> str:
    """What was asked, what is best, the table, the front, what went wrong, and how to do it again.

    Args:
        results: the trials and the verdicts on them.
        run: name of the run.
        model: the model's path or hub id.
        task: what the model does.
        environment: where it was measured; by default what the original's record says.
        commands: command lines that do the search and use its outcome again.
    """
    environment = environment or results.baseline.environment
    sections = [
        f"# {_safe(run)}",
        _asked(results, model, task, environment),
        "## The best recipe",
        _best(results),
        "## All trials",
        markdown_table(results).rstrip("\n"),
        "## The front",
        _code(front_plot(results)),
    ]
    sections += _listed("Look twice", warnings_in_words(results))
    sections += _listed("Trials without figures", (failure_in_words(record) for record in results.unfinished))
    if commands:
        sections += ["## Do it again", _code("\n".join(commands), language="sh")]
    if environment:
        sections += ["## Versions", _versions(environment)]
    return "\n\n".join(sections) + "\n"


def _asked(results: Results, model: str, task: str, environment: Environment | None) -> str:
    limits = "; ".join(limits_in_words(results.constraints)) or "none"
    lines = [f"- Model: `{_code_safe(model)}` ({_safe(task)})", f"- Limits: {_safe(limits)}"]
    if environment:
        threads = f"{environment.threads} thread{'s' if environment.threads != 1 else ''}"
        device = f"{environment.device} ({environment.gpu})" if environment.gpu else environment.device
        lines.append(f"- Machine: {_safe(environment.machine)}, {environment.cores} cores; {_safe(device)}, {threads}")
    quality = results.baseline.measurement and results.baseline.measurement.quality
    if quality:
        lines.append(f"- Quality: {_safe(quality.metric)} on {quality.n_samples:,} samples ({quality.part} part)")
    return "\n".join(lines)


def _best(results: Results) -> str:
    best = results.best_record
    if best is None:
        return "\n".join(f"- {_safe(sentence)}" for sentence in infeasible_in_words(results))
    told = f"**{_safe(trial_in_words(best, results))}.**"
    if best.number in results.energies:
        told += f"\n\nEnergy: {_safe(energy_in_words(results.energies[best.number]))}."
    if results.certificate:
        return f"{told}\n\nOn the holdout: {_safe(results.certificate.sentence)}"
    return f"{told}\n\nJudged by the samples that also steered the search: observed only, not certified."


def _listed(title: str, sentences: Iterable[str]) -> list[str]:
    lines = [f"- {_safe(sentence)}" for sentence in sentences]
    return [f"## {title}", "\n".join(lines)] if lines else []


def _versions(environment: Environment) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(environment.libraries.items()))
    driver = f", driver {environment.driver}" if environment.driver else ""
    return _safe(f"Python {environment.python}, {libraries}{driver}.")


def _code(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def _safe(text: str) -> str:
    """Text from records, which may hold anything, as one line of Markdown that is not taken for markup."""
    line = " ".join(text.split())
    for sign in ("\\", "`", "*", "<", "|"):
        line = line.replace(sign, f"\\{sign}")
    return line


def _code_safe(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")
