"""How a lack of memory shows: the words of Python, C++, Rust and the runtimes."""

from __future__ import annotations

import re

_LACK_OF_MEMORY = re.compile(
    r"MemoryError|out of memory|can(?:'t|not) allocate|bad_alloc|bad allocation|failed to allocate"
    r"|memory allocation of"  # Rust
    r"|_ALLOC_FAILED",  # cuBLAS, cuDNN
    re.IGNORECASE,
)
_OF_A_DEVICE = re.compile(r"CUDA|CUBLAS|CUDNN")


def tells_lack_of_memory(text: str) -> bool:
    """Whether an error message or the end of a log says that memory ran out."""
    return _LACK_OF_MEMORY.search(text) is not None


def is_of_a_device(text: str) -> bool:
    """Whether it was device memory rather than main memory."""
    return _OF_A_DEVICE.search(text) is not None
