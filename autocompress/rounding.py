"""Numbers as text: significant figures and shares; the standard library alone."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"


def significant(value: float, digits: int = 3) -> str:
    """A number to so many significant figures, without an exponent: ``0.254``, ``5.52``, ``17700``."""
    if not math.isfinite(value):
        return "∞" if value > 0 else f"{MINUS}∞" if value < 0 else "not a number"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    rounded = round(value, digits - 1 - magnitude)
    if rounded and math.floor(math.log10(abs(rounded))) > magnitude:
        magnitude += 1
    text = f"{abs(rounded):.{max(0, digits - 1 - magnitude)}f}"
    return f"{MINUS}{text}" if rounded < 0 else text


def percent(share: float) -> str:
    """A share as ``24 %``; below ten percent with one decimal."""
    return f"{share * 100:.1f} %" if abs(share) < 0.0995 else f"{significant(share * 100, 3).split('.')[0]} %"
