"""What a benchmark has measured so far, kept in a file, so that one that was interrupted goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Ledger:
    """Entries of plain data by key; each is on the disk as soon as it is kept.

    Args:
        path: a JSON file, read if it exists; None keeps entries in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        known = path is not None and path.exists()
        self.entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path and known else {}

    def keep(self, key: str, entry: Any) -> None:
        """Write an entry down."""
        self.entries[key] = entry
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.write_text(json.dumps(self.entries, indent=1), encoding="utf-8")
        fresh.replace(self.path)
