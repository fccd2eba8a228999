"""Search the ways to shrink a trained model under limits on quality, size, latency and memory."""

import os
from typing import Any

__version__ = "0.1.0"

# ONNX Runtime and NNCF send usage figures to their makers, the names of models among them. They read this when they are
# imported, in whichever process that is; an environment that says otherwise is heeded.
for _name in ("ORT_DISABLE_TELEMETRY", "NNCF_CI"):
    os.environ.setdefault(_name, "1")


def __getattr__(name: str) -> Any:
    """``autocompress.load``, imported when it is first asked for: commands that load no model should start fast."""
    if name == "load":
        from autocompress.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
