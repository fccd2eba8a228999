"""Commands that tell what there is: ``methods``, ``formats``, ``doctor``."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from autocompress import registry
from autocompress.cli import console
from autocompress.cli import options as opt
from autocompress.cli.app import app


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="One method, with every knob explained.")] = None,
    json: opt.JsonOption = False,
) -> None:
    """List the compression methods and their knobs.

    [bold]Examples[/]

      autocompress methods

      autocompress methods rtn
    """
    from rich.table import Table

    chosen = {name: registry.load("methods", name)} if name else registry.load_all("methods")
    ordered = sorted(chosen.values(), key=lambda kind: (kind.phase, kind.tag))
    if json:
        console.print_json([_told_method(kind) for kind in ordered])
        return
    if name is None:
        table = Table("method", "phase", "what it does", "knobs")
        for kind in ordered:
            knobs = ", ".join(f"{knob}={field.default}" for knob, field in kind.model_fields.items())
            table.add_row(kind.tag, kind.phase.name.lower(), kind.summary, knobs or "–")
        console.out.print(table)
        console.say("`autocompress methods NAME` explains a method's knobs.")
        return
    kind = ordered[0]
    console.out.print(f"[bold]{kind.tag}[/] ({kind.phase.name.lower()}): {kind.summary}")
    console.out.print(f"\n{_told_method(kind)['about']}\n", markup=False)
    knobs = _told_method(kind)["knobs"]
    if not knobs:
        console.out.print("It has no knobs.")
        return
    table = Table("knob", "default", "the search tries")
    for knob in knobs:
        table.add_row(knob["name"], str(knob["default"]), ", ".join(map(str, knob["searched"])) or "the default")
    console.out.print(table)


def _told_method(kind: Any) -> dict[str, Any]:
    return {
        "name": kind.tag,
        "phase": kind.phase.name.lower(),
        "summary": kind.summary,
        "about": inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[2].replace("``", ""),
        "needs_calibration": kind.needs_calibration,
        "needs_training": kind.needs_training,
        "knobs": [
            {
                "name": knob,
                "default": field.default,
                "searched": list(mark.options) if (mark := kind.searched(knob)) else [],
            }
            for knob, field in kind.model_fields.items()
        ],
    }


@app.command()
def formats(device: opt.DeviceOption = None, json: opt.JsonOption = False) -> None:
    """List the export formats, and what is unavailable here and why.

    [bold]Example[/]

      autocompress formats --device cuda
    """
    from rich.markup import escape
    from rich.table import Table

    from autocompress.measure.nvml import why_no_device

    why = why_no_device() if device == "cuda" else None
    no_device = f"there is no CUDA device: {why}" if why else None
    told = []
    for name, kind in sorted(registry.load_all("formats").items()):
        missing = kind().unavailable(device or "cpu")
        told.append(
            {
                "name": name,
                "summary": kind.summary,
                "available": missing is None and no_device is None,
                "reason": missing.reason if missing else no_device,
                "install": missing.install if missing else None,
            }
        )
    if json:
        console.print_json(told)
        return
    table = Table("format", "what it is", "here", "why not, and the cure")
    for row in told:
        cure = f"{row['reason']}: {row['install']}" if row["install"] else row["reason"]
        table.add_row(row["name"], row["summary"], "✓ yes" if row["available"] else "✗ no", escape(cure or ""))
    console.out.print(table)


@app.command()
def doctor(json: opt.JsonOption = False) -> None:
    """Check this machine: devices, versions, disk, and conflicts between packages. Exit code 3: something is wrong.

    [bold]Example[/]

      autocompress doctor
    """
    from rich.markup import escape

    from autocompress.cli.checkup import check_machine

    findings = check_machine()
    if json:
        console.print_json([vars(finding) for finding in findings])
    else:
        marks = {"ok": "[green]✓[/]", "note": "[yellow]·[/]", "problem": "[red]✗[/]"}
        for finding in findings:
            console.out.print(f"{marks[finding.state]} [bold]{finding.subject}[/]: {escape(finding.message)}")
            if finding.remedy:
                console.out.print(f"    → {finding.remedy}", markup=False)
    raise typer.Exit(3 if any(finding.state == "problem" for finding in findings) else 0)
