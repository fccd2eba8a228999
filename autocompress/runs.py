"""The run folder: its files and its lock. Light enough for what only looks at runs."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import IO

from autocompress.errors import EnvironmentProblem, RunError


def runs_root() -> Path:
    """``$AUTOCOMPRESS_RUNS``, else ``runs/`` in the working directory."""
    return Path(os.environ.get("AUTOCOMPRESS_RUNS", "runs"))


class RunFolder:
    """``runs/<name>/``: spec, study, events, trials, artifacts and report of one search."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.resolve().name
        self.spec = path / "spec.yaml"
        self.study = path / "study.db"
        self.events = path / "events.jsonl"
        self.baseline = path / "baseline"
        self.report = path / "report"
        self.recipe = path / "recipe.yaml"

    def trial(self, number: int) -> Path:
        """Folder of a trial's log and raw figures."""
        return self.path / "trials" / str(number)

    def artifact(self, number: int) -> Path:
        """Folder of a trial's deployed files."""
        return self.path / "artifacts" / str(number)

    @classmethod
    def create(cls, name: str, root: Path | None = None) -> RunFolder:
        """Make a new run folder.

        Raises:
            RunError: the name is no plain name, or is taken.
            EnvironmentProblem: the folder cannot be made.
        """
        path = _path_of(name, root)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            remedy = f"Go on with `autocompress resume {name}`, or choose another --name."
            raise RunError("a run of this name exists", where=str(path), remedy=remedy) from None
        except OSError as problem:
            raise EnvironmentProblem(f"cannot be made: {problem.strerror}", where=str(path)) from problem
        return cls(path)

    @classmethod
    def open(cls, name: str, root: Path | None = None) -> RunFolder:
        """An existing run, by name or by the path of its folder.

        Raises:
            RunError: there is none; the message lists the nearest or the known ones.
        """
        for path in (Path(name), _path_of(name, root) if _is_plain(name) else Path(name)):
            if (path / "spec.yaml").is_file():
                return cls(path)
        known = [run.name for run in cls.all(root)]
        remedy = (
            f"Known runs: {', '.join(known)}." if known else "There are no runs here yet; see `autocompress search`."
        )
        raise RunError(f"there is no run named {name!r} under {root or runs_root()}", remedy=remedy)

    @classmethod
    def all(cls, root: Path | None = None) -> list[RunFolder]:
        """Every run under the root, newest first."""
        folder = root or runs_root()
        specs = folder.glob("*/spec.yaml") if folder.is_dir() else ()
        return [cls(s.parent) for s in sorted(specs, key=lambda spec: spec.stat().st_mtime, reverse=True)]

    def lock(self) -> IO[str]:
        """Hold the run for one search; freed when the returned file is closed or the process ends.

        Raises:
            RunError: another search holds it.
        """
        handle = (self.path / "lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise RunError(
                f"another search (process {holder}) is working in this run",
                where=str(self.path),
                remedy="Wait for it, stop it, or start a run of another --name.",
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        return handle

    def is_locked(self) -> bool:
        """Whether a search is working in this run now."""
        try:
            self.lock().close()
        except RunError:
            return True
        return False


def _is_plain(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is not None


def _path_of(name: str, root: Path | None) -> Path:
    if not _is_plain(name):
        raise RunError(f"{name!r} is no run name", remedy="Use letters, digits, dots, dashes and underscores.")
    return (root or runs_root()) / name


def fresh_name(stem: str, root: Path | None = None) -> str:
    """``stem``, or ``stem-2``, ``stem-3`` … where it is taken."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:90] or "run"
    candidates = (plain if count == 1 else f"{plain}-{count}" for count in range(1, 10_000))
    return next(name for name in candidates if not _path_of(name, root).exists())
