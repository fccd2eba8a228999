"""Search the ways to shrink a trained model under limits on quality, size, latency and memory."""

__version__ = "0.1.0"
