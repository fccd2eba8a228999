"""The command ``estimate``: what a search would find, before it is begun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocompress.cli import console
from autocompress.cli import options as opt
from autocompress.cli.app import app


@app.command()
def estimate(
    model: Annotated[str | None, typer.Argument(help="Local folder, hub id, or YAML file of a search.")] = None,
    max_size: opt.SizeOption = None,
    max_latency: opt.LatencyOption = None,
    max_ram: opt.RamOption = None,
    max_vram: opt.VramOption = None,
    trials: opt.TrialsOption = None,
    timeout: opt.TimeoutOption = None,
    formats: opt.FormatsOption = None,
    device: opt.DeviceOption = None,
    threads: opt.ThreadsOption = None,
    task: opt.TaskOption = None,
    task_file: opt.TaskFileOption = None,
    revision: opt.RevisionOption = None,
    json: opt.JsonOption = False,
) -> None:
    """Foretell what known-good recipes give on a model, and what a search takes; no weights are read or fetched.

    Sizes are arithmetic; memory and time are rough. What a limit rules out is said.

    [bold]Examples[/]

      autocompress estimate my-bert/

      autocompress estimate my-bert/ --max-size 0.2x --trials 20

      autocompress estimate recipes/minilm-sst2.yaml --json
    """
    from autocompress.report.estimates import estimates_in_words, estimates_plain, estimates_table
    from autocompress.search.estimate import estimate as foretell

    is_spec = model is not None and model.endswith((".yaml", ".yml")) and Path(model).is_file()
    merged = opt.merged_spec(
        opt.read_spec_file(Path(model)) if model and is_spec else None,
        {
            "model": {
                "path": None if is_spec else model or (str(task_file) if task_file else None),
                "revision": revision,
                "task": task or ("own" if task_file else None),
                "task_file": str(task_file) if task_file else None,
            },
            "constraints": {"size": max_size, "latency": max_latency, "ram": max_ram, "vram": max_vram},
            "budget": {"trials": trials, "timeout": timeout},
            "space": {"formats": opt.names_of(formats)},
            "": {"device": device, "threads": threads},
        },
    ).resolved_against(Path.cwd())
    estimates = foretell(merged)
    if json:
        console.print_json(estimates_plain(estimates))
        return
    console.out.print(estimates_table(estimates, merged.constraints))
    for sentence in estimates_in_words(estimates):
        console.print_text(sentence)
