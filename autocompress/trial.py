"""The work of a child: read the original, run a recipe's steps, export, have the result measured."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from autocompress import __version__, registry
from autocompress.compressible import CompressibleModel, StepContext
from autocompress.errors import EnvironmentProblem, Unsupported
from autocompress.examination import Examination
from autocompress.jobs import (
    ORIGINAL_FORMAT,
    Answer,
    BuildJob,
    Built,
    FactsJob,
    Job,
    MeasureJob,
    Prepared,
    PreparedAnswer,
    PrepareJob,
    TrialAnswer,
    TrialJob,
    Workspace,
)
from autocompress.part_samples import (
    calibration_inputs,
    load_inputs,
    read_samples,
    samples_path,
    save_inputs,
    timing_path,
    training_digest,
    training_inputs,
)
from autocompress.records import Artifact, describe_files
from autocompress.sample_store import save_samples
from autocompress.space import recipe_refusal
from autocompress.stage_cache import StageCache
from autocompress.stages import Stages
from autocompress.unread_model import call_flops, look_without_weights, machine_speed

if TYPE_CHECKING:
    from torch import nn

    from autocompress.formats.base import Format
    from autocompress.recipe import Recipe, Step
    from autocompress.tasks.base import Task

FORGOTTEN_AFTER_SECONDS = 7 * 24 * 3600
"""What an interrupted step left is kept this long for another attempt."""
CIRCUMSTANCES = ("_name_or_path", "transformers_version")
"""In a model's configuration."""


def run_job(job: Job, stages: Stages) -> Answer:
    """Do a job in this process."""
    match job:
        case FactsJob():
            with stages.stage("look at the shapes"):
                return look_without_weights(job, _task(job.task))
        case PrepareJob():
            return PreparedAnswer(prepared=prepare(job, stages))
        case BuildJob():
            return build(job, stages)
        case MeasureJob():
            return Examination(job, stages).measured()
        case TrialJob():
            built = build(job.build, stages)
            before = len(stages.finished)
            measured = Examination(job.measure, stages).measured()
            return TrialAnswer(built=built, measured=measured.model_copy(update={"stages": stages.finished[before:]}))


# Reading ------------------------------------------------------------------------------------------------------------


def prepare(job: PrepareJob, stages: Stages) -> Prepared:
    """Read and check model and data; keep the prepared samples and the timed call's inputs in the baseline folder."""
    from autocompress.data.rows import rows_digest
    from autocompress.measure.environment import environment
    from autocompress.model_state import facts_of

    workspace = job.workspace
    task = _task(workspace.task)
    with stages.stage("load model"):
        module = task.load_model(workspace.model)
        model = CompressibleModel(module)
        model.require_finite()
        facts = facts_of(module, workspace.task)
        model_key = model_key_of(module)
    with stages.stage("read data"):
        parts, samples = read_samples(workspace, task)
        for number, (part, prepared_samples) in enumerate(samples.items(), 1):
            save_samples(prepared_samples, samples_path(workspace, part))
            stages.progress(number, len(samples))
        if "search" in samples:  # a recipe can be applied without data, but not measured
            save_inputs(task.timing_inputs(workspace.model, samples["search"]), timing_path(workspace))
    metric = task.metric_of(workspace.model)
    digests = {part: rows_digest(rows) for part, rows in parts.items()} or dict.fromkeys(samples, model_key)
    return Prepared(
        facts=facts,
        model_key=model_key,
        data_keys=digests,
        n_samples={part: len(found) for part, found in samples.items()},
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        metric_is_rate=metric.is_rate,
        environment=environment(workspace.device, workspace.threads),
        call_flops=call_flops(module, workspace.model, facts),
        speed=machine_speed(workspace.threads),
    )


def _task(name: str) -> Task:
    task: Task = registry.load("tasks", name)()
    return task


def _format(name: str) -> Format:
    chosen: Format = registry.load("formats", name)()
    return chosen


def model_key_of(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of all parameters and buffers, and the configuration.

    Where the model lies and which version of a library wrote or reads it is no part of what it is.
    """
    import torch

    hasher = hashlib.sha256(type(module).__name__.encode())
    config = getattr(module, "config", None)
    if config is not None and hasattr(config, "to_json_string"):
        settings = json.loads(config.to_json_string(use_diff=False))
        told = {name: value for name, value in settings.items() if name not in CIRCUMSTANCES}
        hasher.update(json.dumps(told, sort_keys=True).encode())
    for name, tensor in module.state_dict().items():
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


# Building -----------------------------------------------------------------------------------------------------------


def build(job: BuildJob, stages: Stages) -> Built:
    """Run the recipe's steps on the original, or on the longest prefix that the cache holds, and export the result.

    Raises:
        Unsupported: the recipe is refused for this model, or a stage found that it cannot be done.
    """
    workspace, recipe = job.workspace, job.recipe
    chosen = _format(recipe.format)
    reason = recipe_refusal(recipe, {recipe.format: chosen}, job.prepared.facts, workspace.device)
    if reason:
        raise Unsupported(reason)
    cache = StageCache(workspace.cache, workspace.cache_cap_bytes)
    model = _run_steps(job, cache, stages)
    with stages.stage("export"):
        context = _context(job, cache, job.artifact, stages)
        shutil.rmtree(job.artifact, ignore_errors=True)
        job.artifact.mkdir(parents=True)
        kernel = chosen.export(model, job.artifact, context)
        files = describe_files(job.artifact, [path for path in job.artifact.rglob("*") if path.is_file()])
    del model
    if workspace.device == "cuda":
        _release_device_memory()
    return Built(
        artifact=Artifact(format=recipe.format, files=files, kernel=kernel),
        stages=stages.finished,
    )


def _release_device_memory() -> None:
    """Give back what torch keeps for later: the artifact is measured in another process on the same device."""
    import gc

    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _context(job: BuildJob, cache: StageCache, scratch: Path, stages: Stages) -> StepContext:
    workspace, task = job.workspace, _task(job.workspace.task)

    def teacher() -> nn.Module:
        return task.load_model(workspace.model).float().requires_grad_(False).to(workspace.device)

    return StepContext(
        facts=job.prepared.facts,
        calibration=lambda: calibration_inputs(workspace, task),
        training=lambda: training_inputs(workspace, task),
        teacher=teacher,
        scratch=scratch,
        example=load_inputs(timing) if (timing := timing_path(workspace)).exists() else {},
        task=workspace.task,
        device=workspace.device,
        seed=job.recipe.seed,
        cache=cache,
        model_key=job.prepared.model_key,
        progress=stages.progress,
    )


def _run_steps(job: BuildJob, cache: StageCache, stages: Stages) -> CompressibleModel:
    from autocompress.model_state import restore_state, save_state

    workspace, recipe, task = job.workspace, job.recipe, _task(job.workspace.task)
    keys = [_prefix_key(job, recipe.steps[: count + 1]) for count in range(len(recipe.steps))]
    done, entry = next(
        ((count, found) for count in range(len(keys), 0, -1) if (found := cache.find(keys[count - 1]))), (0, None)
    )
    if entry is not None:
        for step in recipe.steps[: done - 1]:
            with stages.stage(step.tag) as stage:
                stage.cached = True
        with stages.stage(recipe.steps[done - 1].tag) as stage:
            stage.cached = True
            model = restore_state(entry, lambda overrides: task.rebuild(workspace.model, overrides))
    else:
        with stages.stage("load model"):
            model = CompressibleModel(task.load_model(workspace.model))
            if not _is_original(recipe):
                model.module.float()
    model.module.to(workspace.device)
    for count in range(done, len(recipe.steps)):
        with stages.stage(recipe.steps[count].tag), _scratch(workspace, keys[count]) as scratch:
            recipe.steps[count].apply(model, _context(job, cache, scratch, stages))
        if stages.finished[-1].seconds > workspace.cache_after_seconds:
            with stages.stage("keep in cache"):
                cache.find_or_build(keys[count], lambda folder: save_state(model, folder))
    return model


@contextmanager
def _scratch(workspace: Workspace, key: str) -> Iterator[Path]:
    """A step's own folder: gone when the step has ended well, there again when it is tried once more."""
    folder = workspace.cache.parent / "unfinished" / key
    for left in folder.parent.glob("*"):  # by steps that nobody tried again
        if time.time() - left.stat().st_mtime > FORGOTTEN_AFTER_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _is_original(recipe: Recipe) -> bool:
    """Whether the recipe leaves the model as it is, stored precision included."""
    return not recipe.steps and recipe.format == ORIGINAL_FORMAT


def _prefix_key(job: BuildJob, steps: tuple[Step, ...]) -> str:
    calibrated = any(step.reads_calibration for step in steps)
    trained = any(step.reads_training for step in steps)
    return StageCache.key(
        job.prepared.model_key,
        job.workspace.task,
        [step.plain() for step in steps],
        job.prepared.data_keys.get("calibration") if calibrated else None,
        training_digest(job.workspace, _task(job.workspace.task)) if trained else None,
        job.recipe.seed,
        job.workspace.device,
        _code_versions(),
    )


def _code_versions() -> dict[str, str]:
    from autocompress.model_state import STATE_VERSION

    versions = {"autocompress": __version__, "state": str(STATE_VERSION)}
    for package in ("torch", "transformers"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError as missing:
            raise EnvironmentProblem(f"{package} is not installed", remedy="pip install autocompress") from missing
    return versions
