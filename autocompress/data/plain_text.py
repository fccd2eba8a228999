"""Documents in a plain text file."""

from __future__ import annotations

import re
from pathlib import Path

from autocompress.data.delimited import read_utf8
from autocompress.data.rows import Rows


def read_plain_text(path: Path) -> Rows:
    """One column, ``text``: the blocks between blank lines, or the lines of a file that has no blank lines."""
    text = read_utf8(path).strip()
    separator = r"\n[ \t]*\n\s*" if re.search(r"\n[ \t]*\n", text) else r"\n"
    return Rows(str(path), {"text": [block.strip("\n") for block in re.split(separator, text) if block.strip()]})
