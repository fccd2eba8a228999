"""Commands that search: ``search``, ``resume``, ``baseline``, ``demo``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from autocompress.cli import options as opt
from autocompress.cli.app import app
from autocompress.errors import Interrupted, RunError

if TYPE_CHECKING:
    from autocompress.spec import Preference, SearchSpec

NOTHING_FEASIBLE = 1


@app.command()
def search(
    spec: Annotated[
        Path | None, typer.Argument(help="YAML file; options below override it.", metavar="[SPEC.yaml]")
    ] = None,
    model: opt.ModelOption = None,
    data: opt.DataOption = None,
    max_quality_drop: opt.DropOption = None,
    max_size: opt.SizeOption = None,
    max_latency: opt.LatencyOption = None,
    max_ram: opt.RamOption = None,
    max_vram: opt.VramOption = None,
    trials: opt.TrialsOption = None,
    timeout: opt.TimeoutOption = None,
    trial_timeout: opt.TrialTimeoutOption = None,
    trial_memory: opt.TrialMemoryOption = None,
    parallel: opt.ParallelOption = None,
    prefer: opt.PreferOption = None,
    methods: opt.MethodsOption = None,
    formats: opt.FormatsOption = None,
    train: opt.TrainOption = False,
    device: opt.DeviceOption = None,
    threads: opt.ThreadsOption = None,
    seed: opt.SeedOption = None,
    name: opt.NameOption = None,
    storage: opt.StorageOption = None,
    revision: opt.RevisionOption = None,
    task: opt.TaskOption = None,
    task_file: opt.TaskFileOption = None,
    column: opt.ColumnOption = None,
    calibration: opt.CalibrationOption = None,
    training: opt.TrainingOption = None,
    holdout: opt.HoldoutOption = None,
    trust_remote_code: opt.TrustOption = False,
    allow_pickle: opt.PickleOption = False,
    check: Annotated[bool, typer.Option("--check", help="Only check, and print the search as YAML.")] = False,
    json: opt.JsonOption = False,
) -> None:
    """Search for the best way to shrink a model, and write the recipe.

    Progress goes to stderr, the result to stdout. Exit code 1: nothing kept the limits (the nearest misses are shown).

    [bold]Examples[/]

      autocompress search --model my-bert/ --data reviews.csv --max-quality-drop 1pp --trials 20

      autocompress search --model whisper/ --data corpus/ --max-quality-drop 1% --max-size 0.3x --prefer latency

      autocompress search recipes/minilm-sst2.yaml --timeout 10m --json

      autocompress search search.yaml --check
    """
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
            "data": {
                "path": data,
                "columns": opt.columns_of(column),
                "calibration": calibration,
                "training": training,
                "holdout": holdout,
            },
            "constraints": {
                "quality_drop": max_quality_drop,
                "size": max_size,
                "latency": max_latency,
                "ram": max_ram,
                "vram": max_vram,
            },
            "budget": {
                "trials": trials,
                "timeout": timeout,
                "trial_timeout": trial_timeout,
                "trial_memory": trial_memory,
                "parallel": parallel,
            },
            "space": {"methods": opt.names_of(methods), "formats": opt.names_of(formats), "training": train},
            "": {
                "prefer": prefer,
                "device": device,
                "threads": threads,
                "seed": seed,
                "name": name,
                "storage": storage,
            },
        },
    )
    if check:
        _check_and_print(merged)
    else:
        _search_and_show(merged, as_json=json)


def _check_and_print(spec: SearchSpec) -> None:
    from autocompress.cli import console
    from autocompress.search.preflight import check
    from autocompress.spec_file import spec_yaml

    checked = check(spec)
    for name, why in checked.unavailable.items():
        console.say(f"note: format {name} is left out: {why}")
    console.print_text(spec_yaml(spec))


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="Name or folder of the run.")],
    trials: opt.TrialsOption = None,
    json: opt.JsonOption = False,
) -> None:
    """Go on with a search that was interrupted, or add trials to one that is done.

    [bold]Example[/]

      autocompress resume my-bert --trials 60
    """
    from autocompress.cli.display import display
    from autocompress.cli.result import show_result
    from autocompress.runs import RunFolder
    from autocompress.search.session import resume_search

    with _kept(run), display(_preference_of(run)) as on_event:
        resume_search(run, trials, on_event)
    raise typer.Exit(show_result(RunFolder.open(run).name, as_json=json))


@app.command()
def baseline(
    spec: Annotated[Path | None, typer.Argument(help="YAML file; options override it.", metavar="[SPEC.yaml]")] = None,
    model: opt.ModelOption = None,
    data: opt.DataOption = None,
    task: opt.TaskOption = None,
    task_file: opt.TaskFileOption = None,
    column: opt.ColumnOption = None,
    device: opt.DeviceOption = None,
    threads: opt.ThreadsOption = None,
    name: opt.NameOption = None,
    json: opt.JsonOption = False,
) -> None:
    """Measure the original only: size, latency, memory and quality.

    [bold]Example[/]

      autocompress baseline --model my-bert/ --data reviews.csv
    """
    given = opt.read_spec_file(spec)
    merged = opt.merged_spec(
        given,
        {
            "model": opt.model_options(given, model=model, task=task, task_file=task_file),
            "data": {"path": data, "columns": opt.columns_of(column)},
            "": {"device": device, "threads": threads, "name": name},
            "budget": {"trials": 1},
        },
    )
    from autocompress.cli.display import display
    from autocompress.cli.result import show_baseline
    from autocompress.runs import fresh_name
    from autocompress.search.session import start_search

    stem = f"{Path(merged.model.path).stem}-baseline"
    merged = merged.model_copy(update={"name": name or fresh_name(stem)})
    with _kept(merged.name or stem), display(merged.prefer) as on_event:
        start_search(merged, on_event)
    show_baseline(merged.name or stem, as_json=json)


@app.command()
def demo(
    trials: Annotated[int, typer.Option(min=1, help="Recipes to try, the original included.")] = 14,
    name: opt.NameOption = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only train the model; tell where it is as lines of JSON.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Only play a recorded run back in the terminal UI; loads no torch.")
    ] = False,
    speed: Annotated[
        float | None,
        typer.Option(min=0.01, help="Of --replay, in multiples of the recorded time; half a minute for all without."),
    ] = None,
    json: opt.JsonOption = False,
) -> None:
    """Search over a built-in problem: a small vision transformer on handwritten digits, trained on the first call.

    [bold]Examples[/]

      autocompress demo

      autocompress demo --replay
    """
    if replay:
        _play_demo(speed)
    if prepare:
        _prepare_demo()
        return
    from autocompress.cli.display import counted_progress
    from autocompress.demo.problem import demo_spec, prepare_demo
    from autocompress.runs import fresh_name
    from autocompress.stage_cache import cache_root

    with counted_progress("training the demo's model (once)") as progress:
        spec = demo_spec(*prepare_demo(cache_root() / "demo", progress))
    budget = spec.budget.model_copy(update={"trials": trials})
    _search_and_show(spec.model_copy(update={"budget": budget, "name": name or fresh_name("demo")}), as_json=json)


def _play_demo(speed: float | None) -> NoReturn:
    from autocompress.cli.tui import require_terminal
    from autocompress.runs import runs_root
    from autocompress.tui.opening import Opening

    require_terminal("Run it in one, or see the pictures in docs/terminal-ui.md; `autocompress demo` searches without.")
    Opening(str(runs_root()), is_recording=True, speed=speed).become()


def _prepare_demo() -> None:
    """A line ``step`` for each epoch where the model is trained now, then a line ``demo``."""
    from autocompress.cli import console
    from autocompress.demo.problem import demo_spec, prepare_demo
    from autocompress.stage_cache import cache_root

    def tell(done: int, total: int) -> None:
        console.print_json_line({"kind": "step", "text": "training the demo's model", "done": done, "total": total})

    model, data = prepare_demo(cache_root() / "demo", tell)
    spec = demo_spec(model, data).model_dump(mode="json", exclude_unset=True)
    console.print_json_line({"kind": "demo", "model": str(model), "data": str(data), "spec": spec})


def _search_and_show(spec: SearchSpec, *, as_json: bool) -> None:
    from autocompress.cli.display import display
    from autocompress.cli.result import show_result
    from autocompress.runs import fresh_name
    from autocompress.search.session import start_search

    name = spec.name or fresh_name(Path(spec.model.path).stem)
    with _kept(name), display(spec.prefer) as on_event:
        start_search(spec.model_copy(update={"name": name}), on_event)
    raise typer.Exit(show_result(name, as_json=as_json))


@contextmanager
def _kept(run: str) -> Iterator[None]:
    """Tell how to go on with a run whose search is interrupted, once it holds anything."""
    from autocompress.runs import RunFolder

    try:
        yield
    except KeyboardInterrupt:
        try:
            name = RunFolder.open(run).name
        except RunError:
            raise Interrupted("interrupted before anything was found out") from None
        remedy = f"Go on with `autocompress resume {name}`; `autocompress show {name}` shows what there is."
        raise Interrupted("interrupted; all that was found out is kept", remedy=remedy) from None


def _preference_of(run: str) -> Preference:
    from autocompress.runs import RunFolder
    from autocompress.spec_file import read_spec

    return read_spec(RunFolder.open(run).spec).prefer
