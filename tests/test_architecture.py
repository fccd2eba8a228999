"""The rules of the architecture: who may import whom, and what the parent process never loads."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import autocompress

PROJECT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "onnxruntime", "onnx", "openvino", "nncf", "optimum", "sklearn", "pandas")

PRELOAD = "autocompress.preload"  # its purpose is to import what is heavy
# What only an export or a session needs.
INSIDE_FORMATS = ("autocompress.formats.onnx.", "autocompress.formats.openvino.")

LOADED = """
import importlib, sys
from autocompress import registry
for name in sys.argv[2:]:
    importlib.import_module(name)
for family in ("methods", "formats", "tasks"):
    for kind in registry.load_all(family).values():
        if family != "methods":
            kind()
print(*(name for name in sys.argv[1].split(",") if name in sys.modules))
"""

HELP = """
import sys
from autocompress.__main__ import main
sys.argv = ["autocompress", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *(name for name in ("numpy", "optuna", "torch") if name in sys.modules))
"""


def interpreted(*arguments: str) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules() -> list[str]:
    return [module.name for module in pkgutil.walk_packages(autocompress.__path__, "autocompress.")]


def test_no_module_of_the_parent_and_no_plug_in_loads_a_heavy_library() -> None:
    names = [
        name for name in modules() if name != PRELOAD and not (name.startswith(INSIDE_FORMATS) and name.count(".") > 2)
    ]
    assert "autocompress.search.session" in names
    assert interpreted("-c", LOADED, ",".join(HEAVY), *names).split() == []


def test_help_answers_without_loading_what_a_search_needs() -> None:
    told = interpreted("-c", HELP)
    assert "search" in told
    assert told.splitlines()[-1].split() == ["LOADED"]


@pytest.mark.parametrize("family", ["methods", "formats", "tasks"])
def test_listing_plug_ins_imports_none(family: str) -> None:
    code = (
        f"import sys; from autocompress import registry; registry.names({family!r}); "
        f"print(*(name for name in sys.modules if name.startswith('autocompress.{family}')))"
    )
    assert interpreted("-c", code).split() == []


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed beside this Python")
    done = subprocess.run([lint, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
