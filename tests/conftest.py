"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Small models gain nothing from threads, and threads that wait for one another stand still on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts background jobs so, and their children ignore Ctrl-C for ever, too: the tests
    # that send it need it answered.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``gpu`` where there is no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    reason = _why_no_cuda() if marked else None
    for item in marked:
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"needs a CUDA device: {reason}"))


def _why_no_cuda() -> str | None:
    from autocompress.measure.nvml import why_no_device

    reason = why_no_device()
    if reason is None:
        import torch

        reason = None if torch.cuda.is_available() else "torch is built without CUDA"
    return reason


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
