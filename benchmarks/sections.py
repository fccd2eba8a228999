"""Sections of a Markdown document, each written by the benchmark that printed it and by nothing else."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autocompress.measure.environment import cpu_name

HEADER = """# Benchmarks

Each section was printed by the command at its top, on the day and the machine that it names; nothing is edited by hand.
A section that isn't here was not measured yet:

    python benchmarks/latency_accuracy.py --write docs/benchmarks.md
    python benchmarks/latency_repeats.py --write docs/benchmarks.md
    python benchmarks/certify.py --write docs/benchmarks.md
    python benchmarks/search_real.py --write docs/benchmarks.md
    python benchmarks/search_simulated.py --seeds 20 --write docs/benchmarks.md
    python benchmarks/estimates.py --write docs/benchmarks.md
"""

UNSHOWN = ("--write", "--keep", "--processes")


def today() -> str:
    """The day, as sections tell it."""
    return datetime.now(tz=UTC).strftime("%Y-%m-%d")


def this_machine() -> str:
    """What the figures were taken on, as sections tell it."""
    return f"{len(os.sched_getaffinity(0))} cores of {cpu_name()}"


def command_line(arguments: Sequence[str]) -> str:
    """What was called, without the options that change no figure."""
    script, *given = arguments
    shown = [f"python benchmarks/{Path(script).name}"]
    left_out = False
    for argument in given:
        left_out = argument in UNSHOWN or (left_out and not argument.startswith("--"))
        if not left_out and argument.partition("=")[0] not in UNSHOWN:
            shown.append(shlex.quote(argument))
    return " ".join(shown)


def when_and_where(entries: Iterable[Mapping[str, Any]]) -> str:
    """Of figures that were kept with their ``day`` and ``machine``, as sections tell it."""
    kept = list(entries)
    days, machines = sorted({entry["day"] for entry in kept}), sorted({entry["machine"] for entry in kept})
    return f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, {' and '.join(machines)}"


def with_section(text: str, heading: str, section: str) -> str:
    """The document with the section of this heading replaced, or added at the end.

    Args:
        text: the document so far; may be empty.
        heading: the section's first line, of the second level (``## …``).
        section: its lines, heading included.
    """
    own = re.search(rf"^{re.escape(heading)}$", text, flags=re.MULTILINE)
    before, rest = (text[: own.start()], text[own.end() :]) if own else (text or HEADER, "")
    after = re.search(r"^## ", rest, flags=re.MULTILINE)
    parts = [before.strip(), section.strip(), rest[after.start() :].strip() if after else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def print_section(lines: Iterable[str], heading: str, document: Path | None) -> None:
    """Print a section line by line as it comes about, and put it into the document, if one is named."""
    printed = []
    for line in lines:
        print(line, flush=True)
        printed.append(line)
    if document is not None:
        text = document.read_text(encoding="utf-8") if document.exists() else ""
        document.write_text(with_section(text, heading, "\n".join(printed)), encoding="utf-8")
