"""The built wheel, in an environment that holds nothing else, runs the demo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]


def run(*command: object, cwd: Path, **environment: str) -> str:
    ended = subprocess.run(
        [*map(str, command)], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=1200
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_wheel_in_an_empty_environment_runs_the_demo(tmp_path: Path) -> None:
    run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", CHECKOUT,
        cwd=tmp_path,
    )  # fmt: skip
    (wheel,) = (tmp_path / "dist").glob("autocompress-*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", CHECKOUT / "constraints.txt", f"autocompress[cpu] @ {wheel.as_uri()}",
        cwd=tmp_path,
    )  # fmt: skip
    environment = {"AUTOCOMPRESS_RUNS": "runs", "AUTOCOMPRESS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": ""}
    told = run(python.with_name("autocompress"), "demo", "--trials", 3, cwd=tmp_path, **environment)
    assert "Recipe: runs/demo/recipe.yaml" in told
    recipe = yaml.safe_load((tmp_path / "runs" / "demo" / "recipe.yaml").read_text())
    assert recipe["versions"]["autocompress"] in wheel.name
    assert Path(run(python, "-c", "import autocompress; print(autocompress.__file__)", cwd=tmp_path)).is_relative_to(
        tmp_path
    )
