"""The two themes, with Okabe and Ito's colours, which the colour-blind can tell apart; and glyphs that say the same.

Colour never says anything alone: each status and each latency bucket has a shape of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.theme import Theme

DARK = Theme(
    name="autocompress-dark",
    primary="#56B4E9",
    secondary="#CC79A7",
    accent="#E69F00",
    foreground="#E4E7EB",
    background="#101418",
    surface="#171C22",
    panel="#1F262E",
    success="#2FBF9B",
    warning="#E69F00",
    error="#F0703A",
    dark=True,
    variables={
        "front": "#2FBF9B",
        "feasible": "#E4E7EB",
        "infeasible": "#7D8894",
        "fast": "#56B4E9",
        "middling": "#E69F00",
        "slow": "#F0703A",
        "limit": "#CC79A7",
        "quiet": "#8A95A1",
        "block-cursor-background": "#24567A",
        "block-cursor-foreground": "#FFFFFF",
        "footer-key-foreground": "#E69F00",
    },
)
LIGHT = Theme(
    name="autocompress-light",
    primary="#0072B2",
    secondary="#A0467C",
    accent="#9A6500",
    foreground="#1B2127",
    background="#FAFAF7",
    surface="#F1F2EE",
    panel="#E6E8E3",
    success="#00785A",
    warning="#9A6500",
    error="#B34700",
    dark=False,
    variables={
        "front": "#00785A",
        "feasible": "#1B2127",
        "infeasible": "#767C82",
        "fast": "#0072B2",
        "middling": "#9A6500",
        "slow": "#B34700",
        "limit": "#A0467C",
        "quiet": "#5E666E",
        "block-cursor-background": "#B9DCF2",
        "block-cursor-foreground": "#000000",
        "footer-key-foreground": "#9A6500",
    },
)
THEMES = (DARK, LIGHT)


@dataclass(frozen=True)
class Glyphs:
    """The characters that the screens are drawn with."""

    front: str = "★"
    feasible: str = "✓"
    violates: str = "✗"
    unsupported: str = "⊘"
    failed: str = "!"
    running: str = "▶"
    cancelled: str = "–"
    original: str = "◎"
    best: str = "◆"
    marked: str = "●"
    done: str = "✓"
    waiting: str = "○"
    cached: str = "≡"
    paused: str = "‖"
    arrow: str = " → "
    times: str = "×"
    at_most: str = "≤"
    at_least: str = "≥"
    contended: str = "~"
    not_measured: str = "–"
    ellipsis: str = "…"
    up: str = "▲"
    down: str = "▼"
    fast: str = "●"
    middling: str = "■"
    slow: str = "▲"
    bar_full: str = "━"
    bar_empty: str = "─"
    minus: str = "−"
    is_ascii: bool = False

    def shortened(self, text: str, width: int) -> str:
        """The text in so many cells."""
        return text if len(text) <= width else f"{text[: max(0, width - 1)]}{self.ellipsis}"

    def plain(self, text: str) -> str:
        """The text in characters of this set; sentences of the search come with typographic ones."""
        return text.translate(_ASCII).encode("ascii", "replace").decode() if self.is_ascii else text


_ASCII = str.maketrans(
    {
        "→": ">",
        "×": "x",
        "≤": "<=",
        "≥": ">=",
        "–": "-",
        "−": "-",
        "…": "...",
        "·": "-",
        "±": "+-",
        "≈": "~",
        "★": "*",
        "✓": "+",
        "✗": "x",
        "⊘": "0",
        "▶": ">",
        "◎": "O",
        "◆": "@",
        "●": "o",
        "▲": "^",
        "▼": "v",
        "“": '"',
        "”": '"',
        "’": "'",
        "µ": "u",
        "␣": "_",
        "↑": "up",
        "↓": "down",
        "←": "left",
        "\u202f": " ",
        "\xa0": " ",
    }
)

UNICODE = Glyphs()
ASCII = Glyphs(
    front="*",
    feasible="+",
    violates="x",
    unsupported="0",
    running=">",
    cancelled="-",
    original="O",
    best="@",
    marked="o",
    done="+",
    waiting=".",
    cached="=",
    paused="|",
    arrow=" > ",
    times="x",
    at_most="<=",
    at_least=">=",
    not_measured="-",
    ellipsis="~",
    up="^",
    down="v",
    fast="o",
    middling="#",
    slow="^",
    bar_full="=",
    bar_empty="-",
    minus="-",
    is_ascii=True,
)
