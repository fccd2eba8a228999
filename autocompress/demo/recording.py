"""The events of a real search over the demo problem, kept to be played back where nothing is installed or trained.

Make it anew: ``autocompress demo --name recorded``, then
``python -m autocompress.demo.recording runs/recorded/events.jsonl``.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

RECORDING = Path(__file__).with_name("recording.jsonl.gz")
MODEL = "digits-vit/model"
"""The model as the recording calls it; where it lay on the machine that recorded it is nobody's concern."""


def recorded_lines() -> list[bytes]:
    """The events, one line of JSON each."""
    with gzip.open(RECORDING) as stream:
        return stream.readlines()


def record(log: Path) -> None:
    """Keep the events of a finished search as the recording."""
    lines = log.read_text(encoding="utf-8").splitlines()
    model = next(event["model"] for event in map(json.loads, lines) if event["kind"] == "run_started")
    text = "".join(line.replace(model, MODEL) + "\n" for line in lines).replace('"name":"recorded"', '"name":"demo"')
    RECORDING.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    record(Path(sys.argv[1]))
