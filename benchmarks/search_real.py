"""Searches of real models in the same time: this package against a loop around Optuna as an engineer would write it.

Ours is `autocompress search` as it comes, in a new folder with an empty cache; it ends after so many trials, or by
itself once nothing more is expected. The loop has Optuna's TPESampler (multivariate, grouped), log size and log latency
to minimise, the limit on quality as its constraint, and the same space (`SearchSpace.propose`); each trial is done
whole in a new process, by the same code that builds and measures: the quality on all of the search part and the short
look at latency, but no memory. What is refused beforehand is pruned and costs it nothing; duplicates and failures come
as they come. The clock begins with the process of either, original included, and ends with our last trial: what we
spend on judging finalists isn't counted. After that the loop goes on to its number of trials. Methods that train are
left out of both, unless `--train` is given. `--warm` adds the same loop with our warm processes and our cache of
stages, to tell what is due to those from what is due to the proposals.

Judged are the recipes that either sees on its front of size and latency inside the limit, after 25, 50 and 100 % of the
time: built again, timed in five fresh processes, and judged on the search part and on the holdout, which neither has
seen. A front's volume is what it dominates of the logarithms of size and latency, the original being the corner, as a
share of what all arms together reach with that model and seed; it counts recipes inside the limit on the search part.
What is believed of losses beforehand (`search/beliefs.py`) was settled on earlier searches of both arms, on
cifar10-resnet20, minilm-sst2 and fashion-vit-small; fashion-resnet was held out.

Needs AUTOCOMPRESS_ASSETS, the folder with the models and their data. Finished searches and judgements are kept, so that
a benchmark that was stopped goes on; nothing else should keep the machine busy meanwhile.

Run: python benchmarks/search_real.py --seeds 1 --write docs/benchmarks.md
     python benchmarks/search_real.py --seeds 1 --models cifar10-resnet20 --trials 10
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna

sys.path.insert(0, str(Path(__file__).parent))

from intervals import interval
from known_models import RECIPES, KnownModel, known_models, spec_of
from ledger import Ledger
from sections import command_line, print_section, this_machine, today, when_and_where

from autocompress.dominance import nondominated
from autocompress.errors import AutocompressError
from autocompress.event_log import read_events
from autocompress.events import TrialFinished
from autocompress.jobs import (
    ORIGINAL_FORMAT,
    Answer,
    BuildJob,
    Failed,
    Job,
    MeasureJob,
    Prepared,
    PreparedAnswer,
    PrepareJob,
    TrialAnswer,
    TrialJob,
    Workspace,
    message_adapter,
)
from autocompress.limits import UNMEASURED_VIOLATION
from autocompress.objectives import violations
from autocompress.recipe import Recipe
from autocompress.recipe_words import recipe_in_words
from autocompress.records import Measurement, Status
from autocompress.report.numbers import ratio
from autocompress.search.launcher import Launcher
from autocompress.search.preflight import check, workspace_of
from autocompress.search.sampler.hypervolume import hypervolume
from autocompress.space import SearchSpace
from autocompress.spec import SearchSpec
from autocompress.stage_cache import cache_root

SECTION = "## Real searches"
MODELS = ("cifar10-resnet20", "minilm-sst2", "fashion-vit-small", "fashion-resnet")
OURS, OPTUNA = "ours", "Optuna"
GIVEN_UP = "given up"
WARM = "Optuna, warm"
ARMS = (OURS, OPTUNA)
CUTS: dict[str, float | None] = {"25 %": 0.25, "50 %": 0.5, "100 %": 1.0, "same trials": None, "all trials": math.inf}
"""When fronts are looked at: after shares of the time; after as many trials of either, or all, whatever the time."""
REFERENCE = (0.0, 0.0)
"""The original: as large and as slow as it is."""
EXPLAINED = """*Same trials*: after as many trials of each, whatever the time. *All trials*:
what the loop has in the end, with more time than we had. Smallest and fastest are the ends of the front at 100 %,
geometric means."""
LONGEST = 3.0
"""The loop is given up after so many times our time, whatever trials it has done."""
NOTHING_FEASIBLE = 1

Point = tuple[float, float]


@dataclass(frozen=True)
class Tried:
    """A trial that ended.

    Attributes:
        seconds: when it ended, since the process of its search was started.
        recipe: as plain data.
        status: ``complete``, ``given up`` (surely of no use, so not measured to the end), ``refused`` (nothing was
            computed), or how it failed.
        log_size, log_latency: over the original's.
        excess: by how much the limit broken most is exceeded, as a share of it; 0 or less where all are kept.
    """

    seconds: float
    recipe: dict[str, Any]
    status: str
    log_size: float | None = None
    log_latency: float | None = None
    excess: float = UNMEASURED_VIOLATION

    @property
    def point(self) -> Point | None:
        """Its figures, if it keeps the limits."""
        if self.log_size is None or self.log_latency is None or self.excess > 0 or self.status == GIVEN_UP:
            return None
        return self.log_size, self.log_latency

    @cached_property
    def digest(self) -> str:
        """Of its recipe."""
        return Recipe.model_validate(self.recipe).digest


def tried(seconds: float, recipe: Recipe, measured: Measurement, original: Measurement, spec: SearchSpec) -> Tried:
    """A trial that gave figures."""
    plain = recipe.model_dump(mode="json")
    if measured.size_bytes is None or measured.latency is None or measured.quality is None:
        return Tried(seconds, plain, "not measured")
    log_size = math.log(measured.size_bytes / (original.size_bytes or math.nan))
    excess = max(violations(spec.constraints, measured, original).values(), default=0.0)
    status = GIVEN_UP if measured.cut_short is not None else "complete"
    return Tried(seconds, plain, status, log_size, -math.log(measured.latency.speedup.value), excess)


def spec_for(model: str, seed: int, *, train: bool) -> SearchSpec:
    """What both arms are asked for."""
    spec = spec_of(model)
    return spec.model_copy(update={"seed": seed, "space": spec.space.model_copy(update={"training": train})})


# Ours --------------------------------------------------------------------------------------------------------------


def search_ours(model: str, seed: int, trials: int, folder: Path, *, train: bool) -> list[Tried]:
    """A search by the command line.

    Raises:
        subprocess.CalledProcessError: it did not get to its end.
    """
    environment = os.environ | {"AUTOCOMPRESS_RUNS": str(folder / "runs"), "AUTOCOMPRESS_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "autocompress", "search", str(RECIPES / f"{model}.yaml"), "--name", model]
    command += [
        "--trials",
        str(trials + 1),
        "--seed",
        str(seed),
        *(["--train"] if train else []),
    ]  # the original is one
    started = time.time()
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        ended = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
    if ended.returncode not in (0, NOTHING_FEASIBLE):
        raise subprocess.CalledProcessError(ended.returncode, command)
    spec = spec_for(model, seed, train=train)
    events = read_events(folder / "runs" / model / "events.jsonl")
    finished = [event for event in events if isinstance(event, TrialFinished)]
    original = next(e.record.measurement for e in finished if e.record.origin == "baseline" and e.record.measurement)
    rows = []
    for event in finished:
        record, seconds = event.record, event.time - started
        if record.origin == "baseline":
            continue
        if record.status is Status.COMPLETE and record.measurement is not None:
            rows.append(tried(seconds, record.recipe, record.measurement, original, spec))
        else:
            rows.append(Tried(seconds, record.recipe.model_dump(mode="json"), record.status.value))
    return rows


# The loop around Optuna --------------------------------------------------------------------------------------------


def in_a_new_process(job: Job, folder: Path, timeout: float) -> Answer:
    """What a job gives that is done in a process of its own.

    Raises:
        RuntimeError: the process failed, or took too long.
    """
    question, answer = folder / "job.json", folder / "answer.json"
    question.write_text(job.model_dump_json(), encoding="utf-8")
    answer.unlink(missing_ok=True)
    command = [sys.executable, str(Path(__file__).with_name("one_job.py")), str(question), str(answer)]
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        try:
            subprocess.run(command, stdout=log, stderr=log, timeout=timeout, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
            raise RuntimeError("the trial failed") from problem
    return message_adapter.validate_json(answer.read_text(encoding="utf-8"))  # type: ignore[return-value]


class Loop:
    """What an engineer would write around the code that builds and measures."""

    def __init__(self, spec: SearchSpec, folder: Path, started: float, *, warm: bool) -> None:
        self.spec = spec
        self._launcher = Launcher(spec.device) if warm else None
        self.rows: list[Tried] = []
        self._folder = folder
        self._started = started
        checked = check(spec)
        self._workspace: Workspace = workspace_of(spec, checked.task, folder / "baseline")
        prepared = self._ask(PrepareJob(workspace=self._workspace))
        assert isinstance(prepared, PreparedAnswer)
        self._prepared: Prepared = prepared.prepared
        self._original = self._measured(Recipe(format=ORIGINAL_FORMAT, seed=spec.seed), folder / "original", None)
        self._space = SearchSpace(checked.methods, checked.formats, self._prepared.facts, spec.device, spec.seed)

    def seconds(self) -> float:
        """Since this search's process was started."""
        return time.time() - self._started

    def objective(self, trial: optuna.Trial) -> Point:
        """Log size and log latency over the original's; the limits are constraints.

        Raises:
            optuna.TrialPruned: the recipe is refused.
        """
        recipe = self._space.propose(trial)
        plain = recipe.model_dump(mode="json")
        if self._space.refusal(recipe) is not None:
            self.rows.append(Tried(self.seconds(), plain, "refused"))
            raise optuna.TrialPruned
        try:
            measured = self._measured(recipe, self._folder / "artifact", self._folder / "original")
        except RuntimeError:
            self.rows.append(Tried(self.seconds(), plain, "failed"))
            raise
        row = tried(self.seconds(), recipe, measured, self._original, self.spec)
        self.rows.append(row)
        trial.set_constraint("limits", row.excess)
        assert row.log_size is not None
        assert row.log_latency is not None
        return row.log_size, row.log_latency

    def _measured(self, recipe: Recipe, artifact: Path, original: Path | None) -> Measurement:
        workspace = self._workspace.model_copy(update={"cache": self._folder / "cache" / "stages"})
        if self._launcher is None:  # each trial is done whole
            shutil.rmtree(workspace.cache, ignore_errors=True)
            workspace = workspace.model_copy(update={"cache_after_seconds": math.inf})
        build = BuildJob(workspace=workspace, prepared=self._prepared, recipe=recipe, artifact=artifact)
        measure = MeasureJob(
            workspace=workspace,
            prepared=self._prepared,
            format=recipe.format,
            artifact=artifact,
            original=original,
            figures=frozenset({"latency", "quality"}),
        )
        answer = self._ask(TrialJob(build=build, measure=measure))
        assert isinstance(answer, TrialAnswer)
        return answer.measured.measurement

    def _ask(self, job: Job) -> Answer:
        timeout = self.spec.budget.trial_timeout
        if self._launcher is None:
            return in_a_new_process(job, self._folder, timeout)
        log = self._folder / "log.txt"
        answer = self._launcher.run(
            job, log=log, timeout_seconds=timeout, memory_bytes=None, on_progress=lambda _: None
        )
        if isinstance(answer, Failed):
            raise RuntimeError(answer.error.message)
        return answer


def optuna_loop(
    model: str, seed: int, started: float, seconds: float, least_trials: int, folder_name: str, train: bool, warm: bool
) -> None:
    """Search until the time is over and as many trials are done as we did, and write the trials down."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as our own children have it
    folder = Path(folder_name)
    loop = Loop(spec_for(model, seed, train=train), folder, started, warm=warm)

    def stop_in_time(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        del trial
        gone = loop.seconds()
        if (gone >= seconds and len(computed(loop.rows)) >= least_trials) or gone >= LONGEST * seconds:
            study.stop()

    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    study.optimize(loop.objective, callbacks=[stop_in_time], catch=(Exception,))
    (folder / "rows.json").write_text(json.dumps([asdict(row) for row in loop.rows]), encoding="utf-8")


def search_optuna(
    model: str, seed: int, seconds: float, least_trials: int, folder: Path, *, train: bool, warm: bool
) -> list[Tried]:
    """The loop, in a process of its own.

    Raises:
        RuntimeError: it did not get to its end.
    """
    arguments = (model, seed, time.time(), seconds, least_trials, str(folder.absolute()), train, warm)
    process = multiprocessing.get_context("spawn").Process(target=optuna_loop, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"{model}, seed {seed}: the loop ended with exit code {process.exitcode}")
    return [Tried(**row) for row in json.loads((folder / "rows.json").read_text(encoding="utf-8"))]


# One model with one seed -------------------------------------------------------------------------------------------


def computed(rows: Iterable[Tried]) -> list[Tried]:
    """The trials that took some time: those refused beforehand are none."""
    return [row for row in rows if row.status != "refused"]


def front(rows: Iterable[Tried]) -> list[Tried]:
    """Those inside the limits that no other dominates, by what the search itself saw; each recipe once."""
    kept = {row.digest: row for row in rows if row.point is not None}
    numbered = dict(enumerate(kept.values()))
    chosen = nondominated({index: row.point for index, row in numbered.items() if row.point is not None})
    return [numbered[index] for index in sorted(chosen)]


def volume(points: Iterable[Point]) -> float:
    """What the points dominate, the original being the corner."""
    return hypervolume(np.array(list(points), dtype=float).reshape(-1, 2), REFERENCE)


@dataclass(frozen=True)
class Match:
    """Both arms on one model with one seed, and the last judgement of their fronts, by recipe."""

    model: str
    seed: int
    rows: Mapping[str, Sequence[Tried]]
    judged: Mapping[str, Mapping[str, Any]]
    searches: tuple[Mapping[str, Any], ...] = ()
    """Where and when each arm was run."""

    @property
    def seconds(self) -> float:
        """How long our trials took: the time that both have."""
        return max(row.seconds for row in self.rows[OURS])

    @property
    def n_trials(self) -> int:
        """How many trials both have done at least, whatever the time."""
        return min(len(computed(self.rows[arm])) for arm in ARMS)

    def done(self, arm: str, cut: str = "100 %") -> list[Tried]:
        """The trials that an arm has done by then."""
        share = CUTS[cut]
        if share is None:
            return computed(self.rows[arm])[: self.n_trials]
        return [row for row in self.rows[arm] if row.seconds <= share * self.seconds]

    def to_judge(self) -> list[Tried]:
        """All that stand on a front at one of the moments."""
        members = [row for cut in CUTS for arm in self.rows for row in front(self.done(arm, cut))]
        return list({row.digest: row for row in members}.values())

    def judged_point(self, row: Tried) -> Point | None:
        """A recipe's figures by the last judgement, if it keeps the limits by it."""
        found = self.judged.get(row.digest)
        if found is None or found["excess"] > 0:
            return None
        return found["log_size"], found["log_latency"]

    def judged_points(self, rows: Iterable[Tried]) -> list[Point]:
        """Of the front of these trials."""
        return [point for row in front(rows) if (point := self.judged_point(row)) is not None]

    def share(self, rows: Iterable[Tried]) -> float:
        """The volume of their front, over that of all that was judged."""
        best = volume(point for row in self.to_judge() if (point := self.judged_point(row)) is not None)
        return volume(self.judged_points(rows)) / best if best else math.nan

    def time_to_match(self) -> float:
        """The share of the time after which we have the volume that Optuna ends with, as seen by the searches."""
        goal = volume(row.point for row in front(self.done(OPTUNA)) if row.point is not None)
        done: list[Tried] = []
        for row in self.rows[OURS]:
            done.append(row)
            if volume(one.point for one in front(done) if one.point is not None) >= goal:
                return row.seconds / self.seconds
        return math.inf


def judge(model: str, spec: SearchSpec, rows: Sequence[Tried], ledger: Ledger) -> None:
    """Build what the ledger lacks again, time it precisely, and judge it on both parts."""
    missing = [row for row in rows if row.digest not in ledger.entries]
    if not missing:
        return
    with KnownModel(spec) as known, tempfile.TemporaryDirectory(prefix="autocompress-judged-") as temporary:
        artifact, original = known.original
        at_holdout = known.judge(ORIGINAL_FORMAT, artifact, "holdout", is_original=True)
        for row in missing:
            recipe, folder = Recipe.model_validate(row.recipe), Path(temporary) / "artifact"
            try:
                known.build(recipe, folder)
                measured = known.measure(recipe.format, folder, figures=frozenset({"latency", "quality"}))
                holdout = known.judge(recipe.format, folder, "holdout")
            except AutocompressError as problem:  # counts as if it had not been found, until it is tried again
                print(f"{model}, seed {spec.seed}: {recipe}: {problem}", file=sys.stderr)
                continue
            again = tried(0.0, recipe, measured, original, spec)
            drop_limits = spec.constraints.model_copy(update=dict.fromkeys(("size", "latency", "ram", "vram")))
            entry = {
                "log_size": again.log_size,
                "log_latency": again.log_latency,
                "excess": again.excess,
                "excess_on_holdout": max(violations(drop_limits, holdout, at_holdout).values(), default=0.0),
                "contended": measured.latency.contended if measured.latency else None,
            }
            ledger.keep(row.digest, entry)
            print(f"{model}, seed {spec.seed}: {entry}", file=sys.stderr)


def match(model: str, seed: int, trials: int, least_trials: int, keep: Path, *, train: bool, warm: bool) -> Match:
    """Run the searches that are missing, one after the other, and judge their fronts."""
    folder = keep / f"{model}-{seed}-{trials}{'-train' if train else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("unfinished-*"):  # by one that was killed
        shutil.rmtree(left)
    ledger = Ledger(folder / "searches.json")
    arms = (*ARMS, WARM) if warm else ARMS
    for arm in arms:
        if arm in ledger.entries:
            continue
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder) as temporary:
            print(f"{model}, seed {seed}: {arm}", file=sys.stderr)
            if arm == OURS:
                rows = search_ours(model, seed, trials, Path(temporary), train=train)
            else:
                seconds = max(row["seconds"] for row in ledger.entries[OURS]["rows"])
                least = least_trials if arm == OPTUNA else 0
                rows = search_optuna(model, seed, seconds, least, Path(temporary), train=train, warm=arm == WARM)
        about = {"day": today(), "machine": this_machine(), "load": os.getloadavg()[2]}
        ledger.keep(arm, about | {"rows": [asdict(row) for row in rows]})
    by_arm = {arm: [Tried(**row) for row in ledger.entries[arm]["rows"]] for arm in arms}
    judged = Ledger(folder / "judged.json")
    played = Match(model, seed, by_arm, judged.entries, tuple(ledger.entries[arm] for arm in arms))
    judge(model, spec_for(model, seed, train=train), played.to_judge(), judged)
    return played


# Results -----------------------------------------------------------------------------------------------------------


def table(matches: Sequence[Match]) -> Iterator[str]:
    """One model: what each arm did in the time, and what its front is worth; means over the seeds."""
    heads = [f"at {name}" if name.endswith("%") else name for name in CUTS]
    yield f"| | trials | distinct | failed | s a trial | {' | '.join(heads)} | smallest | fastest | inside on holdout |"
    yield f"|---|{'---:|' * (7 + len(heads))}"
    for arm in matches[0].rows:
        done = [computed(one.done(arm)) for one in matches]
        counts = [
            np.mean([len(rows) for rows in done]),
            np.mean([len({row.digest for row in rows}) for rows in done]),
            np.mean([sum(row.status not in ("complete", GIVEN_UP) for row in rows) for rows in done]),
        ]
        pace = np.mean([one.seconds / max(1, len(rows)) for one, rows in zip(matches, done, strict=True)])
        shares = [np.mean([one.share(one.done(arm, cut)) for one in matches]) for cut in CUTS]
        points = [one.judged_points(one.done(arm)) for one in matches]
        extremes = [
            ratio(float(np.exp(np.mean([min(p[0] for p in some) for some in points])))) if all(points) else "–",
            ratio(float(np.exp(-np.mean([min(p[1] for p in some) for some in points])))) if all(points) else "–",
        ]
        members = [one.judged.get(row.digest, {}) for one in matches for row in front(one.done(arm))]
        inside = sum(found.get("excess_on_holdout", math.inf) <= 0 for found in members)
        yield (
            f"| {arm} | {' | '.join(f'{count:.1f}' for count in counts)} | {pace:.1f} "
            f"| {' | '.join(f'{share:.3f}' for share in shares)} "
            f"| {' | '.join(extremes)} | {inside} of {len(members)} |"
        )


def comparison(matches: Sequence[Match]) -> Iterator[str]:
    """Paired differences of the volumes' shares, and when we have what the loop ends with."""
    yield f"| models and seeds | {' | '.join(CUTS)} | more at 100 % | time to Optuna's last volume, median |"
    yield f"|---|{'---:|' * (len(CUTS) + 2)}"
    groups = {
        model: [one for one in matches if one.model == model] for model in dict.fromkeys(m.model for m in matches)
    }
    for group, some in [*groups.items(), ("all", list(matches))]:
        cells = []
        for cut in CUTS:
            differences = [one.share(one.done(OURS, cut)) - one.share(one.done(OPTUNA, cut)) for one in some]
            mean, low, high = interval(differences)
            cells.append(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]" if len(some) > 1 else f"{mean:+.3f}")
        more = sum(one.share(one.done(OURS)) > one.share(one.done(OPTUNA)) for one in some)
        needed = float(np.median([one.time_to_match() for one in some]))
        told = f"{needed:.0%}" if math.isfinite(needed) else "not reached"
        yield f"| {group} ({len(some)}) | {' | '.join(cells)} | {more} of {len(some)} | {told} |"


def fronts(one: Match) -> Iterator[str]:
    """Both fronts at the end, as judged."""
    yield "| | recipe | size | speed | inside on holdout |"
    yield "|---|---|---:|---:|---|"
    for arm in one.rows:
        for row in sorted(front(one.done(arm)), key=lambda row: row.log_size or 0.0):
            recipe, found = Recipe.model_validate(row.recipe), one.judged.get(row.digest)
            words = f"{recipe_in_words(recipe)}, as {recipe.format}"
            if found is None:
                yield f"| {arm} | {words} | – | – | not judged |"
                continue
            size, speed = ratio(math.exp(found["log_size"])), ratio(math.exp(-found["log_latency"]))
            inside = "yes" if found["excess_on_holdout"] <= 0 else "no"
            yield f"| {arm} | {words} | {size} | {speed}{'~' if found['contended'] else ''} | {inside} |"


def report(
    models: Sequence[str],
    seeds: Sequence[int],
    trials: int,
    least_trials: int,
    keep: Path,
    *,
    train: bool,
    warm: bool,
) -> Iterator[str]:
    """The section, line by line."""
    matches = [
        match(model, seed, trials, least_trials, keep, train=train, warm=warm) for seed in seeds for model in models
    ]
    yield f"{SECTION}\n"
    yield f"`{command_line(sys.argv)}`, {when_and_where(search for one in matches for search in one.searches)}.\n"
    yield (__doc__ or "").partition("write it.")[2].partition("Needs ")[0].strip()
    yield f"\nSeeds: {', '.join(map(str, seeds))}; means over them. {EXPLAINED}"
    yield "\n### Difference of the volumes, ours − Optuna\n"
    yield from comparison(matches)
    for model in models:
        some = [one for one in matches if one.model == model]
        minutes = np.mean([one.seconds for one in some]) / 60
        yield f"\n### {model}, {minutes:.0f} minutes each\n"
        yield from table(some)
        yield f"\nThe fronts with seed {seeds[0]}, `~` where the machine was busy:\n"
        yield from fronts(some[0])


def main() -> None:
    """Search, judge, print the tables, and write them into a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=known_models(), metavar="MODEL")
    parser.add_argument("--seeds", type=int, default=3, help="1 to this number")
    parser.add_argument("--trials", type=int, default=60, help="of our search, which sets the time for both")
    parser.add_argument("--least-trials", type=int, help="the loop goes on to so many after the time; --trials")
    parser.add_argument("--train", action="store_true", help="also try methods that train, in both arms")
    parser.add_argument("--warm", action="store_true", help="also the loop with our processes and cache of stages")
    parser.add_argument("--keep", type=Path, help="the folder for searches that have ended; one in the cache")
    parser.add_argument("--write", type=Path, help="the Markdown file whose section is replaced")
    options = parser.parse_args()
    keep = (options.keep or cache_root() / "benchmark-search-real").absolute()
    least_trials = options.trials if options.least_trials is None else options.least_trials
    seeds = range(1, options.seeds + 1)
    lines = report(options.models, seeds, options.trials, least_trials, keep, train=options.train, warm=options.warm)
    print_section(lines, SECTION, options.write)


if __name__ == "__main__":
    main()
