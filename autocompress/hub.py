"""Whether the Hugging Face hub can be reached, found out in a second rather than by a library's retries."""

from __future__ import annotations

import os
import re
import socket
import threading
from functools import cache
from urllib.parse import urlparse

REACH_SECONDS = 1.0
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def is_hub_id(path: str) -> bool:
    """Whether a path that does not exist here may be meant as ``owner/name`` or ``name`` on the hub."""
    return _HUB_ID.fullmatch(path) is not None


@cache
def hub_reachable() -> bool:
    """Whether a connection to the hub, or to the proxy on the way, can be opened within about a second."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlparse(proxy or os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    reached: list[bool] = []

    def connect() -> None:
        try:
            with socket.create_connection((address.hostname, address.port or 443), timeout=REACH_SECONDS):
                reached.append(True)
        except OSError:
            reached.append(False)

    # In a thread of its own: looking up a name heeds no timeout.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(2 * REACH_SECONDS)
    return bool(reached) and reached[0]
