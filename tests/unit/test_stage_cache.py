"""The stage cache, with real files, real races and a disk that is really full."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autocompress.errors import EnvironmentProblem
from autocompress.stage_cache import MANIFEST, STALE_BUILD_SECONDS, StageCache, cache_root

RACE = """
import sys
from pathlib import Path
from autocompress.stage_cache import StageCache

cache = StageCache(Path(sys.argv[1]), cap_bytes=int(sys.argv[2]))
for turn in range(200):
    key = StageCache.key(turn % 2)
    def build(folder):
        (folder / "model").mkdir()
        for number in range(8):
            (folder / "model" / str(number)).write_bytes(key.encode() * 20)
    cache.find_or_build(key, build)
"""

FULL_DISK = """
import resource, sys
from pathlib import Path
from autocompress.errors import EnvironmentProblem
from autocompress.stage_cache import StageCache

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
cache = StageCache(Path(sys.argv[1]), cap_bytes=10**9)
try:
    cache.find_or_build("key", lambda folder: (folder / "weights").write_bytes(bytes(10_000)) and None)
except EnvironmentProblem as problem:
    print(problem)
"""


class Builds:
    """Builds an entry and counts how often."""

    def __init__(self, content: bytes = b"weights") -> None:
        self.count = 0
        self.content = content

    def __call__(self, folder: Path) -> None:
        assert list(folder.iterdir()) == []
        self.count += 1
        (folder / "deep").mkdir()
        (folder / "deep" / "weights").write_bytes(self.content)
        (folder / "config.json").write_text("{}")


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(tmp_path / "stages", cap_bytes=10**9)


def test_an_entry_is_built_once_and_found_afterwards(cache: StageCache) -> None:
    build = Builds()
    first, was_there = cache.find_or_build("key", build)
    assert not was_there
    second, was_there = cache.find_or_build("key", build)
    assert was_there
    assert build.count == 1
    assert first == second == cache.find("key")
    assert (second / "deep" / "weights").read_bytes() == b"weights"


def test_what_was_not_built_is_not_found(cache: StageCache) -> None:
    assert cache.find("key") is None


def test_a_key_depends_on_every_determinant_and_on_nothing_else() -> None:
    assert StageCache.key("m", {"a": 1, "b": 2}) == StageCache.key("m", {"b": 2, "a": 1})
    keys = {StageCache.key(*determinants) for determinants in [("a", "b"), ("ab",), ("a", "b", None), ("b", "a")]}
    assert len(keys) == 4


@pytest.mark.parametrize("harm", ["flip", "cut", "missing", "extra", "no manifest", "torn manifest", "odd manifest"])
def test_a_damaged_entry_is_built_again(cache: StageCache, harm: str) -> None:
    build = Builds()
    entry, _ = cache.find_or_build("key", build)
    weights, manifest = entry / "deep" / "weights", entry / MANIFEST
    match harm:
        case "flip":
            weights.write_bytes(b"Weights")
        case "cut":
            weights.write_bytes(b"weigh")
        case "missing":
            weights.unlink()
        case "extra":
            (entry / "deep" / "more").write_bytes(b"")
        case "no manifest":
            manifest.unlink()
        case "torn manifest":
            manifest.write_text(manifest.read_text()[:10])
        case "odd manifest":
            manifest.write_bytes(b"\xff[]")
    assert cache.find("key") is None
    again, was_there = cache.find_or_build("key", build)
    assert (was_there, build.count) == (False, 2)
    assert (again / "deep" / "weights").read_bytes() == b"weights"
    assert cache.find("key") == again


def test_over_the_cap_the_least_recently_used_entry_goes_first(tmp_path: Path) -> None:
    cache = StageCache(tmp_path, cap_bytes=4_500)
    for age, key in enumerate(("a", "b", "c")):
        entry, _ = cache.find_or_build(key, Builds(bytes(1_000)))
        os.utime(entry, (1_000 + age, 1_000 + age))
    assert cache.find("a") is not None  # used now, so `b` is the oldest
    cache.find_or_build("d", Builds(bytes(1_000)))
    assert {key for key in "abcd" if cache.find(key)} == {"a", "c", "d"}


def test_an_entry_larger_than_the_cap_is_kept_for_its_builder(tmp_path: Path) -> None:
    cache = StageCache(tmp_path, cap_bytes=10)
    cache.find_or_build("old", Builds())
    entry, _ = cache.find_or_build("large", Builds(bytes(1_000)))
    assert cache.find("large") == entry
    assert cache.find("old") is None


def test_what_a_killed_process_left_half_built_is_cleared_away_in_time(cache: StageCache) -> None:
    for name, age in (("building-dead", STALE_BUILD_SECONDS + 60), ("building-alive", 60)):
        (cache.folder / name).mkdir(parents=True)
        os.utime(cache.folder / name, (time.time() - age,) * 2)
    cache.find_or_build("key", Builds())
    assert {entry.name for entry in cache.folder.iterdir()} == {"key", "building-alive"}


def test_a_build_that_fails_leaves_nothing_behind(cache: StageCache) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.find_or_build("key", fail)
    assert list(cache.folder.iterdir()) == []


@pytest.mark.parametrize("cap_bytes", [10**9, 1])
def test_processes_that_build_and_evict_at_the_same_time_do_not_disturb_each_other(
    tmp_path: Path, cap_bytes: int
) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path), str(cap_bytes)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [racer.communicate()[1] for racer in racers] == [""] * len(racers)
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith("building-")]


def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert told.stdout.startswith(f"{tmp_path}: the stage cache cannot be written: File too large. Free disk space")
    assert told.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="cannot be written: Not a directory"):
        StageCache(tmp_path / "file" / "stages", cap_bytes=10**9).find_or_build("key", Builds())


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOCOMPRESS_CACHE", "/somewhere")
    assert cache_root() == Path("/somewhere")
    monkeypatch.delenv("AUTOCOMPRESS_CACHE")
    assert cache_root() == Path.home() / ".cache" / "autocompress"
