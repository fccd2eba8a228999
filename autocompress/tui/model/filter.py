"""The filter language: ``int8 q>=75 ok -onnx`` keeps the trials that every term holds of."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from dataclasses import dataclass

from autocompress.limits import BYTE_UNITS
from autocompress.tui.model.trial import Trial

WHERE_TO_READ = "words, ok, front, marked, #12, -word, q>=75, drop<=1, size<10, size<0.3x, ms<5, speed>2, ram<500"


class FilterMistake(ValueError):
    """A filter that cannot be read; the text says why in one sentence."""


@dataclass(frozen=True)
class FilterContext:
    """What terms are about that a trial does not know itself."""

    front: Container[int]
    marks: Container[int]
    is_rate: bool = True


Term = Callable[[Trial, FilterContext], bool]

_TERM = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
_COMPARISON = re.compile(r"([a-zA-Z_][a-zA-Z_0-9]*)(>=|<=|==|≥|≤|>|<|=)(.*)")
_NUMBER = re.compile(r"([-+−]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*([a-zA-Z%×]*)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    "=": lambda a, b: abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1.0),
}
_SAME = {"≥": ">=", "≤": "<=", "==": "="}
_FIGURES = {
    "q": "quality",
    "quality": "quality",
    "drop": "drop",
    "size": "size",
    "mb": "size",
    "ms": "latency",
    "latency": "latency",
    "p50": "latency",
    "p95": "p95",
    "speed": "speed",
    "speedup": "speed",
    "ram": "ram",
    "vram": "vram",
    "n": "number",
    "trial": "number",
    "seconds": "seconds",
}
_BYTES: dict[str, Callable[[Trial], float | None]] = {
    "size": lambda trial: trial.size_bytes,
    "ram": lambda trial: trial.ram_bytes,
    "vram": lambda trial: trial.vram_bytes,
}


@dataclass(frozen=True)
class Filter:
    """A filter that was read.

    Attributes:
        text: what was written.
        terms: all must hold.
    """

    text: str = ""
    terms: tuple[Term, ...] = ()

    @classmethod
    def read(cls, text: str) -> Filter:
        """A filter as it is written.

        Raises:
            FilterMistake: a term cannot be read.
        """
        terms: list[Term] = []
        for minus, phrase, word in _TERM.findall(text):
            if not phrase and not word:
                continue
            term = _words(phrase) if phrase else _term(word)
            terms.append(_negated(term) if minus else term)
        return cls(text.strip(), tuple(terms))

    def holds(self, trial: Trial, context: FilterContext) -> bool:
        """Whether a trial is kept."""
        return all(term(trial, context) for term in self.terms)


def _negated(term: Term) -> Term:
    return lambda trial, context: not term(trial, context)


def _term(word: str) -> Term:
    named = _NAMED.get(word.lower())
    if named is not None:
        return named
    if word.startswith("#"):
        return _numbered(word)
    comparison = _COMPARISON.fullmatch(word)
    if comparison is not None:
        return _comparison(word, *comparison.groups())
    if word.lower() in _FIGURES:
        raise FilterMistake(f"“{word}” needs something to compare with, as in {word}>=1")
    if any(sign in word for sign in "<>≤≥"):
        raise FilterMistake(f"“{word}” begins with no figure; there are q, drop, size, ms, speed, ram, vram")
    return _words(word)


_NAMED: dict[str, Term] = {
    "ok": lambda trial, _: trial.is_feasible and trial.is_measured,
    "front": lambda trial, context: trial.number in context.front,
    "marked": lambda trial, context: trial.number in context.marks,
    "noted": lambda trial, _: bool(trial.notes),
    "contended": lambda trial, _: trial.contended,
}


def _numbered(word: str) -> Term:
    if not word[1:].isdigit():
        raise FilterMistake(f"“{word}” is no trial; write #12")
    number = int(word[1:])
    return lambda trial, _: trial.number == number


def _words(word: str) -> Term:
    sought = word.lower().replace("_", " ")
    return lambda trial, _: sought in searched_text(trial)


def searched_text(trial: Trial) -> str:
    """What words are looked for in: the recipe, how the trial ended, where it comes from, notes."""
    ended = "broken limits" if trial.status == "complete" and not trial.is_feasible else trial.status
    text = " ".join((trial.label, ended, trial.origin, *trial.notes))
    return text.lower().replace("_", " ")


def _comparison(word: str, name: str, sign: str, wanted: str) -> Term:
    figure = _FIGURES.get(name.lower())
    if figure is None:
        raise FilterMistake(f"there is no figure “{name}”; there are q, drop, size, ms, speed, ram, vram, n")
    number = _NUMBER.fullmatch(wanted.strip())
    if number is None:
        raise FilterMistake(f"“{word}” needs a number after “{sign}”")
    value, unit = float(number[1].replace("−", "-")), number[2].lower().replace("×", "x")
    compare = _COMPARE[_SAME.get(sign, sign)]
    read = _reader(figure, unit, word)

    def term(trial: Trial, context: FilterContext) -> bool:
        own = read(trial, context)
        return own is not None and compare(own, value)

    return term


Reader = Callable[[Trial, FilterContext], float | None]


def _reader(figure: str, unit: str, word: str) -> Reader:
    """What gives the figure in the unit that was written."""
    if figure in _BYTES:
        if unit == "x" and figure == "size":
            return lambda trial, _: trial.size_ratio
        if unit and unit not in BYTE_UNITS:
            raise FilterMistake(f"“{word}” has a unit that sizes don't have; write 10, 10MB, 1GB or, for size, 0.3x")
        scale, number_of = BYTE_UNITS[unit or "mb"], _BYTES[figure]
        return lambda trial, _: None if (own := number_of(trial)) is None else own / scale
    if figure == "drop" and unit == "%":
        return lambda trial, _: None if trial.relative_drop is None else trial.relative_drop.value * 100
    reader, units = _READERS[figure]
    if unit not in units:
        allowed = " or ".join(each or "no unit" for each in units)
        raise FilterMistake(f"“{word}” is written with {allowed}")
    return reader


def _shown(value: float | None, context: FilterContext) -> float | None:
    """As the table shows it: rates in percent."""
    return value * 100 if value is not None and context.is_rate else value


_READERS: dict[str, tuple[Reader, tuple[str, ...]]] = {
    "quality": (lambda trial, context: _shown(trial.quality, context), ("", "%")),
    "drop": (lambda trial, context: _shown(trial.drop.value, context) if trial.drop else None, ("", "pp")),
    "latency": (lambda trial, _: trial.p50_ms, ("", "ms")),
    "p95": (lambda trial, _: trial.p95_ms, ("", "ms")),
    "speed": (lambda trial, _: trial.speedup.value if trial.speedup else None, ("", "x")),
    "number": (lambda trial, _: float(trial.number), ("",)),
    "seconds": (lambda trial, _: trial.wall_seconds, ("", "s")),
}
