"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder with trained models and data; tests that need it are skipped without it."""
    folder = os.environ.get("AUTOCOMPRESS_ASSETS")
    if not folder or not (Path(folder) / "models").is_dir():
        pytest.skip("AUTOCOMPRESS_ASSETS names no folder with models/ and data/")
    return Path(folder).resolve()


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's stage cache; all tests of a session share one."""
    root = tmp_path_factory.getbasetemp() / "autocompress-cache"
    monkeypatch.setenv("AUTOCOMPRESS_CACHE", str(root))
