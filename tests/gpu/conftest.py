"""Tests of what depends on the device: each runs on the CPU everywhere, and on CUDA where `make gpu-check` is run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "e2e"))  # the command line as tests drive it


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """``cpu``, then ``cuda``."""
    return str(request.param)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[object]:
    """Commands in a folder of the test's own; all that they started must end by itself."""
    from command_line import CommandLine

    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.assert_nothing_runs()
