"""Begin a search in a new run folder, or go on with one; and look at a run without touching it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autocompress.control import Tail
from autocompress.errors import EnvironmentProblem, RunError
from autocompress.event_log import EventLog
from autocompress.events import Event, TrialNoted
from autocompress.objectives import original_among, pareto_front
from autocompress.outcome import Outcome
from autocompress.records import TrialRecord
from autocompress.runs import RunFolder, fresh_name
from autocompress.search.interrupts import Interrupts
from autocompress.search.launcher import Launcher
from autocompress.search.preflight import check
from autocompress.search.search import Search
from autocompress.search.steering import NoteTrial
from autocompress.search.study import Study, sqlite_url
from autocompress.spec import SearchSpec
from autocompress.spec_file import read_spec, write_spec
from autocompress.strict import validate

LEAST_FREE_BYTES = 50_000_000


@dataclass(frozen=True)
class RunView:
    """A run as it stands, finished or not: what reports and exports are made of."""

    folder: RunFolder
    spec: SearchSpec
    study: Study
    records: tuple[TrialRecord, ...]
    outcome: Outcome | None

    @property
    def original(self) -> TrialRecord:
        """Trial 0.

        Raises:
            RunError: the search has not measured it yet.
        """
        found = original_among(self.records)
        if found is None:
            remedy = f"Go on with `autocompress resume {self.folder.name}`."
            raise RunError("the run has not measured the original yet", where=str(self.folder.path), remedy=remedy)
        return found

    @property
    def front(self) -> frozenset[int]:
        """Numbers of the trials on the Pareto front so far."""
        return pareto_front(self.records, self.original)


def view_run(name: str) -> RunView:
    """Read a run from its storage.

    Raises:
        RunError: there is no such run.
    """
    folder = RunFolder.open(name)
    spec = read_spec(folder.spec)
    study = Study.open(folder.name, _storage_url(spec, folder))
    return RunView(folder, spec, study, tuple(study.records()), study.outcome)


def start_search(spec: SearchSpec, on_event: Callable[[Event], None]) -> Outcome:
    """Check the spec, make the run folder, and search.

    Raises:
        AutocompressError: the spec, the model or the data cannot be used, or this machine lacks something.
        KeyboardInterrupt: passed on, with all that was found so far kept.
    """
    launcher = Launcher(spec.device)
    launcher.warm()  # its imports take seconds: let them run beside the checks
    checked = check(spec)
    name = spec.name or fresh_name(Path(spec.model.path).stem)
    spec = spec.resolved_against(Path.cwd()).model_copy(update={"name": name})  # to be resumed from any folder
    with Interrupts() as interrupts:
        folder = RunFolder.create(name)
        try:
            _require_space(folder)
            write_spec(spec, folder.spec)
            with _locked(folder) as tail:
                study = Study.create(name, _storage_url(spec, folder), spec)
                search = Search(folder, study, checked, launcher, on_event, tail, interrupts)
                return search.carry_out(spec.budget.trials)
        except BaseException:
            if not _has_records(folder):
                shutil.rmtree(folder.path, ignore_errors=True)  # nothing was found out: leave no empty run behind
            raise


def resume_search(name: str, trials: int | None, on_event: Callable[[Event], None]) -> Outcome:
    """Go on with a run, up to ``trials`` recipes in all (the spec's number when None).

    Raises:
        RunError: there is no such run, or another search works in it.
    """
    folder = RunFolder.open(name)
    with _locked(folder) as tail, Interrupts() as interrupts:
        spec = read_spec(folder.spec)
        launcher = Launcher(spec.device)
        launcher.warm()
        checked = check(spec)
        study = Study.open(folder.name, _storage_url(spec, folder))
        search = Search(folder, study, checked, launcher, on_event, tail, interrupts)
        return search.carry_out(trials or spec.budget.trials)


def keep_note(name: str, number: int, text: str) -> str:
    """Keep a text with a trial of a run that no search works in; tells what was done.

    Raises:
        RunError: there is no such run or trial, or a search works in it.
        UsageError: the text is empty or too long.
    """
    note = validate(NoteTrial, {"number": number, "text": text})
    folder = RunFolder.open(name)
    with _locked(folder):
        study = Study.open(folder.name, _storage_url(read_spec(folder.spec), folder))
        study.add_note(note.number, note.text)
        EventLog(folder.events).append(TrialNoted, number=note.number, text=note.text)
    return f"noted with trial {note.number}"


def _storage_url(spec: SearchSpec, folder: RunFolder) -> str:
    return spec.storage or sqlite_url(folder.study)


@contextmanager
def _locked(folder: RunFolder) -> Iterator[Tail]:
    """Hold the run; gives what is asked of its search from now on."""
    with folder.lock():
        yield Tail(folder.path)


def _require_space(folder: RunFolder) -> None:
    free_bytes = shutil.disk_usage(folder.path).free
    if free_bytes < LEAST_FREE_BYTES:
        raise EnvironmentProblem(
            f"only {free_bytes / 1e6:.0f} MB are free on the disk",
            where=str(folder.path),
            remedy="Free disk space, or set AUTOCOMPRESS_RUNS to a folder on another disk.",
        )


def _has_records(folder: RunFolder) -> bool:
    return folder.events.exists() and any('"trial_finished"' in line for line in folder.events.open(encoding="utf-8"))
