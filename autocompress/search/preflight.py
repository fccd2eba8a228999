"""What can be checked before anything heavy starts: task, data, limits, methods, formats, storage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autocompress import registry
from autocompress.data.parts import read_parts
from autocompress.errors import EnvironmentProblem, SpecError
from autocompress.formats.base import Format
from autocompress.jobs import Workspace
from autocompress.measure.nvml import why_no_device
from autocompress.recipe import Step
from autocompress.spec import DataSpec, Device, ModelSpec, SearchSpec, Space
from autocompress.stage_cache import cache_root
from autocompress.tasks.base import Task
from autocompress.tasks.detection import find_task


@dataclass(frozen=True)
class Checked:
    """A spec that can be searched here: its task, and the plug-ins it may use."""

    task: Task
    methods: dict[str, type[Step]]
    formats: dict[str, Format]
    unavailable: dict[str, str]
    """Formats that were not asked for by name and cannot run here, with the reason and the cure."""
    left_out: tuple[str, ...]
    """Methods that train and were not asked for."""


def check(spec: SearchSpec) -> Checked:
    """Refuse what cannot be searched, with the reason, within a second or two.

    Raises:
        SpecError, ModelError, DataError: what the user gave cannot be used.
        EnvironmentProblem: this machine lacks something that was asked for by name.
    """
    require_device(spec.device)
    task = find_task(spec.model)
    check_data(spec.model, spec.data, task, spec.seed)
    metric = task.metric_of(spec.model)
    check_limits(spec, metric.name, is_rate=metric.is_rate)
    methods, left_out = chosen_methods(spec.space)
    formats, unavailable = available_formats(spec.space.formats, spec.device)
    return Checked(
        task=task,
        methods=methods,
        formats=formats,
        unavailable=unavailable,
        left_out=left_out,
    )


def require_device(device: Device) -> None:
    """Refuse ``cuda`` where there is no such device.

    Raises:
        EnvironmentProblem: with the reason.
    """
    reason = why_no_device() if device == "cuda" else None
    if reason:
        raise EnvironmentProblem(f"there is no CUDA device to use: {reason}", remedy="Use --device cpu.")


def check_data(model: ModelSpec, data: DataSpec | None, task: Task, seed: int) -> None:
    """Read the data's tables and refuse those that cannot serve the task.

    Raises:
        DataError: unreadable, empty, without the columns that the task needs, or of one class only.
        SpecError: no data given to a task that needs some.
    """
    del model
    if not task.needs_data:
        return
    if data is None:
        roles = ", ".join(role.name for role in task.roles)
        raise SpecError(f"the task {task.name} needs data ({roles})", remedy="Give it with --data PATH.")
    for rows in read_parts(data, task.roles, seed).values():
        task.check_rows(rows)


def check_limits(spec: SearchSpec, metric: str, *, is_rate: bool) -> None:
    """Refuse limits that mean nothing for this metric or device.

    Raises:
        SpecError: percentage points of a metric that is no rate, or VRAM on the CPU.
    """
    drop = spec.constraints.quality_drop
    if drop is not None and drop.in_points and not is_rate:
        raise SpecError(
            f"{metric} is no rate, so it has no percentage points",
            where="constraints.quality_drop",
            remedy="Write a relative drop such as 1%, or an absolute one such as 0.5.",
        )
    if spec.constraints.vram is not None and spec.device == "cpu":
        raise SpecError(
            "a limit on VRAM cannot be checked on the CPU",
            where="constraints.vram",
            remedy="Add --device cuda, or limit --max-ram.",
        )


def _chosen(family: registry.Family, wanted: Iterable[str] | None) -> tuple[str, ...]:
    """The wanted plug-ins, or all of them.

    Raises:
        UsageError: one of them does not exist.
    """
    known = registry.names(family)
    for name in wanted or ():
        if name not in known:
            raise SpecError(
                f"there is no {family.removesuffix('s')} named {name!r}",
                where=f"space.{family}",
                remedy=registry.suggestion(name, known),
            )
    return known if wanted is None else tuple(wanted)


def chosen_methods(space: Space) -> tuple[dict[str, type[Step]], tuple[str, ...]]:
    """The methods that a search may use, and those that train and were not asked for.

    Raises:
        SpecError: one of them does not exist.
    """
    methods = {name: registry.load("methods", name) for name in _chosen("methods", space.methods)}
    left_out: tuple[str, ...] = ()
    if space.methods is None and not space.training:
        left_out = tuple(name for name, kind in methods.items() if kind.needs_training)
    return {name: kind for name, kind in methods.items() if name not in left_out}, left_out


def available_formats(wanted: Iterable[str] | None, device: Device) -> tuple[dict[str, Format], dict[str, str]]:
    """The formats that run here, and those that do not, each with reason and cure.

    Raises:
        EnvironmentProblem: a format that was asked for by name cannot run here, or none can.
    """
    formats: dict[str, Format] = {}
    unavailable: dict[str, str] = {}
    for name in _chosen("formats", wanted):
        chosen: Format = registry.load("formats", name)()
        if wanted is None and not chosen.searched:
            continue
        missing = chosen.unavailable(device)
        if missing is None:
            formats[name] = chosen
            continue
        cure = f"Install it: {missing.install}" if missing.install else None
        if wanted is not None:
            raise EnvironmentProblem(f"the format {name} cannot run here: {missing.reason}", remedy=cure)
        unavailable[name] = f"{missing.reason}. {cure}" if cure else missing.reason
    if not formats:
        raise EnvironmentProblem("no format can run here", remedy="; ".join(unavailable.values()))
    return formats, unavailable


def workspace_of(spec: SearchSpec, task: Task, baseline: Path) -> Workspace:
    """What all jobs of a search share."""
    return Workspace(
        model=spec.model,
        data=spec.data,
        task=task.name,
        device=spec.device,
        threads=spec.threads,
        seed=spec.seed,
        baseline=baseline.absolute(),
        cache=(cache_root() / "stages").absolute(),
        cache_cap_bytes=spec.budget.cache,
    )
