"""`--help` answers at once because it imports next to nothing."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import sys
sys.argv = ["autocompress", "--help"]
from autocompress.__main__ import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def test_help_is_told_without_pydantic_and_without_anything_heavy() -> None:
    told = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert "Usage" in told.stdout
    imported = set(told.stderr.split())
    assert not imported & {"pydantic", "numpy", "optuna", "torch", "transformers", "onnxruntime", "sqlalchemy"}
