"""Folders kept between trials under a hash of all that determines their content."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from autocompress.errors import EnvironmentProblem

MANIFEST = "manifest.json"
BUILDING = "building-"
"""How the folders are called that are no entries: those being built, and those being removed."""

STALE_BUILD_SECONDS = 3600
"""A build folder older than this was left by a process that was killed."""


def cache_root() -> Path:
    """``$AUTOCOMPRESS_CACHE``, else ``~/.cache/autocompress``."""
    root = os.environ.get("AUTOCOMPRESS_CACHE")
    return Path(root) if root else Path.home() / ".cache" / "autocompress"


class StageCache:
    """A content-addressed store with a size cap; the least recently used entry goes first.

    An entry is built beside its place and renamed into it, so that two processes never see half of one; its files are
    verified on every read, and a corrupted entry is thrown away and built again.
    """

    def __init__(self, folder: Path, cap_bytes: int) -> None:
        self.folder = folder
        self.cap_bytes = cap_bytes

    @staticmethod
    def key(*determinants: Any) -> str:
        """SHA-256 over plain data that determines the content."""
        return hashlib.sha256(json.dumps(determinants, sort_keys=True, default=str).encode()).hexdigest()

    def find(self, key: str) -> Path | None:
        """The entry's folder, verified, or None."""
        entry = self.folder / key
        if not entry.is_dir():
            return None
        if not _intact(entry):
            _discard(entry)
            return None
        try:
            os.utime(entry)
        except FileNotFoundError:  # another process evicted it meanwhile
            return None
        return entry

    def find_or_build(self, key: str, build: Callable[[Path], None]) -> tuple[Path, bool]:
        """The entry's folder, and whether it was there already; ``build`` fills an empty folder.

        Raises:
            EnvironmentProblem: the disk is full.
        """
        found = self.find(key)
        if found:
            return found, True
        fresh: Path | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=BUILDING, dir=self.folder))
            build(fresh)
            _write_manifest(fresh)
            try:
                fresh.rename(self.folder / key)
            except OSError as problem:
                if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise  # else another process was faster: its entry is as good
        except OSError as problem:
            raise EnvironmentProblem(
                f"the stage cache cannot be written: {problem.strerror}",
                where=str(self.folder),
                remedy="Free disk space, or point AUTOCOMPRESS_CACHE elsewhere.",
            ) from problem
        finally:
            if fresh is not None:
                shutil.rmtree(fresh, ignore_errors=True)
        self._evict(keep=key)
        return self.folder / key, False

    def _evict(self, keep: str) -> None:
        """Remove the least recently used entries until the rest fits under the cap."""
        entries = []
        for entry in self.folder.iterdir():
            try:
                size = sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
                entries.append((entry.stat().st_mtime, size, entry))
            except FileNotFoundError:  # another process evicted it meanwhile
                continue
        total = sum(size for _, size, _ in entries)
        for used, size, entry in sorted(entries):
            if entry.name.startswith(BUILDING):
                disposable = time.time() - used > STALE_BUILD_SECONDS
            else:
                disposable = total > self.cap_bytes and entry.name != keep
            if disposable:
                _discard(entry)
                total -= size


def _discard(entry: Path) -> None:
    """Remove an entry; renamed first, so that no other process sees half of it."""
    doomed = entry.with_name(f"{BUILDING}{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):  # another process was faster
        entry.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _digests(entry: Path) -> dict[str, str]:
    digests = {}
    for file in sorted(entry.rglob("*")):
        if file.is_file() and file.name != MANIFEST:
            with file.open("rb") as stream:
                digests[file.relative_to(entry).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


def _write_manifest(entry: Path) -> None:
    (entry / MANIFEST).write_text(json.dumps(_digests(entry), indent=1), encoding="utf-8")


def _intact(entry: Path) -> bool:
    try:
        return bool(json.loads((entry / MANIFEST).read_text(encoding="utf-8")) == _digests(entry))
    except (OSError, ValueError):  # damaged, or evicted by another process meanwhile
        return False
