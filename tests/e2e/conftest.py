"""The command line for each test, and one finished run for the tests that only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage cache of the tests that are not about it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(tmp_path: Path, warm_cache: Path) -> Iterator[CommandLine]:
    """Commands in a folder of the test's own; all that they started must end by itself."""
    command_line = CommandLine(tmp_path, warm_cache)
    yield command_line
    command_line.assert_nothing_runs()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Iterator[CommandLine]:
    """A folder with the finished run ``done``; not to be changed."""
    command_line = CommandLine(tmp_path_factory.mktemp("finished"), warm_cache)
    command_line.search("--name", "done", "--trials", 5, "--max-quality-drop", "10pp")
    yield command_line
    command_line.assert_nothing_runs()
