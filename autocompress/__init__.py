"""Search the ways to shrink a trained model under limits on quality, size, latency and memory."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``autocompress.load``, imported when it is first asked for: commands that load no model should start fast."""
    if name == "load":
        from autocompress.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
