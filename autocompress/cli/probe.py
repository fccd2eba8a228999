"""The command ``probe``: a first look at a model and its data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from autocompress.cli import console
from autocompress.cli import options as opt
from autocompress.cli.app import app
from autocompress.errors import AutocompressError, UsageError


@app.command()
def probe(
    spec: Annotated[Path | None, typer.Argument(help="YAML file; options override it.", metavar="[SPEC.yaml]")] = None,
    model: opt.ModelOption = None,
    data: opt.DataOption = None,
    task: opt.TaskOption = None,
    task_file: opt.TaskFileOption = None,
    column: opt.ColumnOption = None,
    revision: opt.RevisionOption = None,
    device: opt.DeviceOption = None,
    threads: opt.ThreadsOption = None,
    trust_remote_code: opt.TrustOption = False,
    allow_pickle: opt.PickleOption = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout for each finding.")] = False,
) -> None:
    """Look at a model and its data before a search: columns, figures of the original, what can be done with it here.

    [bold]Example[/]

      autocompress probe --model my-bert/ --data reviews.csv
    """
    from autocompress.search.probe import probe as look

    try:
        given = opt.read_spec_file(spec)
        merged = opt.merged_spec(
            given,
            {
                "model": opt.model_options(
                    given,
                    model=model,
                    task=task,
                    task_file=task_file,
                    revision=revision,
                    trust_remote_code=trust_remote_code,
                    allow_pickle=allow_pickle,
                ),
                "data": {"path": data, "columns": opt.columns_of(column)},
                "": {"device": device, "threads": threads},
            },
        ).resolved_against(Path.cwd())
        look(merged, console.print_json_line if json else _Told().take)
    except AutocompressError as problem:
        if not json:
            raise
        message = f"{problem.where}: {problem.what}" if problem.where else problem.what
        console.print_json_line({"kind": "problem", "message": message, "remedy": problem.remedy})
        raise typer.Exit(UsageError.exit_code) from None


class _Told:
    """Findings as people read them."""

    def __init__(self) -> None:
        self._step = ""

    def take(self, finding: dict[str, Any]) -> None:
        """Print a finding."""
        match finding["kind"]:
            case "step" if finding["text"] != self._step:
                self._step = finding["text"]
                console.say(f"{self._step} …")
            case "data":
                _print_data(finding)
            case "formats" | "methods":
                _print_items(finding)
            case "baseline":
                _print_baseline(finding)
            case "suggestion":
                limits = " ".join(f"{name}={text}" for name, text in finding["constraints"].items() if text)
                console.print_text(f"Limits to begin with: {limits}; about {finding['seconds_per_trial']:g} s a trial")


def _print_data(finding: dict[str, Any]) -> None:
    if finding["n_rows"] is None:
        return
    told = ", ".join(f"{role} from column {name}" for role, name in finding["columns"].items() if name)
    console.print_text(f"Data: {finding['n_rows']:,} rows; {told}")
    for sample in filter(None, finding["samples"]):
        console.print_text("  " + " | ".join(sample.values()))


def _print_items(finding: dict[str, Any]) -> None:
    possible = [item["name"] for item in finding["items"] if item["available"]]
    console.print_text(f"{finding['kind'].capitalize()} that can be used: {', '.join(possible)}")
    for item in finding["items"]:
        if not item["available"]:
            cure = f" ({item['install']})" if item.get("install") else ""
            console.print_text(f"  not {item['name']}: {item['reason']}{cure}")


def _print_baseline(finding: dict[str, Any]) -> None:
    from autocompress.report.numbers import megabytes, metric, milliseconds

    console.print_text(
        f"Original: {finding['architecture']}, {finding['n_parameters']:,} parameters, "
        f"{megabytes(finding['size_bytes'])} MB, {milliseconds(finding['p50_ms'])} ms a call, "
        f"{megabytes(finding['ram_bytes'])} MB of memory, "
        f"{finding['metric']} {metric(finding['value'], is_rate=finding['metric_is_rate'])}"
    )
