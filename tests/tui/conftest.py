"""A run that the screens can be opened over."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(Path(__file__).parents[1] / "e2e"))  # command_line.py, for tests over searches


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """``benchmarks/synthetic_run.py``, which makes runs up."""
    found = spec_from_file_location("synthetic_run", BENCHMARKS / "synthetic_run.py")
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def synthetic_run(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of sixty trials, the last of which still runs; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "synthetic"
    synthetic.write_run(folder, 60)
    return folder
