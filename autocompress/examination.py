"""Measures an artifact: what is cheap first, and no more than is needed to tell whether it is of any use."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocompress import registry
from autocompress.jobs import ORIGINAL_FORMAT, Measured, MeasureJob
from autocompress.part_samples import load_inputs, samples_path, timing_path
from autocompress.records import Energy, Estimate, Latency, Measurement, Memory, Quality, Vram
from autocompress.sample_store import load_samples
from autocompress.stages import Stages

if TYPE_CHECKING:
    from autocompress.formats.base import Format, Runner
    from autocompress.measure.latency import LatencyProtocol
    from autocompress.measure.outcomes import Outcomes
    from autocompress.tasks.base import Metric, Score, Task

NO_DROP = Estimate(value=0.0, low=0.0, high=0.0)
FEWEST_SAMPLES = 32
"""Judged of every candidate, so that the search learns what became of its quality."""


class Examination:
    """Measures the files of one artifact: size, latency and energy alone here, then quality, and memory beside it.

    Where the job names stakes, measuring ends once they surely cannot be reached; where the interval of the latency
    touches the front or a limit, that is looked at more closely; and memory, whose process takes seconds to start, is
    measured only where it is limited.
    """

    def __init__(self, job: MeasureJob, stages: Stages) -> None:
        self._job = job
        self._stages = stages
        self._task: Task = registry.load("tasks", job.workspace.task)()
        self._cut_short: str | None = None

    def measured(self) -> Measured:
        """Take the figures that the job asks for."""
        from autocompress.measure.environment import environment
        from autocompress.measure.latency import CLOSER_LOOK, SHORT_LOOK

        job, stakes = self._job, self._job.stakes
        files = [job.artifact / name for name in job.files] or [p for p in job.artifact.rglob("*") if p.is_file()]
        size_bytes = sum(path.stat().st_size for path in files)
        latency: Latency | None = None
        if "latency" in job.figures:
            latency = self._latency("latency", CLOSER_LOOK if job.precise else SHORT_LOOK)
        energy, why_no_energy = self._energy() if "energy" in job.figures else (None, None)
        most_drop, why_lost = math.inf, ""
        if stakes is not None and latency is not None:
            broken = stakes.surely_broken(size_bytes, latency)
            self._cut_short = f"the limit on {broken} is broken" if broken else None
            most_drop, why_lost = stakes.most_drop(size_bytes, latency)
        with _MemoryBeside(job) if self._wants_memory else nullcontext() as memory:
            quality = self._quality(most_drop, why_lost) if "quality" in job.figures else None
            ram, vram = self._memory(memory) if memory is not None else (None, None)
        if latency and quality and self._is_undecided(size_bytes, latency, quality):
            latency = self._latency("latency, closer", CLOSER_LOOK)
        return Measured(
            measurement=Measurement(
                size_bytes=size_bytes,
                ram=ram,
                vram=vram,
                latency=latency,
                quality=quality,
                energy=energy,
                why_no_energy=why_no_energy,
                cut_short=self._cut_short,
            ),
            stages=self._stages.finished,
            environment=environment(job.workspace.device, job.workspace.threads),
        )

    def _is_undecided(self, size_bytes: int, latency: Latency, quality: Quality) -> bool:
        stakes = self._job.stakes
        return stakes is not None and self._cut_short is None and stakes.is_undecided(size_bytes, latency, quality)

    def _latency(self, stage: str, protocol: LatencyProtocol) -> Latency:
        from autocompress.measure.latency import time_pair

        workspace = self._job.workspace
        with self._stages.stage(stage), self._timed_calls() as (candidate, original), self._stages.quiet():
            return time_pair(
                candidate,
                original,
                protocol,
                device=workspace.device,
                threads=workspace.threads,
                seed=workspace.seed,
                drift=self._job.drift,
            )

    def _energy(self) -> tuple[Energy | None, str | None]:
        """The energy of a call, or why it is not known; no model is loaded where nothing tells it."""
        from autocompress.measure.energy import measure_energy
        from autocompress.measure.energy_meters import NoEnergyMeter, energy_meter

        try:
            with (
                energy_meter(self._job.workspace.device) as meter,
                self._stages.stage("energy"),
                self._timed_calls() as (candidate, original),
                self._stages.quiet(),
            ):
                return measure_energy(candidate, original or candidate, meter), None
        except NoEnergyMeter as problem:
            return None, str(problem)

    @contextmanager
    def _timed_calls(self) -> Iterator[tuple[Callable[[], object], Callable[[], object] | None]]:
        """The timed call of the candidate and, if there is one, of the original; both models are loaded meanwhile."""
        from autocompress.measure.heap import keep_freed_memory

        keep_freed_memory()
        job, task, model = self._job, self._task, self._job.workspace.model
        inputs = load_inputs(timing_path(job.workspace))
        candidate = self._runner(job.format, job.artifact)
        original = job.original and self._runner(ORIGINAL_FORMAT, job.original)
        try:
            yield (
                lambda: task.timed_call(model, candidate, inputs),
                (lambda: task.timed_call(model, original, inputs)) if original else None,
            )
        finally:
            candidate.close()
            if original:
                original.close()

    def _runner(self, name: str, artifact: Path) -> Runner:
        workspace = self._job.workspace
        chosen: Format = registry.load("formats", name)()
        return chosen.load(artifact, workspace.device, workspace.threads, workspace.model)

    # Quality --------------------------------------------------------------------------------------------------------

    def _quality(self, most_drop: float, why_lost: str) -> Quality:
        """Judge on the samples of the part, one at a time and on as many threads as deployed.

        All of them are judged, unless that surely cannot bring the drop down to ``most_drop`` any more; ``why_lost``
        says why it is then of no use.
        """
        from autocompress.measure.outcomes import Outcomes, evaluate
        from autocompress.measure.quality import compare

        job, task, workspace = self._job, self._task, self._job.workspace
        metric = task.metric_of(workspace.model)
        baseline = workspace.baseline / f"outcomes-{job.part}.npz"
        with self._stages.stage("quality"):
            runner = self._runner(job.format, job.artifact)
            try:
                samples = load_samples(samples_path(workspace, job.part))
                if job.original is None:
                    original = outcomes = evaluate(task, workspace.model, runner, samples, self._stages.progress)
                    outcomes.save(baseline)
                else:
                    original = Outcomes.load(baseline)
                    order = np.random.default_rng(workspace.seed).permutation(len(samples))
                    outcomes = evaluate(
                        task,
                        workspace.model,
                        runner,
                        [samples[index] for index in order],
                        self._stages.progress,
                        self._is_enough(metric, original.at(order), most_drop, why_lost),
                    )
                    places = order[: len(outcomes)]
                    outcomes, original = outcomes.at(np.argsort(places)), original.at(np.sort(places))
            finally:
                runner.close()
            if job.outcomes is not None:
                outcomes.save(job.outcomes)
            quality = compare(metric, outcomes, original, job.part, other_metrics=task.other_metrics)
            if job.original is None:  # against itself there is nothing to be unsure of
                quality = quality.model_copy(update={"drop": NO_DROP, "relative_drop": NO_DROP})
            return quality

    def _is_enough(
        self, metric: Metric, original: Outcomes, most_drop: float, why_lost: str
    ) -> Callable[[Score], bool] | None:
        """Whether the samples so far are enough to give the candidate up; None where all are to be judged."""
        from autocompress.measure.betting import LossTest

        if self._job.stakes is None:
            return None
        test = LossTest(metric, original.by_metric[metric.name], most_drop)

        def is_enough(score: Score) -> bool:
            test.add(score)
            if test.is_lost and self._cut_short is None:
                self._cut_short = why_lost
            return self._cut_short is not None and test.n_samples >= FEWEST_SAMPLES

        return is_enough

    # Memory ---------------------------------------------------------------------------------------------------------

    @property
    def _wants_memory(self) -> bool:
        stakes = self._job.stakes
        return "ram" in self._job.figures and (stakes is None or stakes.constraints.limits_memory)

    def _memory(self, beside: _MemoryBeside) -> tuple[Memory, Vram | None]:
        on_device = self._job.workspace.device != "cpu"
        with self._stages.stage("memory"), self._stages.quiet() if on_device else nullcontext():
            return beside.result()


class _MemoryBeside:
    """Memory's own process starts slowly and counts no time, so it may run beside the quality's samples.

    Not on a device, whose memory is seen as a whole. It is ended when nobody waits for it any more.
    """

    def __init__(self, job: MeasureJob) -> None:
        self._job = job
        self._abandoned = threading.Event()
        self._future: Future[tuple[Memory, Vram | None]] | None = None

    def __enter__(self) -> _MemoryBeside:
        if self._job.workspace.device == "cpu":
            self._future = ThreadPoolExecutor(max_workers=1).submit(self._measure)
        return self

    def __exit__(self, *_: object) -> None:
        self._abandoned.set()

    def result(self) -> tuple[Memory, Vram | None]:
        """What was found."""
        return self._future.result() if self._future else self._measure()

    def _measure(self) -> tuple[Memory, Vram | None]:
        from autocompress.measure.memory import measure_memory

        workspace = self._job.workspace
        return measure_memory(
            self._job.format,
            self._job.artifact,
            task=workspace.task,
            model=workspace.model,
            inputs=load_inputs(timing_path(workspace)),
            device=workspace.device,
            threads=workspace.threads,
            abandoned=self._abandoned,
        )
