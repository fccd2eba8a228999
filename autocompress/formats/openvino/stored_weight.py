"""A weight as the files hold it and as the runtime gets it, and the file of those that only our loader decodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autocompress.encodings import Encoding, GroupedIntegers
from autocompress.errors import ModelError
from autocompress.formats.openvino.weight_nodes import for_runtime, int8_rows, is_native
from autocompress.model_state import pack_encodings, unpack_encodings

PACKED_FILE = "packed.safetensors"
HEADERS = "weights"

Int8 = Literal["row", "whole"]


@dataclass(frozen=True)
class StoredWeight:
    """A weight's encoding, and whether the loader turns its values into int8, a scale per row or for the whole."""

    encoding: Encoding
    int8: Int8 | None = None

    @property
    def is_native(self) -> bool:
        """Whether it stands in the graph itself."""
        return self.int8 is None and is_native(self.encoding)

    @property
    def runtime_form(self) -> Encoding:
        """What the runtime gets."""
        if self.int8 is None:
            return for_runtime(self.encoding)
        integers: GroupedIntegers = int8_rows(self.encoding.decode(), per_channel=self.int8 == "row")
        return integers


def write_packed(weights: Mapping[str, StoredWeight], folder: Path) -> None:
    """Write the weights that do not stand in the graphs; no file where there are none."""
    from safetensors.numpy import save_file

    if not weights:
        return
    parts, headers = pack_encodings({name: weight.encoding for name, weight in weights.items()})
    entries = {name: {"encoding": headers[name], "int8": weight.int8} for name, weight in weights.items()}
    metadata = {HEADERS: json.dumps(entries, sort_keys=True, separators=(",", ":"))}
    save_file(parts, folder / PACKED_FILE, metadata=metadata)


def read_packed(folder: Path) -> dict[str, StoredWeight]:
    """What `write_packed` wrote, nothing where there is no file.

    Raises:
        ModelError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / PACKED_FILE
    if not path.exists():
        return {}
    try:
        with safe_open(path, framework="numpy") as file:
            entries: dict[str, Any] = json.loads((file.metadata() or {})[HEADERS])
            parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
        encodings = unpack_encodings(parts, {name: entry["encoding"] for name, entry in entries.items()})
    except (SafetensorError, ValueError, KeyError) as problem:
        raise ModelError(f"the weights cannot be read: {problem}", where=str(path)) from None
    return {name: StoredWeight(encodings[name], entries[name]["int8"]) for name in entries}
