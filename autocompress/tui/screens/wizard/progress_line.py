"""How far something is, as one line of text."""

from __future__ import annotations

from autocompress.tui.theme import Glyphs

WIDTH = 24


def progress_line(what: str, share: float | None, glyphs: Glyphs) -> str:
    """``timing the original  ━━━━━━────── 42 %``; without the bar where nobody knows."""
    if share is None:
        return f"{what} {glyphs.ellipsis}"
    full = round(min(1.0, max(0.0, share)) * WIDTH)
    return f"{what}  {glyphs.bar_full * full}{glyphs.bar_empty * (WIDTH - full)} {share * 100:3.0f} %"
