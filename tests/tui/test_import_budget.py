"""What the terminal UI never loads: a search's libraries cost it seconds at its start and hundreds of megabytes."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import autocompress.tui

HEAVY = (
    *("torch", "optuna", "transformers", "pydantic", "numpy", "scipy", "sqlalchemy", "pandas", "sklearn"),
    *("onnx", "onnxruntime", "openvino", "PIL", "matplotlib"),
)

IMPORTED = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
print(*(name for name in sys.argv[1].split(",") if name in sys.modules))
"""


def interpreted(code: str, *arguments: object) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code, ",".join(HEAVY), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_module_of_the_ui_loads_a_library_of_the_search() -> None:
    names = [module.name for module in pkgutil.walk_packages(autocompress.tui.__path__, "autocompress.tui.")]
    assert {"autocompress.tui.app", "autocompress.tui.frame", "autocompress.tui.screens.dashboard"} <= set(names)
    assert interpreted(IMPORTED, *names).split() == []
