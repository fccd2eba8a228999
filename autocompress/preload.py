"""What the parent of all children imports once, so that a trial starts in a fraction of a second.

Nothing here may start a thread, a parallel region or a CUDA context: children are forked from this process.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module
from importlib.util import find_spec

HEAVY_MODULES = (
    "torch",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.generation.utils",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.cluster",
    "onnx",
    "onnxruntime",
    "onnxruntime.quantization",
    "openvino",
    "optimum.exporters.onnx",
    "autocompress.trial",
    "autocompress.measure.latency",
    "autocompress.measure.memory",
    "autocompress.measure.quality",
)


def preload() -> None:
    """Import what is installed of the heavy modules, and every plug-in; give up when the search is gone."""
    from autocompress import registry

    parent = os.getppid()
    for name in HEAVY_MODULES:
        if os.getppid() != parent:  # a refused search has ended within a second: the rest would warm nobody
            os._exit(0)
        if find_spec(name.partition(".")[0]) is not None:
            import_module(name)
    for family in ("methods", "formats", "tasks"):
        registry.load_all(family)


# A child's output is a log: bars say nothing there, and each would leave a semaphore behind.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
# Threads of a step that wait for one another are to yield soon, not after milliseconds: on a busy machine that made
# training up to twenty times slower.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Ctrl-C in a terminal reaches this process too, but it is the search that answers it.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked while Python started
preload()
