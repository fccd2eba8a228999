"""The demo problem on disk: made once, then kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from autocompress.errors import EnvironmentProblem
from autocompress.spec import SearchSpec

VERSION = "digits-vit-1"
"""Changes whenever the training does, so that an older model is not taken for the present one."""


def prepare_demo(folder: Path, progress: Callable[[int, int], None]) -> tuple[Path, Path]:
    """The trained model's folder and the data file; trained under ``folder`` in a child process when first asked for.

    Args:
        folder: where to keep it.
        progress: called with (epochs done, all epochs).

    Raises:
        EnvironmentProblem: the training failed; tells its last line.
    """
    kept = folder / VERSION
    if not kept.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="training-", dir=folder))
        try:
            _train(fresh, progress)
            fresh.rename(kept)
        except OSError as problem:
            if not kept.is_dir():  # else another process was faster
                raise EnvironmentProblem(f"cannot be written: {problem.strerror}", where=str(kept)) from problem
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return kept / "model", kept / "digits.npz"


def _train(folder: Path, progress: Callable[[int, int], None]) -> None:
    command = [sys.executable, "-m", "autocompress.demo.training", str(folder)]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True) as child,
    ):
        assert child.stdout is not None
        try:
            for line in child.stdout:
                done, _, total = line.strip().partition(" ")
                if done.isdecimal() and total.isdecimal():
                    progress(int(done), int(total))
        except BaseException:  # Ctrl-C, too: nobody would use what it goes on to train
            child.kill()
            raise
        if child.wait() != 0:
            complaints.seek(0)
            last = (complaints.read().strip().splitlines() or ["no message"])[-1]
            raise EnvironmentProblem(
                f"the demo's model could not be trained: {last}", remedy="Run autocompress doctor."
            )


def demo_spec(model: Path, data: Path) -> SearchSpec:
    """The demo's search: at most one percentage point of accuracy may be lost."""
    return SearchSpec.model_validate(
        {
            "model": {"path": str(model)},
            "data": {
                "path": str(data),
                "columns": {"image": "test_images", "label": "test_labels"},
                "fractions": (0.1, 0.45, 0.45),
            },
            "constraints": {"quality_drop": "1pp"},
            "budget": {"trials": 16},
        }
    )
